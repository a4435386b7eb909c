"""Write a report's tables and figures as files of their own: CSV, SVG or PNG, with a list of what is in which."""

import io
import re
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure

from foundation.files import write_bytes
from reports.card import CARD, card
from reports.errors import ReportError
from reports.fleet.entries import Entry, read_fleet
from reports.fleet.overview import COLUMNS, overview_row
from reports.fleet.page import fleet_sections
from reports.fleet.tables import tree_cost
from reports.layout.figures import STYLE, light, styled
from reports.layout.formats import MINUS, NOTHING, SPACE
from reports.layout.pages import Section, Table, sections_of
from reports.search.page import SECTIONS
from reports.summaries.search import attribute_of, read_records
from reports.tables import candidates_table, csv_of, csv_text, methods_table

CONTENTS = "contents.md"
WIDTH = 1200  # pixels
FORMATS = ("svg", "png")
WIDTHS = (100, 10_000)  # pixels
_OPENING = re.compile(r"<svg[^>]*>")
_SIDES = re.compile(r'\b(width|height)="[^"]*"')
_THOUSANDS = re.compile(r"[+-]?\d{1,3}(,\d{3})+(\.\d+)?")


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
    return _write(attribute_of(records), sections_of(SECTIONS, records), extra, destination, formats, width)


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
        for index, table in enumerate(section.tables, start=1):
            name = section.anchor if len(section.tables) == 1 else f"{section.anchor}-{index}"
            files[f"{name}.csv"] = (f"{section.title}: {table.caption}", table_csv(table).encode())
        for drawn in section.pictures:
            if drawn.figure is None:
                continue
            for kind in formats:
                data = figure_file(drawn.figure, kind, width, f"{title}: {drawn.title}")
                files[f"{drawn.name}.{kind}"] = (f"{section.title}: {drawn.title}", data)
    lines = [f"- `{name}`: {' '.join(words.split())}" for name, (words, _) in files.items()]
    files[CONTENTS] = ("", f"# {title}\n\n{chr(10).join(lines)}\n".encode())
    _spare_strangers(destination, files)
    return tuple(
        write_bytes(destination / name, data, durable=False, error=ReportError) for name, (_, data) in files.items()
    )


def _spare_strangers(destination: Path, files: Mapping[str, tuple[str, bytes]]) -> None:
    """Refuse to write over what no earlier call wrote: those are listed in the folder's contents."""
    contents = destination / CONTENTS
    text = contents.read_text(encoding="utf-8", errors="replace") if contents.is_file() else ""
    ours = re.findall(r"^- `([^`]+)`: ", text, re.MULTILINE)
    for name, (_, data) in files.items():
        path = destination / name
        if not path.exists() or name in ours or (name == CONTENTS and ours):
            continue
        if not path.is_file() or path.read_bytes() != data:
            raise ReportError(
                f"{path} is there already, and no report wrote it: choose another folder, or move it away"
            )


def check_size(formats: tuple[str, ...], width: int) -> None:
    """Raises ReportError for a format or a width that there is not."""
    for name in formats:
        if name not in FORMATS:
            raise ReportError(f"A figure is written as {' or '.join(FORMATS)}, not as {name!r}: choose one of them.")
    if not WIDTHS[0] <= width <= WIDTHS[1]:
        raise ReportError(f"A figure is {WIDTHS[0]} to {WIDTHS[1]} pixels wide, not {width}: choose another width.")


@styled
def figure_file(figure: Figure, kind: str, width: int, title: str) -> bytes:
    """The bytes of a file of this kind, `width` pixels wide, its height in proportion; `title` is kept inside.

    The same figure gives the same bytes. Letters of an SVG are outlines, so that they look the same everywhere.
    """
    inches = figure.get_figwidth()
    out = io.BytesIO()
    settings: Any = {**STYLE, "svg.fonttype": "path"}
    with warnings.catch_warnings(), matplotlib.rc_context(settings):
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        if kind == "png":
            FigureCanvasAgg(figure)
            # A hair more than the width, for matplotlib cuts off what is not a whole pixel.
            sharpness = (width + 1e-4) / inches
            metadata: dict[str, Any] = {"Title": title, "Software": None}
            figure.savefig(out, format="png", dpi=sharpness, facecolor=light("surface"), metadata=metadata)
            return out.getvalue()
        FigureCanvasSVG(figure)
        metadata = {"Date": None, "Creator": None, "Title": title}
        figure.savefig(out, format="svg", facecolor=light("surface"), metadata=metadata)
    drawn = out.getvalue().decode()
    sides = {"width": f"{width}", "height": f"{width * figure.get_figheight() / inches:.0f}"}

    def sized(opening: re.Match[str]) -> str:
        return _SIDES.sub(lambda side: f'{side[1]}="{sides[side[1]]}"', opening.group())

    return _OPENING.sub(sized, drawn, count=1).encode()


def table_csv(table: Table) -> str:
    """The table with its head; remarks below a value get a column of their own, "<head>, remark"."""
    remarked = [any(_parts(row[column])[1] for row in table.rows) for column in range(len(table.head))]
    rows = [_row(table.head, remarked, [("", f"{head}, remark") for head in table.head])]
    for row in table.rows:
        rows.append(_row(row, remarked, [_parts(cell) for cell in row]))
    return csv_text(rows)


def plain(cell: str) -> str:
    """ "−1,234" -> "-1234"; "61.4 k" keeps its unit; "–" is empty."""
    words = cell.replace(MINUS, "-").replace(SPACE, " ").strip()
    if words == NOTHING:
        return ""
    return words.replace(",", "") if _THOUSANDS.fullmatch(words) else words


def _parts(cell: str) -> tuple[str, str]:
    value, _, remark = cell.partition("\n")
    return value, remark


def _row(cells: Sequence[str], remarked: Sequence[bool], parts: Sequence[tuple[str, str]]) -> list[str]:
    written = []
    for cell, has_remarks, (_, remark) in zip(cells, remarked, parts, strict=True):
        written.append(plain(_parts(cell)[0]))
        if has_remarks:
            written.append(plain(remark))
    return written
