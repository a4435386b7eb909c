"""The page: whole, self-contained, deterministic, and there whatever is missing from the search folder."""

import copy
import json
import re
import shutil
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from reports import ReportError, write_report
from reports.search.page import render
from reports.summaries.search import Records, read_records
from search_spaces import micro_space
from tests.reports.search_folder import write_search

FIGURES = ["scores", "gains", "size", "graft", "architecture", "roc-test", "pr-test", "thresholds", "roc-val", "pr-val"]
FIGURES += ["histogram", "reliability", "reward", "loss", "entropy", "choices", "candidates", "agreement", "retraining"]
VOID = {"meta", "br", "link", "img"}


class Outline(HTMLParser):
    """Elements with their attributes, and whether every tag is closed in order."""

    def __init__(self, page: str) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text: list[str] = []
        self.feed(page)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text.append(data)

    def named(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_search(tmp_path_factory.mktemp("bald") / "s1")


@pytest.fixture(scope="module")
def page(folder: Path) -> str:
    return write_report(folder).read_text(encoding="utf-8")


def test_every_figure_is_there_with_words_for_it(page: str) -> None:
    outline = Outline(page)
    assert [one["id"] for one in outline.named("figure")] == [f"figure-{name}" for name in FIGURES]
    drawings = [one for one in outline.named("svg") if one.get("class") == "figure"]
    assert len(drawings) == len(FIGURES)
    assert all(one["role"] == "img" and len(one["aria-label"] or "") > 30 for one in drawings)
    assert "Not here" not in page


def test_nothing_is_fetched_and_nothing_runs(page: str) -> None:
    outline = Outline(page)
    tags = {tag for tag, _ in outline.elements}
    assert not tags & {"script", "link", "iframe", "object", "embed", "base", "image", "foreignobject"}
    for _, attributes in outline.elements:
        for name, value in attributes.items():
            assert not name.startswith("on")
            if name in ("src", "href", "xlink:href", "srcset", "action", "data"):
                assert (value or "").startswith(("#", "data:image/png;base64,", "data:image/jpeg;base64,"))
    images = outline.named("img")
    assert len(images) == 2 + 4 + 2 * 2  # mistakes, examples, pairs of image and map
    assert all(len(one["alt"] or "") > 20 for one in images)
    assert not re.search(r"@import|url\((?!#)", page)


def test_ids_are_unique_and_anchors_resolve(page: str) -> None:
    outline = Outline(page)
    ids = [attributes["id"] for _, attributes in outline.elements if "id" in attributes]
    assert len(ids) == len(set(ids))
    for _, attributes in outline.elements:
        for name in ("href", "aria-labelledby"):
            if name in attributes:
                assert (attributes[name] or "").removeprefix("#") in ids


def test_headings_do_not_skip_a_level(page: str) -> None:
    levels = [int(tag[1]) for tag, _ in Outline(page).elements if re.fullmatch(r"h[1-6]", tag)]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after - before <= 1 for before, after in pairwise(levels))


def test_numbers_of_the_result_are_on_the_page(page: str, folder: Path) -> None:
    result = json.loads((folder / "result.json").read_text(encoding="utf-8"))
    for expected in (
        f"{result['parameters']:,}",
        f"{result['tail_parameters']:,}",
        f"{result['test']['f1']:.4f}",
        f"{result['controls']['linear_probe']['test']['auroc']:.4f}",
        result["fingerprint"],
        result["command"],
        result["identity"],
    ):
        assert expected in page
    titles = re.findall(r"<h2[^>]*>(?:<span[^>]*></span>)?([^<]+)</h2>", page)
    assert titles[:3] == ["Better than random search", "Compared with controls", "Architecture"]


def test_same_records_same_page(folder: Path, page: str) -> None:
    assert render(read_records(folder)) == page


def test_written_elsewhere_and_whole(folder: Path, page: str, tmp_path: Path) -> None:
    assert write_report(folder, tmp_path / "new" / "bald.html") == tmp_path / "new" / "bald.html"
    assert write_report(folder, tmp_path) == tmp_path / "report.html"
    assert (tmp_path / "report.html").read_text(encoding="utf-8") == page
    assert sorted(path.name for path in tmp_path.iterdir()) == ["new", "report.html"]
    (tmp_path / "file").touch()
    with pytest.raises(ReportError, match="cannot be written"):
        write_report(folder, tmp_path / "file" / "report.html")


