"""The drawn graph is the planned network: same edges, nothing lost, no two lines on top of each other."""

import re
from itertools import pairwise

import networkx as nx
import numpy as np
import pytest

from reports.drawing.branch import architecture_figure
from reports.drawing.geometry import column, lanes, places_of
from reports.drawing.graph import architecture_of, branch_graph, describe
from reports.drawing.surroundings import Surroundings
from reports.layout.figures import inline_svg
from search_spaces import Architecture, SpaceError, macro_space, plan

AROUND = Surroundings((768, 4, 4), 8, "inception_v3", ("no", "yes"), 0.43, 61442, 983040, 12_800_000, 25_000_000)


def some_architectures(count: int = 25) -> list[Architecture]:
    rng = np.random.default_rng(0)
    return [macro_space(nodes).random(rng) for nodes in (1, 2, 4, 7, 12) for _ in range(count // 5)]


@pytest.mark.parametrize("architecture", some_architectures())
def test_graph_is_the_plan(architecture: Architecture) -> None:
    macro, graph = plan(architecture), branch_graph(architecture, AROUND)
    for number, node in enumerate(macro.nodes, start=1):
        assert set(graph.predecessors(f"node{number}")) == {
            f"node{source}" if source else "stem" for source in node.inputs
        }
    outputs = {f"node{number}" for number in macro.outputs}
    assert set(graph.predecessors("mean" if len(outputs) > 1 else "pool")) == outputs
    assert graph.has_edge("trunk", "join") == macro.shortcut
    assert nx.is_directed_acyclic_graph(graph)
    assert nx.descendants(graph, "trunk") == set(graph) - {"trunk"}


@pytest.mark.parametrize("architecture", some_architectures())
def test_lines_in_one_lane_do_not_overlap_and_boxes_keep_apart(architecture: Architecture) -> None:
    graph = branch_graph(architecture, AROUND)
    order = column(graph)
    for kinds in (("skip",), ("loose", "shortcut")):
        found = lanes(graph, kinds)
        drawn = {(lane.source, target) for lane in found for target in lane.targets}
        assert drawn == {(source, target) for source, target, kind in graph.edges(data="kind") if kind in kinds}
        spans = [(lane.step, order.index(lane.source), max(map(order.index, lane.targets))) for lane in found]
        for i, (step, start, end) in enumerate(spans):
            assert not any(step == s and start < e and b < end for s, b, e in spans[:i])
    places = places_of(graph)
    for above, below in pairwise(order):
        assert places[above].bottom - places[below].top >= 10
        meeting = places[below].meeting
        assert meeting is None or meeting < places[above].bottom


def test_description_names_every_part() -> None:
    architecture = some_architectures()[-1]
    words = describe(branch_graph(architecture, AROUND))
    assert words.startswith("trunk blocks 0–7, frozen, 768×4×4.")
    assert all(f"Node {number}, " in words for number in range(1, 13))


def test_svg_fits_its_frame_and_has_every_title() -> None:
    graph = branch_graph(some_architectures()[-1], AROUND)
    svg = inline_svg(architecture_figure(graph, AROUND), "architecture", "words")
    box = re.search(r'viewBox="0 0 ([\d.]+) ([\d.]+)"', svg)
    assert box is not None
    width, height = map(float, box.groups())
    assert 300 < width < 600
    assert height > 500
    for vertex in graph.nodes.values():
        assert vertex["title"].partition(": ")[0] in svg


def test_features_without_a_trunk_or_tail_are_drawn_too() -> None:
    bare = Surroundings(None, None, None, (), None, None, None, None, None)
    for architecture in some_architectures(5):
        graph = branch_graph(architecture, bare)
        assert "tail" not in graph
        assert "<svg" in inline_svg(architecture_figure(graph, bare), "bare", "words")


def test_another_spaces_architecture_is_refused() -> None:
    with pytest.raises(SpaceError):
        branch_graph(Architecture("other", (), ()), AROUND)
    record = macro_space(2).random(np.random.default_rng(0)).to_json()
    record["choices"]["width"] = 17
    with pytest.raises(SpaceError, match="width"):
        architecture_of(record)
