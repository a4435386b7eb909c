"""A report's tables and figures as files of their own, with a list of what is in which."""

from collections.abc import Sequence
from pathlib import Path

from foundation.files import write_bytes
from reports.card import CARD, card
from reports.errors import ReportError
from reports.figure_files import FORMATS, check_size, figure_file
from reports.fleet import fleet_sections
from reports.fleet_entries import Entry, read_fleet
from reports.fleet_rows import COLUMNS, overview_row
from reports.layout import Section
from reports.page import sections_of
from reports.records import read_records
from reports.table_files import table_csv
from reports.tables import candidates_table, csv_of, csv_text, methods_table
from reports.tree_cost import tree_cost
from reports.verdict import attribute_of

CONTENTS = "contents.md"
WIDTH = 1200  # pixels


def write_files(
    search_folder: Path, destination: Path, *, formats: tuple[str, ...] = FORMATS, width: int = WIDTH
) -> tuple[Path, ...]:
    """Everything on the page of one search, in `destination`: CSV, figures, card, result.json; returns the paths.

    width: of every figure, in pixels.
    Raises ReportError for an unknown format or width, when there is no such search, or nothing can be written.
    """
    check_size(formats, width)
    records = read_records(search_folder)
    extra: dict[str, tuple[str, bytes]] = {CARD: ("The model card.", card(records).encode())}
    for name, words, frame in (
        ("methods.csv", "The winner and its controls, in whole numbers.", methods_table(records)),
        ("all-candidates.csv", "Every architecture that the search proposed.", candidates_table(records)),
    ):
        if len(frame):
            extra[name] = (words, csv_of(frame).encode())
    if (search_folder / "result.json").exists():
        data = (search_folder / "result.json").read_bytes()
        extra["result.json"] = ("The record itself; docs/result.schema.json says what its fields mean.", data)
    return _write(attribute_of(records), sections_of(records), extra, destination, formats, width)


def write_fleet_files(
    record_file: Path, destination: Path, *, formats: tuple[str, ...] = FORMATS, width: int = WIDTH
) -> tuple[Path, ...]:
    """The same of the page over all attributes; `attributes.csv` is its overview."""
    check_size(formats, width)
    fleet = read_fleet(record_file)
    extra = {"attributes.csv": ("The attributes, a row each.", overview_csv(fleet.entries).encode())}
    return _write("All attributes", fleet_sections(fleet, tree_cost(fleet)), extra, destination, formats, width)


def overview_csv(entries: Sequence[Entry]) -> str:
    """The overview: numbers whole, not as the page rounds them, and remarks in a column of their own."""
    rows: list[list[str]] = [[part for column in COLUMNS for part in (column.title, f"{column.title}, remark")]]
    for entry in entries:
        rows.append([])
        for column, cell in zip(COLUMNS, overview_row(entry), strict=True):
            rows[-1] += [cell.key if column.numeric else cell.text, cell.note]
    return csv_text(rows)


def _write(
    title: str,
    sections: Sequence[Section],
    extra: dict[str, tuple[str, bytes]],
    destination: Path,
    formats: tuple[str, ...],
    width: int,
) -> tuple[Path, ...]:
    files = dict(extra)
    for section in sections:
        for place, table in enumerate(section.tables, start=1):
            name = section.anchor if len(section.tables) == 1 else f"{section.anchor}-{place}"
            files[f"{name}.csv"] = (f"{section.title}: {table.caption}", table_csv(table).encode())
        for drawn in section.pictures:
            if drawn.figure is None:
                continue
            for kind in formats:
                data = figure_file(drawn.figure, kind, width, f"{title}: {drawn.title}")
                files[f"{drawn.name}.{kind}"] = (f"{section.title}: {drawn.title}", data)
    lines = [f"- `{name}`: {' '.join(words.split())}" for name, (words, _) in files.items()]
    files[CONTENTS] = ("", f"# {title}\n\n{chr(10).join(lines)}\n".encode())
    return tuple(
        write_bytes(destination / name, data, durable=False, error=ReportError) for name, (_, data) in files.items()
    )
