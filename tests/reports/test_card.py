"""The model card: what the records tell, whole Markdown, and no more than they tell."""

import json
from pathlib import Path

import pytest

from reports import write_card
from reports.card import card
from reports.summaries.search import Records
from tests.reports.fleet_folder import edit_result
from tests.reports.search_folder import write_search


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_search(tmp_path / "bald" / "s1", epochs=1, proposals=6, retrained=1)


def test_card_holds_figures_data_cost_and_origin(folder: Path) -> None:
    written = write_card(folder)
    text, result = written.read_text(encoding="utf-8"), json.loads((folder / "result.json").read_text())
    assert written == folder / "card.md"
    titles = [line for line in text.splitlines() if line.startswith("#")]
    assert titles == ["# bald", *(f"## {one}" for one in SECTIONS)]
    assert f"| AUROC | {result['val']['auroc']:.4f} | {result['test']['auroc']:.4f} |" in text
    assert "“yes” is said from a score of 0.4312" in text
    assert "| no | 5,740 | 1,230 | 1,230 |" in text
    assert f"| branch | {result['parameters']:,} |" in text
    assert f"trunk fingerprint: `{result['fingerprint']}`" in text
    assert "right for 83% of the test images" in text


SECTIONS = ["What it is", "Figures", "Data", "Cost", "Limits", "Where it comes from"]


def test_tables_are_whole(folder: Path) -> None:
    blocks = [block.splitlines() for block in card_of(folder).split("\n\n") if block.startswith("|")]
    assert len(blocks) == 3
    for lines in blocks:
        assert len({line.count("|") for line in lines}) == 1
        assert set(lines[1]) <= set("|:- ")


def card_of(folder: Path) -> str:
    return write_card(folder).read_text(encoding="utf-8")


def test_limits_are_said_where_the_records_show_them(folder: Path) -> None:
    counts = {"train": {"no": 90, "yes": 10}, "val": {"no": 9, "yes": 1}, "test": {"no": 40, "yes": 7}}
    gain = {"over_random": {"difference": 0.001, "low": -0.002, "high": 0.004}}
    edit_result(folder, data={"counts": counts}, gain=gain)
    text = card_of(folder)
    assert "Only 7 test images are “yes”" in text
    assert "does not tell it apart from: random search" in text
    edit_result(folder, test=None)
    assert "not measured on a test split" in card_of(folder)


def test_names_from_outside_do_not_become_markdown(folder: Path) -> None:
    edit_result(folder, attribute="a|b <i>", values=["*no*", "[yes](x)"])
    text = card_of(folder)
    assert text.startswith("# a\\|b \\<i\\>\n")
    assert "\\*no\\* / \\[yes\\](x)" in text


def test_an_unfinished_search_has_a_card_that_says_so() -> None:
    text = card(Records(Path("runs/searches/bald/s1"), {}, {}, {}, (), ()))
    assert text.startswith("# bald\n")
    assert "no result and no history" in text
    assert "not chosen yet" in text
    assert "None" not in text
