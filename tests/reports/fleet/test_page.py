"""The fleet page: a row per attribute, the tree's cost, and a page whatever is missing."""

import base64
import hashlib
import json
import re
import shutil
from pathlib import Path
from urllib.parse import unquote

import pytest

from reports import ReportError, write_fleet_report
from reports.fleet.entries import read_fleet
from reports.fleet.overview import COLUMNS, overview_row, sentence
from reports.fleet.page import render_fleet
from reports.fleet.tables import accuracy_tables, cost_table, images_table, thresholds_table, tree_cost, versions_table
from reports.summaries.comparison import auroc_interval
from reports.summaries.search import Costs
from tests.reports.fleet_folder import COSTS, edit_record, edit_result, write_fleet
from tests.reports.search.test_page import Outline


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_fleet(tmp_path_factory.mktemp("fleet") / "runs")


@pytest.fixture
def record(made: Path, tmp_path: Path) -> Path:
    shutil.copytree(made.parent.parent, tmp_path / "runs")
    return tmp_path / "runs" / "reports" / "fleet.json"


def test_entries_are_what_the_searches_say(made: Path) -> None:
    fleet = read_fleet(made)
    assert [one.attribute for one in fleet.entries] == ["bald", "backpack", "courier", "youth"]
    bald = fleet.entries[0]
    result = json.loads((made.parent / "../searches/bald/id0/result.json").read_text())
    assert bald.score is not None
    assert bald.score == pytest.approx(sum(result["repeats"]["winner"]["test_auroc"]) / 5)
    counts = result["data"]["counts"]["test"]
    assert (bald.low, bald.high) == auroc_interval(bald.score, counts["yes"], counts["no"])
    assert bald.branch == Costs(result["parameters"], result["macs"], 0.31)
    assert (bald.on_trunk, bald.grafted, bald.page) == (True, True, "../searches/bald/id0/report.html")
    youth = fleet.entries[3]
    assert (youth.score, youth.page, youth.on_trunk, youth.state) == (None, None, False, "missing")
    assert fleet.problems == ()


def test_every_row_has_a_cell_per_column_and_sorts_as_it_shows(made: Path) -> None:
    fleet = read_fleet(made)
    rows = [overview_row(one) for one in fleet.entries]
    assert all(len(row) == len(COLUMNS) for row in rows)
    for column, pair in enumerate(zip(rows[0], rows[1], strict=True)):
        if COLUMNS[column].numeric:
            keys, shown = [float(cell.key) for cell in pair], [as_number(cell.text) for cell in pair]
            assert (keys[0] < keys[1]) == (shown[0] < shown[1])
    titles = [column.title for column in COLUMNS]
    assert len(set(titles)) == len(titles)
    courier, youth = (dict(zip(titles, row, strict=True)) for row in rows[2:])
    assert {youth[column.title].key for column in COLUMNS if column.numeric} == {""}  # never searched
    assert courier["freshness"].note == "search.epochs 12 -> 20; its data changed"


def as_number(shown: str) -> float:
    """What a cell says, with its unit."""
    number, _, unit = shown.replace("−", "-").replace(",", "").partition("\N{NO-BREAK SPACE}")
    return float(number) * {"k": 1e3, "M": 1e6, "G": 1e9}.get(unit, 1.0)


def test_the_tree_is_one_trunk_and_the_branches(made: Path) -> None:
    fleet = read_fleet(made)
    cost = tree_cost(fleet)
    branches = [one for one in fleet.entries if one.measured]
    assert [one.attribute for one in cost.counted] == ["bald", "backpack", "courier"]
    assert cost.tree.parameters == COSTS["parameters"] + sum(one.branch.parameters or 0 for one in branches)
    assert cost.separate.parameters == 3 * COSTS["parameters"] + sum(one.tail.parameters or 0 for one in branches)
    assert cost.separate.latency_ms == pytest.approx(3 * (21.5 + 4.2))
    table = cost_table(fleet, cost)
    assert [row[0] for row in table.rows][-2:] == ["the whole tree", "3 separate networks"]
    assert table.marked == len(table.rows) - 2
    assert "three" not in sentence(fleet, cost)
    assert re.search(r"3 branches has .* against 3 separate networks", sentence(fleet, cost))


def test_branches_of_another_trunk_are_named_and_not_counted(record: Path) -> None:
    edit_result(record.parent / "../searches/backpack/id1", fingerprint="11" * 32)
    fleet = read_fleet(record)
    cost = tree_cost(fleet)
    assert cost.left_out == ("backpack",)
    assert [one.attribute for one in cost.counted] == ["bald", "courier"]
    assert "another trunk or of unknown cost: backpack" in render_fleet(fleet)
    versions = versions_table(fleet)
    assert versions is not None
    assert [row[4] for row in versions.rows] == ["1", "2"]
    assert [row[5] for row in versions.rows] == ["before the last switch", "in use"]


