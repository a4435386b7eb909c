from dataclasses import replace
from itertools import product

import networkx as nx
import numpy as np
import pytest

from search_spaces import Architecture, CellPlan, PairPlan, Space, SpaceError, micro_plan, micro_space
from search_spaces.operations import CELL_OPERATIONS


def choose(space: Space, **changes: str | int | bool) -> Architecture:
    """The architecture of first choices, with changes; in names, `__` stands for a dot."""
    first = space.architecture([0] * len(space.decisions))
    renamed = {name.replace("__", "."): value for name, value in changes.items()}
    architecture = replace(first, choices=tuple((dict(first.choices) | renamed).items()))
    space.validate(architecture)
    return architecture


def test_the_decisions_come_in_the_order_the_controller_samples_them() -> None:
    names = [decision.name for decision in micro_space(2, cells=2, depths=(1, 2)).decisions]
    parts = ("input_a", "input_b", "operation_a", "operation_b", "activation")
    nodes = [f"{kind}.node{node}.{part}" for kind in ("normal", "reduction") for node in (2, 3) for part in parts]
    assert names == ["width", "depth", *nodes, "head.pooling", "head.shortcut"]


def test_a_node_may_read_the_cells_inputs_and_the_nodes_before_it() -> None:
    inputs = {d.name: d.choices for d in micro_space(3).decisions if d.kind == "input" and d.name.endswith("a")}
    assert inputs == {
        f"{kind}.node{node}.input_a": tuple(range(node)) for kind in ("normal", "reduction") for node in (2, 3, 4)
    }


def test_size_by_hand() -> None:
    # widths 3; per kind of cell two nodes: 2 and 3 sources, twice; five operations, twice; 3 activations; 2 x 2 heads
    cell = (2**2 * 5**2 * 3) * (3**2 * 5**2 * 3)
    assert micro_space(2).size == 3 * cell * cell * 2 * 2
    assert micro_space(2, cells=3, depths=(1, 2, 3)).size == 3 * 3 * cell * cell * 2 * 2


def test_the_papers_operations_are_there() -> None:
    wanted = {"identity", "separable3x3", "separable5x5", "average_pool3x3", "max_pool3x3"}
    assert wanted == set(CELL_OPERATIONS)


@pytest.mark.parametrize(
    ("settings", "kinds"),
    [
        ({"cells": 3, "reductions": (2,)}, {"normal", "reduction"}),
        ({"cells": 3, "reductions": ()}, {"normal"}),
        ({"cells": 1, "reductions": (2,)}, {"normal"}),
        ({"cells": 3, "reductions": (3,), "depths": (1, 2)}, {"normal"}),
        ({"cells": 2, "reductions": (1, 2)}, {"reduction"}),
    ],
)
def test_only_cells_that_can_occur_are_decided(settings: dict[str, object], kinds: set[str]) -> None:
    space = micro_space(2, **settings)  # type: ignore[arg-type]
    assert {decision.name.split(".")[0] for decision in space.decisions} - {"width", "depth", "head"} == kinds


def test_plan_by_hand() -> None:
    space = micro_space(2, cells=4, reductions=(2,), operations=("conv3x3", "identity", "max_pool3x3"))
    architecture = choose(
        space,
        width=32,
        normal__node2__input_a=1,
        normal__node2__operation_a="identity",  # node 2: identity of 1, 3x3 of 0
        normal__node3__input_a=2,
        normal__node3__input_b=1,
        normal__node3__operation_a="max_pool3x3",  # node 3: max pool of node 2, 3x3 of 1
        normal__node3__activation="silu",
        reduction__node2__input_a=1,  # node 2: 3x3 of 1 and 0
        reduction__node3__input_b=1,  # node 3: the same; both are loose
        head__pooling="bilinear",
    )
    plan = micro_plan(architecture)
    one = PairPlan(("conv3x3", "identity"), (0, 1), "relu")
    other = PairPlan(("conv3x3", "max_pool3x3"), (1, 2), "silu")
    twin = PairPlan(("conv3x3", "conv3x3"), (0, 1), "relu")
    first = one._replace(inputs=(1, 1))  # the first cell has the stem alone
    assert plan.cells == (
        CellPlan(1, False, (None, 0), False, (first, other), (3,)),
        CellPlan(2, True, (0, 1), False, (twin, twin), (2, 3)),
        CellPlan(3, False, (1, 2), True, (one, other), (3,)),
        CellPlan(4, False, (2, 3), False, (one, other), (3,)),
    )
    assert (plan.width, plan.pooling, plan.shortcut) == (32, "bilinear", False)


def test_a_cell_that_nobody_reads_is_left_out() -> None:
    space = micro_space(1, cells=4, reductions=(2,))
    plan = micro_plan(choose(space, reduction__node2__input_a=1))  # normal cells read the one before the previous alone
    assert [(cell.number, cell.sources, cell.halved) for cell in plan.cells] == [
        (1, (None, 0), False),
        (2, (0, 1), False),
        (4, (2, None), False),
    ]


