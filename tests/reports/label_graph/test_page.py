"""The label graph's page: from records alone, the same bytes each time, whole with whatever is missing."""

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from reports.errors import ReportError
from reports.label_graph.drawing import label_graph_figure, spread
from reports.label_graph.page import render, write_label_graph_report
from reports.label_graph.records import Edge, Node, read_graph_records
from reports.layout.figures import inline_svg

NAMES = ("hat", "bag", "sleeve=long", "<belt>")


def figures(value: float) -> dict[str, float]:
    keys = ("map", "cp", "cr", "cf1", "op", "or", "of1", "mean_accuracy", "image_f1", "top3_cp", "top3_of1")
    return dict.fromkeys(keys, value)


def result() -> dict[str, Any]:
    """A run over four labels, the last of which no other meets."""
    methods = {"cooccurrence": 0.61, "identity": 0.6, "none": 0.55, "branches": 0.58, "combined": 0.65}
    return {
        "labels": [[name, name, "yes"] for name in NAMES],
        "settings": {"tau": 0.1, "p": 0.2},
        "seed": 3,
        "freeze_depth": 4,
        "images": {"train": 100, "val": 30, "test": 40},
        "chosen": "cooccurrence",
        "measured_on": "test",
        "methods": {
            name: {"labels": 4, "val": figures(score + 0.01), "test": figures(score)} for name, score in methods.items()
        },
        "gains": {
            f"cooccurrence over {other}": {
                "a": "cooccurrence",
                "b": other,
                "map": gain,
                "low": gain - 0.02,
                "high": gain + 0.02,
                "labels": [gain, -0.01, 0.1, None],
            }
            for other, gain in (("none", 0.06), ("identity", 0.01))
        },
        "per_label": [
            {
                "name": name,
                "attribute": name,
                "value": "yes",
                "images": {split: {"present": 10, "absent": 30} for split in ("train", "val", "test")},
                "methods": {m: {"test": {"auroc": 0.7, "average_precision": s}} for m, s in methods.items()},
            }
            for name in NAMES
        ],
        "graph": {
            "tau": 0.1,
            "p": 0.2,
            "edges": [
                {"from": 0, "to": 1, "probability": 0.75, "estimated": False},
                {"from": 1, "to": 0, "probability": 0.25, "estimated": True},
                {"from": 0, "to": 2, "probability": 0.5, "estimated": False},
            ],
            "isolated": [3],
            "absent": [],
            "estimated": True,
            "estimated_pairs": 1,
        },
        "notes": ["1 image labelled differently twice in 'hat': unknown there (a.jpg)"],
        "verdict": "On test, the label graph reaches 61.0 % mAP.",
        "trunk": {"backbone": "small_cnn", "size": 32, "blocks": 6},
        "seconds": {"total": 12.0, "training": 9.0},
        "command": "graftnet graph train",
        "machine": "a laptop",
        "created": "2026-01-02T03:04:05",
    }


