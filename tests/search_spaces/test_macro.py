from dataclasses import replace

import networkx as nx
import numpy as np
import pytest

from search_spaces import Architecture, NodePlan, Space, SpaceError, macro_space, plan
from search_spaces.operations import ACTIVATIONS, CHAIN_OPERATIONS


def choose(space: Space, **changes: str | int | bool) -> Architecture:
    """The architecture of first choices, with changes; in names, `__` stands for a dot and `_` for a dash."""
    first = space.architecture([0] * len(space.decisions))
    renamed = {name.replace("__", ".").replace("_", "-"): value for name, value in changes.items()}
    architecture = replace(first, choices=tuple((dict(first.choices) | renamed).items()))
    space.validate(architecture)
    return architecture


def test_the_decisions_come_in_the_order_the_controller_samples_them() -> None:
    names = [decision.name for decision in macro_space(3).decisions]
    assert names == [
        *("width", "node1.operation", "node1.activation", "node2.operation", "node2.activation", "edge1-2"),
        *("node3.operation", "node3.activation", "edge1-3", "edge2-3", "head.pooling", "head.shortcut"),
    ]


@pytest.mark.parametrize("nodes", [1, 2, 4, 9])
def test_every_pair_of_nodes_has_its_edge(nodes: int) -> None:
    space = macro_space(nodes)
    edges = [(decision.source, decision.node) for decision in space.decisions if decision.kind == "edge"]
    assert len(edges) == nodes * (nodes - 1) // 2
    assert set(edges) == {(source, node) for node in range(1, nodes + 1) for source in range(1, node)}
    assert all(decision.choices == (False, True) for decision in space.decisions if decision.kind == "edge")


def test_size_by_hand() -> None:
    # widths 3; four nodes of 6 operations and 3 activations; 6 edges; 2 poolings; 2 shortcuts
    assert macro_space(4).size == 3 * (6 * 3) ** 4 * 2**6 * 2 * 2


def test_the_issues_operations_and_activations_are_there() -> None:
    wanted = {"conv3x3", "conv5x5", "separable3x3", "separable5x5", "average_pool3x3", "max_pool3x3"}
    assert wanted == set(CHAIN_OPERATIONS)
    assert {"relu", "silu", "hard_swish"} < set(ACTIVATIONS)


def test_depth_is_a_decision_and_what_lies_beyond_is_idle() -> None:
    space = macro_space(3, depths=(1, 3))
    assert [decision.name for decision in space.decisions][:2] == ["width", "depth"]
    short = choose(space, depth=1, edge1_2=True, node3__operation="conv5x5")
    assert plan(short).nodes == (NodePlan("conv3x3", "relu", (0,)),)
    assert plan(short).outputs == (1,)
    assert space.key(short) == space.key(choose(space, depth=1))
    assert space.key(short) != space.key(choose(space, depth=3))
    assert len(plan(choose(space, depth=3)).nodes) == 3
    assert "depths" not in dict(macro_space(3).settings)  # architectures from before there was a choice stay legal


def test_plan_by_hand() -> None:
    space = macro_space(4)
    architecture = choose(
        space,
        width=32,
        edge1_3=True,
        edge2_3=True,
        node3__operation="max_pool3x3",
        node4__activation="silu",
        head__pooling="bilinear",
        head__shortcut=True,
    )
    graph = plan(architecture)
    assert graph.nodes == (
        NodePlan("conv3x3", "relu", (0,)),
        NodePlan("conv3x3", "relu", (0,)),
        NodePlan("max_pool3x3", "relu", (1, 2)),
        NodePlan("conv3x3", "silu", (0,)),
    )
    assert (graph.width, graph.outputs, graph.pooling, graph.shortcut) == (32, (3, 4), "bilinear", True)


def test_every_node_of_every_plan_is_fed_and_reaches_the_head() -> None:
    space, rng = macro_space(6), np.random.default_rng(1)
    for _ in range(200):
        graph = plan(space.random(rng))
        network: nx.DiGraph = nx.DiGraph()
        for number, node in enumerate(graph.nodes, start=1):
            assert node.inputs
            network.add_edges_from((source, number) for source in node.inputs)
        network.add_edges_from((number, "head") for number in graph.outputs)
        assert nx.descendants(network, 0) == {*range(1, 7), "head"}
        assert nx.ancestors(network, "head") == {*range(7)}


def test_plan_is_for_the_macro_space_only() -> None:
    with pytest.raises(SpaceError, match="'toy'"):
        plan(Architecture("toy", (), ()))


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"nodes": 3, "depths": (4,)}, "every depth must be a whole number from 1 to nodes"),
        ({"nodes": 3, "depths": (2, 2)}, "depths lists a value twice"),
        ({"nodes": 0}, "nodes must be a whole number from 1 to 64, got 0"),
        ({"nodes": 65}, "got 65"),
        ({"nodes": True}, "got True"),
        ({"widths": ()}, "widths is empty"),
        ({"widths": (16, 0)}, "positive whole number, got 0"),
        ({"widths": (16, 16)}, "lists a value twice"),
        ({"widths": 16}, "widths must be a list, got 16"),
        ({"widths": ([16],)}, "plain values"),
        ({"operations": ("conv7x7",)}, "operations must be among conv3x3, .*got 'conv7x7'"),
        ({"operations": "conv3x3"}, "operations must be a list"),
        ({"activations": ("relu", "step")}, "got 'step'"),
        ({"poolings": ("max",)}, "poolings must be among average, bilinear"),
        ({"shortcuts": (0, 1)}, "shortcuts must be among False, True, got 0"),
    ],
)
def test_impossible_settings_are_refused_by_name(settings: dict[str, object], named: str) -> None:
    with pytest.raises(SpaceError, match=named):
        macro_space(**settings)  # type: ignore[arg-type]


def test_nodes_that_only_trade_places_have_one_key() -> None:
    space = macro_space(3)
    one = choose(space, node1__operation="conv5x5", node2__operation="max_pool3x3", edge1_3=True)
    other = choose(space, node1__operation="max_pool3x3", node2__operation="conv5x5", edge2_3=True)
    assert one != other
    assert space.key(one) == space.key(other)


@pytest.mark.parametrize("change", [{"width": 32}, {"head__pooling": "bilinear"}, {"head__shortcut": True}])
def test_width_and_head_belong_to_the_key(change: dict[str, str | int | bool]) -> None:
    space = macro_space(2)
    assert space.key(choose(space)) != space.key(choose(space, **change))