def test_every_node_of_every_plan_is_fed_and_reaches_the_head() -> None:
    space, rng = micro_space(4, cells=5, reductions=(2, 4), depths=(1, 2, 3, 4, 5)), np.random.default_rng(1)
    seen = set()
    for _ in range(200):
        architecture = space.random(rng)
        network: nx.DiGraph = nx.DiGraph()
        cells = micro_plan(architecture).cells
        for cell in cells:
            for source in cell.sources:
                if source is not None:
                    network.add_edge(source, cell.number)
            inner: nx.DiGraph = nx.DiGraph()
            for number, node in enumerate(cell.nodes, start=2):
                inner.add_edges_from((source, number) for source in node.inputs)
            inner.add_edges_from((number, "output") for number in cell.loose)
            used = {source for source in (0, 1) if cell.sources[source] is not None}
            assert {node for node in inner if inner.in_degree(node) == 0} == used
            assert nx.ancestors(inner, "output") == used | set(range(2, 6))
            assert cell.reduction == (cell.number in (2, 4))
            assert cell.halved == (cell.sources[0] is not None and cell.number in (3, 5))
        assert cells[-1].number == architecture["depth"]
        assert nx.ancestors(network, cells[-1].number) == {0, *(cell.number for cell in cells[:-1])}
        seen.add(tuple(cell.number for cell in cells))
    assert (1, 2, 3, 4, 5) in seen
    assert any(numbers != tuple(range(1, len(numbers) + 1)) for numbers in seen)


def test_plan_is_for_the_micro_space_only() -> None:
    with pytest.raises(SpaceError, match="'toy'"):
        micro_plan(Architecture("toy", (), ()))


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"nodes": 0}, "micro space: nodes must be a whole number from 1 to 16, got 0"),
        ({"nodes": True}, "got True"),
        ({"cells": 33}, "cells must be a whole number from 1 to 32, got 33"),
        ({"reductions": (0,)}, "every reduction must be a whole number from 1 to 32, got 0"),
        ({"reductions": (2, 2)}, "reductions lists a value twice"),
        ({"reductions": 2}, "reductions must be a list, got 2"),
        ({"depths": (4,)}, r"every depth must be a whole number from 1 to cells \(3\), got 4"),
        ({"widths": ()}, "micro space: widths is empty"),
        ({"operations": ("conv7x7",)}, "operations must be among .*, identity, got 'conv7x7'"),
        ({"activations": ("step",)}, "got 'step'"),
        ({"poolings": ("max",)}, "poolings must be among average, bilinear"),
        ({"shortcuts": (0, 1)}, "shortcuts must be among False, True, got 0"),
    ],
)
def test_impossible_settings_are_refused_by_name(settings: dict[str, object], named: str) -> None:
    with pytest.raises(SpaceError, match=named):
        micro_space(**settings)  # type: ignore[arg-type]


def swapped(architecture: Architecture, node: str) -> Architecture:
    """The same node with its two (input, operation) pairs in the other order."""
    choices = dict(architecture.choices)
    for part in ("input", "operation"):
        a, b = f"{node}.{part}_a", f"{node}.{part}_b"
        choices[a], choices[b] = choices[b], choices[a]
    return replace(architecture, choices=tuple(choices.items()))


def test_pairs_that_trade_places_are_one_plan_and_one_key() -> None:
    space, rng = micro_space(3), np.random.default_rng(0)
    for _ in range(30):
        architecture = space.random(rng)
        for cell, node in product(("normal", "reduction"), (2, 3, 4)):
            other = swapped(architecture, f"{cell}.node{node}")
            assert micro_plan(other) == micro_plan(architecture)
            assert space.key(other) == space.key(architecture)


def test_nodes_that_only_trade_places_have_one_key() -> None:
    space = micro_space(3)
    one = choose(space, normal__node2__operation_a="max_pool3x3", normal__node4__input_a=2)
    other = choose(space, normal__node3__operation_a="max_pool3x3", normal__node4__input_a=3)
    assert micro_plan(one) != micro_plan(other)
    assert space.key(one) == space.key(other)
    wrong = choose(space, normal__node3__operation_a="max_pool3x3", normal__node4__input_a=2)
    assert space.key(one) != space.key(wrong)


def test_which_operation_reads_which_input_belongs_to_the_key() -> None:
    space = micro_space(1, cells=2, reductions=())
    one = choose(space, normal__node2__input_b=1, normal__node2__operation_b="max_pool3x3")
    other = choose(space, normal__node2__input_a=1, normal__node2__operation_b="max_pool3x3")
    assert space.key(one) != space.key(other)


def test_the_first_cells_inputs_are_one_map() -> None:
    space = micro_space(1, cells=3, reductions=(2,), depths=(1, 2, 3))
    for depth, idle in ((1, True), (2, True), (3, False)):  # the third cell is the first normal one with two inputs
        one = choose(space, depth=depth, reduction__node2__input_a=1)
        other = choose(space, depth=depth, reduction__node2__input_a=1, normal__node2__input_b=1)
        assert (space.key(one) == space.key(other)) == idle
        assert space.key(one) != space.key(choose(space, depth=depth, normal__node2__operation_b="max_pool3x3"))
    inputs = [d.choices for d in micro_space(2, cells=2).decisions if d.name.endswith("input_a")]
    assert inputs == [(1,), (1, 2), (0, 1), (0, 1, 2)]


def test_choices_for_a_cell_that_does_not_occur_are_idle() -> None:
    space = micro_space(1, cells=3, depths=(1, 2, 3))
    idle = {"reduction__node2__operation_a": "max_pool3x3"}
    assert space.key(choose(space, depth=1)) == space.key(choose(space, depth=1, **idle))
    assert space.key(choose(space, depth=2)) != space.key(choose(space, depth=2, **idle))


@pytest.mark.parametrize("change", [{"width": 32}, {"head__pooling": "bilinear"}, {"head__shortcut": True}])
def test_width_and_head_belong_to_the_key(change: dict[str, str | int | bool]) -> None:
    space = micro_space(2)
    assert space.key(choose(space)) != space.key(choose(space, **change))
