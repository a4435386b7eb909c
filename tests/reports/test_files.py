"""Files for others: every table and figure of a page, at the size that was asked for, the same for the same records."""

import csv
import io
import re
import struct
from pathlib import Path

import pytest
from matplotlib.figure import Figure

from reports import ReportError
from reports.files import figure_file, plain, table_csv, write_files, write_fleet_files
from reports.fleet.entries import read_fleet
from reports.layout.figures import panel
from reports.layout.pages import Table, sections_of
from reports.search.page import SECTIONS
from reports.summaries.search import read_records
from reports.tables import csv_text
from tests.reports.fleet_folder import write_fleet
from tests.reports.search_folder import write_search


@pytest.fixture(scope="module")
def search(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_search(tmp_path_factory.mktemp("files") / "s1", epochs=2, proposals=8, retrained=2)


def png_size(data: bytes) -> tuple[int, int]:
    """Width and height from the header of a PNG."""
    assert data.startswith(b"\x89PNG\r\n\x1a\n")
    width, height = struct.unpack(">II", data[16:24])
    return width, height


def rows_of(path: Path) -> list[list[str]]:
    return list(csv.reader(io.StringIO(path.read_text(encoding="utf-8"))))


def test_every_table_and_figure_of_the_page_has_its_file(search: Path, tmp_path: Path) -> None:
    written = write_files(search, tmp_path / "out", formats=("svg",))
    names = {path.name for path in written}
    assert {path.name for path in (tmp_path / "out").iterdir()} == names
    sections = sections_of(SECTIONS, read_records(search))
    assert {f"{one.name}.svg" for section in sections for one in section.pictures} <= names
    tables = sum(len(section.tables) for section in sections)
    assert sum(name.endswith(".csv") for name in names) == tables + 2
    listed = re.findall(r"^- `([^`]+)`", (tmp_path / "out" / "contents.md").read_text(), re.MULTILINE)
    assert {*listed, "contents.md"} == names
    assert (tmp_path / "out" / "result.json").read_bytes() == (search / "result.json").read_bytes()
    proposed = rows_of(tmp_path / "out" / "all-candidates.csv")
    assert len(proposed) == 1 + 8
    methods = rows_of(tmp_path / "out" / "methods.csv")
    assert [row[0] for row in methods[1:]] == ["winner", "random", "linear_probe", "tail"]


def test_tables_are_whole_and_numbers_are_numbers(search: Path, tmp_path: Path) -> None:
    write_files(search, tmp_path, formats=())
    for path in tmp_path.glob("*.csv"):
        assert len({len(row) for row in rows_of(path)}) == 1
    head, winner, *_ = rows_of(tmp_path / "comparison.csv")
    found = dict(zip(head, winner, strict=True))
    assert int(found["parameters"]) > 1000
    assert 0.5 < float(found["test AUROC"]) <= 1
    assert re.fullmatch(r"0\.\d+ to [01]\.\d+", found["test AUROC, remark"])


def test_cells_as_programs_read_them() -> None:
    assert [plain(cell) for cell in ("1,234,567", "−1,234.5", "–", "61.4\N{NO-BREAK SPACE}k", "a, b", "1,23")] == [
        *("1234567", "-1234.5", "", "61.4 k", "a, b", "1,23")
    ]
    table = Table("", ("", "x"), (("a\nfirst", "1"), ('b, "c"', "–")))
    assert table_csv(table) == ',", remark",x\na,first,1\n"b, ""c""",,\n'


@pytest.mark.parametrize("width", [333, 1600])
def test_figures_have_the_size_that_was_asked_for(width: int) -> None:
    data = figure_file(drawn_anew(), "png", width, "bald: loss")
    wide, high = png_size(data)
    assert wide == width
    assert high == pytest.approx(width * 2.75 / 3.7, abs=1)
    assert b"bald: loss" in data
    drawn = figure_file(drawn_anew(), "svg", width, "bald: loss")
    opening = re.search(r"<svg[^>]*>", drawn.decode())
    assert opening is not None
    assert f'width="{width}"' in opening[0]
    assert f'height="{width * 2.75 / 3.7:.0f}"' in opening[0]
    assert b"var(--" not in drawn
    assert b"<text" not in drawn
    assert figure_file(drawn_anew(), "svg", width, "bald: loss") == drawn
    assert figure_file(drawn_anew(), "png", width, "bald: loss") == data


def drawn_anew() -> Figure:
    figure, axes = panel("epochs", "loss")
    axes.plot([1, 2], [3, 4])
    return figure


def test_what_there_is_not_is_refused(search: Path, tmp_path: Path) -> None:
    with pytest.raises(ReportError, match="svg or png, not as 'pdf'"):
        write_files(search, tmp_path / "out", formats=("pdf",))
    with pytest.raises(ReportError, match="100 to 10000 pixels wide, not 5"):
        write_files(search, tmp_path / "out", width=5)
    assert not (tmp_path / "out").exists()


def test_a_running_search_gives_what_it_has(search: Path, tmp_path: Path) -> None:
    folder = tmp_path / "s2"
    folder.mkdir()
    (folder / "history.jsonl").write_text((search / "history.jsonl").read_text())
    names = {path.name for path in write_files(folder, tmp_path / "out", formats=("svg",))}
    assert {"reward.svg", "all-candidates.csv", "card.md"} <= names
    assert "result.json" not in names


def test_the_fleet_as_files(tmp_path: Path) -> None:
    record = write_fleet(tmp_path / "runs")
    names = {path.name for path in write_fleet_files(record, tmp_path / "out", formats=("png",), width=400)}
    assert names == {
        *(
            "attributes.csv",
            "contents.md",
            "scores.csv",
            "scores.png",
            "cost.csv",
            "cost.png",
            "paper-1.csv",
            "paper-2.csv",
        ),
        "trunk.csv",
    }
    head, *rows = rows_of(tmp_path / "out" / "attributes.csv")
    bald = dict(zip(head, rows[0], strict=True))
    entry = read_fleet(record).entries[0]
    assert float(bald["test score"]) == entry.score
    assert float(bald["parameters"]) == entry.branch.parameters
    assert [row[0] for row in rows] == ["bald", "backpack", "courier", "youth"]
    assert png_size((tmp_path / "out" / "cost.png").read_bytes())[0] == 400


def test_a_table_of_gaps_keeps_whole_numbers_whole() -> None:
    rows = [("name", "size", "score", "won"), ("a, b", 1200, 0.1, True), ('"c"', None, 1.0, False), ("", 3, None, True)]
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    assert csv_text(rows) == text.getvalue()
    assert csv_text(rows[:1]) == "name,size,score,won\n"


@pytest.mark.parametrize("name", ["result.json", "contents.md", "methods.csv"])
def test_files_of_others_are_spared(name: str, search: Path, tmp_path: Path) -> None:
    (tmp_path / name).write_text("- mine")
    with pytest.raises(ReportError, match=rf"{name} is there already, and no report wrote it: choose another folder"):
        write_files(search, tmp_path, formats=())
    assert [path.name for path in tmp_path.iterdir()] == [name]
    assert (tmp_path / name).read_text() == "- mine"
    (tmp_path / name).unlink()
    first = write_files(search, tmp_path, formats=())
    (tmp_path / "methods.csv").write_text("of an older report")  # listed in the contents: it is written again
    assert write_files(search, tmp_path, formats=()) == first
    assert (tmp_path / "methods.csv").read_text() != "of an older report"


def test_no_cell_is_a_formula() -> None:
    rows = [("name", "=head"), ("=HYPERLINK(1)", -1), ("@x", 2.5), ("-0.5", None), ("+cmd|'/C x'!A0", "-")]
    read = list(csv.reader(io.StringIO(csv_text(rows))))
    assert read[0] == ["name", "'=head"]
    assert [row[0] for row in read[1:]] == ["'=HYPERLINK(1)", "'@x", "-0.5", "'+cmd|'/C x'!A0"]
    assert [row[1] for row in read[1:]] == ["-1", "2.5", "", "-"]