def test_costs_that_are_not_known_make_no_sum(record: Path) -> None:
    edit_result(record.parent / "../searches/bald/id0", tail_parameters=None)
    cost = tree_cost(read_fleet(record))
    assert cost.separate.parameters is None
    assert cost.tree.parameters is not None
    edit_record(record, trunk={})
    assert tree_cost(read_fleet(record)).counted == ()


def test_the_papers_tables(made: Path) -> None:
    entries = read_fleet(made).entries
    (table,) = accuracy_tables(entries)
    assert table.head == ("", "bald", "backpack", "courier")
    assert [row[0] for row in table.rows] == ["Accuracy", "Reduction rate"]
    assert all(cell.endswith("%") for row in table.rows for cell in row[1:])
    thresholds = thresholds_table(entries)
    assert thresholds.head == ("", "threshold", "accuracy", "precision", "recall", "FPR")
    assert [row[:2] for row in thresholds.rows] == [(name, "0.431") for name in ("bald", "backpack", "courier")]
    many = accuracy_tables([entries[0]] * 8)
    assert [len(one.head) for one in many] == [7, 3]
    images = images_table(entries)
    assert images.head == ("attribute", "train images", "val images", "test images")
    assert images.rows[0][1] == "1,148/5,740"


def test_the_page_is_whole_and_runs_one_script_that_its_policy_names(made: Path) -> None:
    page = render_fleet(read_fleet(made))
    outline = Outline(page)
    policy = next(one["content"] for one in outline.named("meta") if one.get("http-equiv"))
    script = re.search(r"<script>(.*?)</script>", page, re.DOTALL)
    assert script is not None
    digest = base64.b64encode(hashlib.sha256(script[1].encode()).digest()).decode()
    assert policy is not None
    assert f"script-src 'sha256-{digest}'" in policy
    assert policy.startswith("default-src 'none';")
    assert not {tag for tag, _ in outline.elements} & {"link", "img", "iframe", "object", "embed", "base"}
    links = [one["href"] or "" for one in outline.named("a")]
    assert "../searches/bald/id0/report.html" in links
    assert not [link for link in links if "//" in link]
    heads = [one for one in outline.named("th") if "data-kind" in one]
    assert [one["data-kind"] for one in heads] == ["number" if column.numeric else "text" for column in COLUMNS]
    figures = [one["id"] for one in outline.named("figure")]
    assert figures == ["figure-scores", "figure-cost"]
    assert [one["href"] for one in outline.named("a") if "label_graph" in (one["href"] or "")]
    assert page == render_fleet(read_fleet(made))


def test_a_copy_of_the_folder_makes_the_same_page(made: Path, record: Path) -> None:
    assert write_fleet_report(record) == record.with_suffix(".html")
    assert record.with_suffix(".html").read_text(encoding="utf-8") == render_fleet(read_fleet(made))


def test_what_cannot_be_read_is_named(record: Path) -> None:
    (record.parent / "../searches/bald/id0/result.json").write_text("{")
    shutil.rmtree(record.parent / "../searches/backpack")
    page = render_fleet(read_fleet(record))
    assert "bald: result.json cannot be read" in page
    assert "backpack: There is no search folder" in page
    Outline(page)
    record.write_text('{"project": "empty"}')
    empty = render_fleet(read_fleet(record))
    assert "no sub-dataset has been brought in" in empty
    assert "<script>" not in empty
    Outline(empty)
    record.write_text("[")
    with pytest.raises(ReportError, match="graftnet report"):
        read_fleet(record)


def test_names_from_outside_are_text(record: Path) -> None:
    hostile = '"><script>alert(1)</script>'
    edit_record(record, project=hostile, attributes=[{"attribute": hostile, "state": hostile, "reasons": [hostile]}])
    outline = Outline(render_fleet(read_fleet(record)))
    assert len(outline.named("script")) == 1
    assert hostile in outline.text


def test_links_reach_folders_of_any_name(tmp_path: Path) -> None:
    record = write_fleet(tmp_path / "runs", names=("50% off? #1", "b", "c"))
    write_fleet_report(record)
    page = read_fleet(record).entries[0].page or ""
    assert page == "../searches/50%25%20off%3F%20%231/id0/report.html"
    assert (record.parent / unquote(page)).parent.is_dir()
