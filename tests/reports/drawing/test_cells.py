"""A drawn stack and a drawn cell are the planned ones: same edges, nothing lost, no two lines on top of each other."""

import re

import networkx as nx
import numpy as np
import pytest

from reports.drawing.branch import architecture_figure
from reports.drawing.cells import LEFT, cell_figure, cell_graph, cell_rows, shown_cells, spots_of, ways
from reports.drawing.graph import branch_graph, describe
from reports.drawing.surroundings import Surroundings
from reports.layout.figures import inline_svg
from search_spaces import Architecture, CellPlan, micro_plan, micro_space

AROUND = Surroundings((768, 17, 9), 8, "inception_v3", ("no", "yes"), 0.43, 61442, 983040, 12_800_000, 25_000_000)


def some_architectures(count: int = 5) -> list[Architecture]:
    rng = np.random.default_rng(0)
    return [
        micro_space(nodes, cells=5, reductions=(2, 4), depths=(1, 3, 5)).random(rng)
        for nodes in (1, 2, 3, 6)
        for _ in range(count)
    ]


def some_cells() -> list[tuple[CellPlan, int]]:
    plans = [micro_plan(architecture) for architecture in some_architectures()]
    return [(cell, plan.width) for plan in plans for cell in shown_cells(plan)]


@pytest.mark.parametrize("architecture", some_architectures())
def test_the_stack_is_the_plan(architecture: Architecture) -> None:
    plan, graph = micro_plan(architecture), branch_graph(architecture, AROUND)
    for cell in plan.cells:
        wanted = {f"cell{source}" if source else "stem" for source in cell.sources if source is not None}
        assert set(graph.predecessors(f"cell{cell.number}")) == wanted
        assert graph.nodes[f"cell{cell.number}"]["title"] == f"{cell.kind} cell"
    assert set(graph.predecessors("pool")) == {f"cell{plan.cells[-1].number}"}
    assert graph.has_edge("trunk", "join") == plan.shortcut
    assert nx.descendants(graph, "trunk") == set(graph) - {"trunk"}
    words = describe(graph)
    assert all(f"Cell {cell.number}, {cell.kind} cell" in words for cell in plan.cells)


@pytest.mark.parametrize(
    ("cells", "reads_previous", "shapes"),
    [
        (4, ("normal", "reduction"), ["16×17×9", "16×17×9 to 16×9×5", "16×9×5", "16×9×5", "16×9×5 to 16"]),
        # Nobody reads the previous cell: the second reads the stem, the fourth the second.
        (4, (), ["16×17×9 to 16×9×5", "16×9×5", "16×9×5 to 16"]),
        # The third reads the first; the second, which nobody reads, would have halved the map, so its input is halved.
        (3, (), ["16×17×9", "16×17×9 to 16×9×5", "16×9×5 to 16"]),
    ],
)
def test_the_shapes_follow_the_reduction_cells(cells: int, reads_previous: tuple[str, ...], shapes: list[str]) -> None:
    space = micro_space(1, widths=(16,), cells=cells, poolings=("average",), shortcuts=(False,))
    names = [decision.name for decision in space.decisions]
    indices = [int(name in [f"{kind}.node2.input_a" for kind in reads_previous]) for name in names]
    graph = branch_graph(space.architecture(indices), AROUND)
    assert [graph.nodes[name]["detail"] for name in graph if name.startswith(("cell", "pool"))] == shapes


@pytest.mark.parametrize(("cell", "width"), some_cells())
def test_a_drawn_cell_is_the_plan(cell: CellPlan, width: int) -> None:
    graph = cell_graph(cell, width)
    for number, node in enumerate(cell.nodes, start=2):
        for column, source in zip(("left", "right"), node.inputs, strict=True):
            name = f"node{number}.{column}"
            assert list(graph.predecessors(name)) == [f"node{source}" if source > 1 else f"input{source}"]
            assert ("stride 2" in graph.nodes[name]["detail"]) == (cell.reduction and source < 2)
        assert set(graph.predecessors(f"node{number}")) == {f"node{number}.left", f"node{number}.right"}
    loose = {f"node{number}" for number in cell.loose}
    assert set(graph.predecessors("join" if len(loose) > 1 else "output")) == loose
    assert {name for name in graph if graph.out_degree(name) == 0} == {"output"}
    inputs = {f"input{number}" for number, source in enumerate(cell.sources) if source is not None}
    assert {name for name in graph if graph.in_degree(name) == 0} == inputs
    assert len(cell_rows(cell)) == len(cell.nodes)


@pytest.mark.parametrize(("cell", "width"), some_cells())
def test_lines_of_a_cell_do_not_overlap_and_boxes_keep_apart(cell: CellPlan, width: int) -> None:
    graph = cell_graph(cell, width)
    found, row = ways(graph), dict(graph.nodes(data="row"))
    drawn = {(way.source, target) for way in found for target in way.targets}
    assert drawn == {(source, target) for source, target, kind in graph.edges(data="kind") if kind != "chain"}
    spans = [(way.side, way.step, row[way.source], max(row[target] for target in way.targets)) for way in found]
    for i, (side, step, start, end) in enumerate(spans):
        assert not any((side, step) == (s, t) and start < e and b < end for s, t, b, e in spans[:i])
    assert all(way.side == LEFT for way in found if way.kind == "loose")
    spots = spots_of(graph, 50.0)
    for source, target, kind in graph.edges(data="kind"):
        assert spots[source].y - spots[source].height / 2 > spots[target].y + spots[target].height / 2
        if kind == "chain":  # nothing stands between
            assert row[target] - row[source] == 1
    for number in range(2, 2 + len(cell.nodes)):
        assert spots[f"node{number}.left"].side(1) < spots[f"node{number}.right"].side(-1)


def test_drawings_fit_their_frames_and_have_every_title() -> None:
    for architecture in some_architectures(2):
        graph = branch_graph(architecture, AROUND)
        drawings = [(graph, architecture_figure(graph, AROUND))]
        plan = micro_plan(architecture)
        for cell in shown_cells(plan):
            inner = cell_graph(cell, plan.width)
            drawings.append((inner, cell_figure(inner)))
        for drawn, figure in drawings:
            svg = inline_svg(figure, "drawing", "words")
            box = re.search(r'viewBox="0 0 ([\d.]+) ([\d.]+)"', svg)
            assert box is not None
            assert 250 < float(box[1]) < 700
            assert all(vertex["title"].partition(": ")[0] in svg for vertex in drawn.nodes.values())


def test_features_without_a_trunk_or_tail_are_drawn_too() -> None:
    bare = Surroundings(None, None, None, (), None, None, None, None, None)
    for architecture in some_architectures(1):
        graph = branch_graph(architecture, bare)
        assert "tail" not in graph
        assert "<svg" in inline_svg(architecture_figure(graph, bare), "bare", "words")
