from collections.abc import Sequence
from itertools import combinations

import networkx as nx
import numpy as np
import pytest

from search_spaces.isomorphism import Label, canonical_graph, canonical_labelled_graph

Inputs = list[tuple[int, ...]]


def random_graph(rng: np.random.Generator, nodes: int, labels: int) -> tuple[list[Label], Inputs]:
    edges = rng.random((nodes, nodes)) < 0.4
    inputs = [tuple(source + 1 for source in range(node) if edges[source, node]) or (0,) for node in range(nodes)]
    return [(f"op{rng.integers(labels)}",) for _ in range(nodes)], inputs


def as_networkx(labels: list[Label], inputs: Inputs) -> nx.DiGraph:
    graph: nx.DiGraph = nx.DiGraph()
    graph.add_node(0, label="outside")
    for number, (label, sources) in enumerate(zip(labels, inputs, strict=True), start=1):
        graph.add_node(number, label=label)
        graph.add_edges_from((source, number) for source in sources)
    return graph


@pytest.mark.parametrize(("nodes", "labels"), [(3, 1), (4, 2), (5, 1)])
def test_equal_forms_exactly_where_networkx_finds_an_isomorphism(nodes: int, labels: int) -> None:
    rng = np.random.default_rng(nodes)
    graphs = [random_graph(rng, nodes, labels) for _ in range(40)]
    agreed = {True: 0, False: 0}
    for one, other in combinations(graphs, 2):
        same = nx.is_isomorphic(as_networkx(*one), as_networkx(*other), node_match=lambda a, b: a == b)
        assert (canonical_graph(*one) == canonical_graph(*other)) == same
        agreed[same] += 1
    assert min(agreed.values()) > 5


def test_a_form_is_a_renumbering_even_when_too_many_orderings_tie() -> None:
    labels: list[Label] = [("same",)] * 9
    inputs: Inputs = [(0,)] * 9  # nine twins: 9! orderings
    form = canonical_graph(labels, inputs)
    assert [label for label, _ in form] == labels
    assert [sources for _, sources in form] == inputs


def test_sharing_is_not_copying() -> None:
    labels: list[Label] = [("a",), ("a",), ("b",), ("b",)]
    shared = canonical_graph(labels, [(0,), (0,), (1,), (1,)])
    apart = canonical_graph(labels, [(0,), (0,), (1,), (2,)])
    assert shared != apart


def test_labels_of_edges_count_and_their_order_does_not() -> None:
    labels: list[Label] = [("node",), ("node",)]
    wide, narrow = ("wide",), ("narrow",)
    one = canonical_labelled_graph(labels, [((wide, 0), (narrow, 0)), ((wide, 0), (narrow, 1))])
    assert one == canonical_labelled_graph(labels, [((narrow, 2), (wide, 0)), ((narrow, 0), (wide, 0))])
    assert one != canonical_labelled_graph(labels, [((wide, 0), (narrow, 0)), ((wide, 1), (narrow, 0))])


@pytest.mark.parametrize(("nodes", "labels"), [(2, 2), (3, 1)])
def test_equal_labelled_forms_exactly_where_networkx_finds_an_isomorphism(nodes: int, labels: int) -> None:
    rng = np.random.default_rng(nodes)
    graphs = []
    for _ in range(60):
        drawn = [
            [((f"e{rng.integers(labels)}",), int(rng.integers(node))) for _ in "ab"] for node in range(1, nodes + 1)
        ]
        graphs.append([tuple(edges) for edges in drawn])
    same_label: list[Label] = [("node",)] * nodes

    def multigraph(inputs: Sequence[tuple[tuple[Label, int], ...]]) -> nx.MultiDiGraph:
        graph: nx.MultiDiGraph = nx.MultiDiGraph()
        graph.add_nodes_from(range(1, nodes + 1), label="node")
        graph.add_node(0, label="outside")
        for number, edges in enumerate(inputs, start=1):
            graph.add_edges_from((source, number, {"label": label}) for label, source in edges)
        return graph

    agreed = {True: 0, False: 0}
    match = nx.algorithms.isomorphism.categorical_multiedge_match("label", None)
    for one, other in combinations(graphs, 2):
        same = nx.is_isomorphic(multigraph(one), multigraph(other), node_match=lambda a, b: a == b, edge_match=match)
        assert (canonical_labelled_graph(same_label, one) == canonical_labelled_graph(same_label, other)) == same
        agreed[same] += 1
    assert min(agreed.values()) > 3