def run(folder: Path, record: dict[str, Any] | None = None) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "result.json").write_text(json.dumps(record or result()))
    lines = [
        {"kind": "epoch", "graph": graph, "epoch": epoch, "loss": 0.1, "val_score": 0.4 + epoch / 100}
        for graph in ("none", "cooccurrence")
        for epoch in (1, 2, 3)
    ]
    (folder / "history.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return folder


def test_the_page_holds_the_verdict_the_graph_and_the_figures(tmp_path: Path):
    page = write_label_graph_report(run(tmp_path)).read_text()
    assert "On test, the label graph reaches 61.0 % mAP." in page
    assert 'class="verdict better"' in page
    for anchor in ("gain", "graph", "methods", "labels", "repeat"):
        assert f'<section id="{anchor}"' in page
    assert "+6.00" in page  # points over no graph
    assert "61.0" in page
    assert "65.0" in page
    assert "&lt;belt&gt;" in page
    assert "<belt>" not in page
    assert "Dashed edges are estimated" in page
    assert "Not here: edges of &lt;belt&gt;" in page
    assert "labelled differently twice" in page
    assert "images: 100 train, 30 val, 40 test" in page


def test_the_page_is_self_contained_and_the_same_each_time(tmp_path: Path):
    page = render(read_graph_records(run(tmp_path)))
    assert page == render(read_graph_records(tmp_path))
    assert "<script" not in page
    assert not re.search(r"(?:src|href)=\"(?!#)", page)
    ids = re.findall(r'\bid="([^"]+)"', page)
    assert len(ids) == len(set(ids))


def test_the_wider_the_line_the_likelier(tmp_path: Path):
    nodes = [Node(name, 10) for name in NAMES]
    edges = [Edge(0, 1, 0.75, False), Edge(1, 0, 0.25, True), Edge(0, 2, 0.5, False)]
    drawing = label_graph_figure(nodes, edges)
    widths = sorted(patch.get_linewidth() for patch in drawing.axes[0].patches)
    assert widths == pytest.approx([0.4 + 4 * p for p in (0.25, 0.5, 0.75)])
    styles = {patch.get_linewidth(): patch.get_linestyle() for patch in drawing.axes[0].patches}
    assert [styles[width] == "solid" for width in widths] == [False, True, True]
    assert [text.get_text() for text in drawing.axes[0].texts] == list(NAMES)
    ElementTree.fromstring(inline_svg(drawing, "graph", "four labels"))


@pytest.mark.parametrize("count", [0, 1, 2, 30])
def test_graphs_of_any_size_are_drawn_inside_the_figure(count: int):
    nodes = [Node(f"label {place}", place) for place in range(count)]
    edges = [Edge(place, place + 1, 0.5, False) for place in range(count - 2)]
    drawing = label_graph_figure(nodes, edges)
    width, height = (72 * size for size in drawing.get_size_inches())
    for text in drawing.axes[0].texts:
        x, y = text.get_position()
        assert 0 < x < width
        assert 0 < y < height


def test_the_layout_is_repeatable():
    edges = [Edge(0, 1, 0.5, False), Edge(1, 2, 0.9, False)]
    assert spread([0, 1, 2], edges, (600, 400), 0.0) == spread([0, 1, 2], edges, (600, 400), 0.0)


@pytest.mark.parametrize("key", ["gains", "graph", "per_label", "methods", "settings", "verdict", "seconds", "notes"])
def test_a_record_that_lacks_a_part_still_makes_a_page(tmp_path: Path, key: str):
    record = result()
    del record[key]
    page = render(read_graph_records(run(tmp_path, record)))
    assert "<h1>" in page


def test_damaged_entries_are_left_out(tmp_path: Path):
    record = result()
    record["graph"]["edges"] += [{"from": 9, "to": 0, "probability": 0.5}, {"from": 0}, "edge"]
    record["gains"]["broken"] = {"a": "cooccurrence", "b": "none", "map": "much"}
    records = read_graph_records(run(tmp_path, record))
    assert len(records.edges) == 3
    assert len(records.gains) == 2
    (tmp_path / "history.jsonl").write_text("{torn")
    assert read_graph_records(tmp_path).curves == {}


def test_a_folder_without_a_result_is_refused(tmp_path: Path):
    with pytest.raises(ReportError, match="no finished label graph: run graftnet graph train"):
        write_label_graph_report(tmp_path)
    (tmp_path / "result.json").write_text("[1]")
    with pytest.raises(ReportError, match="does not hold a JSON object"):
        write_label_graph_report(tmp_path)
    (tmp_path / "result.json").write_text("{")
    with pytest.raises(ReportError, match="cannot be read"):
        write_label_graph_report(tmp_path)


def test_the_page_needs_no_torch(tmp_path: Path):
    code = (
        "import sys; from pathlib import Path; from reports.label_graph.page import write_label_graph_report; "
        f"write_label_graph_report(Path({str(run(tmp_path))!r})); assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
