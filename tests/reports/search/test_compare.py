"""Two searches compared: what differs, by how much and how surely, and a page whatever is missing."""

import json
import shutil
from pathlib import Path

import pytest

from reports import ReportError, write_comparison
from reports.search.compare import render_comparison, score_section, sentence
from reports.search.two_searches import Pair, decisions, difference, pair_of, same_test, settings
from reports.summaries.comparison import share_interval
from reports.summaries.search import read_records
from search_spaces import micro_space
from tests.reports.fleet_folder import edit_result
from tests.reports.search.test_page import Outline
from tests.reports.search_folder import write_search


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pair")
    write_search(folder / "a", epochs=1, proposals=8, retrained=2, seed=0)
    write_search(folder / "b", epochs=1, proposals=8, retrained=2, seed=1)
    return folder


@pytest.fixture
def folder(made: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(made, tmp_path / "pair"))


def pair_in(folder: Path) -> Pair:
    return pair_of(read_records(folder / "a"), read_records(folder / "b"))


def test_difference_joins_both_intervals(folder: Path) -> None:
    # Newcombe (1998), Statistics in Medicine 17, table II, (a): 56/70 - 48/80, method 10: 0.0524 to 0.3339.
    for name, share, images in (("a", 48 / 80, 80), ("b", 56 / 70, 70)):
        edit_result(
            folder / name,
            reward="accuracy",
            repeats={},
            test={"accuracy": share},
            data={"digest": "same", "counts": {"test": {"no": images - 10, "yes": 10}}},
        )
    pair = pair_in(folder)
    assert pair.metric == "accuracy"
    found = difference(pair)
    assert found is not None
    assert (found.value, found.low, found.high) == pytest.approx((0.2, 0.0524, 0.3339), abs=1e-4)
    assert found.judgement == "better"
    assert same_test(pair) is True
    assert difference(pair_of(pair.after, pair.before)) == pytest.approx((-0.2, -0.3339, -0.0524), abs=1e-4)
    assert share_interval(0.6, 80) is not None


@pytest.mark.parametrize("name", ["a", "b"])
def test_neither_search_is_better_where_too_few_test_images_tell(folder: Path, name: str) -> None:
    for each, share in (("a", 0.1), ("b", 0.9)):
        counts = {"test": {"no": 60, "yes": 20}}
        data = {"digest": "same", "counts": counts}
        edit_result(folder / each, reward="accuracy", repeats={}, test={"accuracy": share}, data=data)
    assert (found := difference(pair_in(folder)))
    assert found.judgement == "better"
    edit_result(folder / name, too_few={"value": "yes", "images": 3})
    assert (found := difference(pair_in(folder)))
    assert (found.low, found.high, found.judgement) == (None, None, "not told apart")


def test_decisions_that_changed_are_told_from_those_that_did_not(folder: Path) -> None:
    choices = [json.loads((folder / name / "result.json").read_text())["architecture"]["choices"] for name in "ab"]
    found = {one.name: one for one in decisions(pair_in(folder))}
    changed = {name for name in choices[0] if choices[0][name] != choices[1][name]}
    assert changed
    assert {name for name, one in found.items() if not one.same} == changed
    page = render_comparison(pair_in(folder))
    assert f"{len(changed)} of {len(choices[0]) + 1} decisions differ." in page


def test_settings_that_differ_are_named_and_no_others(folder: Path) -> None:
    path = folder / "b" / "config.json"
    config = json.loads(path.read_text())
    config["search"]["epochs"] = 9
    config["settings"] = {"repeats": 3}
    path.write_text(json.dumps(config))
    assert {(one.name, one.before, one.after) for one in settings(pair_in(folder))} == {
        ("seed", "0", "1"),
        ("search.epochs", "1", "9"),
        ("repeats", "–", "3"),
    }


def test_the_page_is_whole_with_both_drawings(folder: Path) -> None:
    page = write_comparison(folder / "a", folder / "b", folder / "page.html").read_text(encoding="utf-8")
    outline = Outline(page)
    assert [one["id"] for one in outline.named("figure")] == ["figure-scores", "figure-before", "figure-after"]
    ids = [attributes["id"] for _, attributes in outline.elements if "id" in attributes]
    assert len(ids) == len(set(ids))
    assert not outline.named("script")
    assert page == render_comparison(pair_in(folder))


def test_cells_of_both_are_drawn_and_spaces_may_differ(folder: Path) -> None:
    space = micro_space(3, depths=(2,), operations=("separable3x3", "identity"))
    write_search(folder / "b", epochs=1, proposals=4, retrained=1, space=space)
    page = render_comparison(pair_in(folder))
    ids = [attributes["id"] for _, attributes in Outline(page).elements if "id" in attributes]
    assert len(ids) == len(set(ids))
    assert "figure-after-normal-cell" in ids
    assert {one.name: one.after for one in decisions(pair_in(folder))}["space"] == "micro"


def test_what_is_missing_is_named(folder: Path) -> None:
    for part in ("result.json", "history.jsonl", "config.json"):
        (folder / "a" / part).unlink()
    pair = pair_in(folder)
    page = render_comparison(pair)
    assert "Not both are finished" in page
    assert "a has no test score" in page
    assert difference(pair) is None
    assert sentence(pair) == "There is nothing to compare yet."
    Outline(page)
    with pytest.raises(ReportError, match="no search folder"):
        write_comparison(folder / "gone", folder / "b", folder / "page.html")


def test_other_data_is_said(folder: Path) -> None:
    data = json.loads((folder / "b" / "result.json").read_text())["data"]
    edit_result(folder / "b", data={**data, "digest": "other"})
    pair = pair_in(folder)
    assert same_test(pair) is False
    assert "The data is not the same" in score_section(pair).lead