def test_names_from_outside_are_text_and_nothing_else(tmp_path: Path) -> None:
    hostile = '<script>alert("$x$")</script>'
    write_search(tmp_path, attribute=hostile, values=(hostile, "ja & nein", "$5$", "三"), epochs=2, proposals=8)
    outline = Outline(write_report(tmp_path).read_text(encoding="utf-8"))
    assert not outline.named("script")
    assert hostile in outline.text
    assert "三" in "".join(outline.text)


def test_more_than_two_values(tmp_path: Path) -> None:
    write_search(tmp_path, values=tuple(f"class {n}" for n in range(10)), epochs=2, proposals=8)
    page = write_report(tmp_path).read_text(encoding="utf-8")
    shown = [one["id"] for one in Outline(page).named("figure")]
    assert shown == [f"figure-{name}" for name in FIGURES if name != "thresholds"]
    assert "scores of 10 values" in page
    assert (
        page.count("<figcaption>Val was used to choose: expect it to look better than test. The 5 hardest of 9 values.")
        == 2
    )
    assert "taken for class 9" in page
    assert "Not here" not in page


def test_a_running_search_shows_what_it_has(tmp_path: Path) -> None:
    write_search(tmp_path)
    for name in ("result.json", "architecture.json", "predictions.csv", "pictures.json"):
        (tmp_path / name).unlink()
    shutil.rmtree(tmp_path / "branch")
    page = write_report(tmp_path).read_text(encoding="utf-8")
    shown = [one["id"] for one in Outline(page).named("figure")]
    assert "Not finished yet" in page
    assert "result.json is missing" in page
    assert {"figure-reward", "figure-loss", "figure-candidates", "figure-architecture", "figure-scores"} <= set(shown)
    assert "the best candidate so far" in page
    for name in ("predictions.csv", "pictures.json"):
        assert f"Not here: {name}, which a search writes at its end" in page
    assert "branch/" not in page


def test_an_empty_folder_makes_a_page_that_says_so(tmp_path: Path) -> None:
    page = write_report(tmp_path).read_text(encoding="utf-8")
    assert Outline(page).named("figure") == []
    assert "This folder holds no result and no history yet." in page
    assert page.count("Not here") >= 7


def test_a_folder_cut_after_any_record_makes_a_page(tmp_path: Path) -> None:
    write_search(tmp_path, epochs=2, updates=2, proposals=5, retrained=2)
    records = read_records(tmp_path)._replace(result={}, architecture={})
    kinds = [record["kind"] for record in records.history]
    for kept in sorted({kinds.index(kind) for kind in kinds} | {kinds.index(kind) + 1 for kind in kinds}):
        Outline(render(records._replace(history=records.history[:kept])))


def damaged(value: Any, rng: np.random.Generator, share: float) -> Any:
    """A copy of JSON where some entries are gone or of another type."""
    if rng.random() < share:
        strange = [None, "text", -3, float("nan"), 1e30, [], {}, [[None]], True, {"fpr": [0, 1]}, "", [1, "a"], 0]
        return copy.deepcopy(strange[rng.integers(len(strange))])
    if isinstance(value, dict):
        return {key: damaged(one, rng, share) for key, one in value.items() if rng.random() >= share}
    if isinstance(value, list):
        return [damaged(one, rng, share) for one in value if rng.random() >= share]
    return value


@pytest.mark.parametrize("seed", range(8))
def test_damaged_records_still_make_a_page(tmp_path: Path, seed: int) -> None:
    write_search(tmp_path, epochs=2, updates=2, proposals=6, retrained=3)
    whole, rng = read_records(tmp_path), np.random.default_rng(seed)
    share = (0.02, 0.05, 0.15, 0.3)[seed % 4]
    result = damaged(whole.result, rng, share)
    result = result if isinstance(result, dict) else {}
    history = tuple(one for one in (damaged(record, rng, share) for record in whole.history) if isinstance(one, dict))
    architecture = result.get("architecture")
    Outline(
        render(
            Records(
                whole.folder,
                {},
                result,
                architecture if isinstance(architecture, dict) else {},
                history,
                whole.problems,
            )
        )
    )


def test_a_micro_search_gives_a_page_with_its_cells(tmp_path: Path) -> None:
    space = micro_space(3, depths=(3,), operations=("separable3x3", "identity"))
    page = write_report(write_search(tmp_path / "search", space=space)).read_text(encoding="utf-8")
    for title in ("From the trunk to the values", "The normal cell"):
        assert f"<h3>{title}</h3>" in page
    assert "of the micro space" in page
    assert "there is no drawing" not in page
    assert page.count("output of the cell") == page.count(" cell</h3>")
