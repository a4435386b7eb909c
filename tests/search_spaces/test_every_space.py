"""What every search space must do, whatever it is made of."""

import json

import networkx as nx
import numpy as np
import pytest

from search_spaces import SPACES, Architecture, Decision, Space, macro_space, micro_space, tail_space

EXAMPLES = {
    "macro": [macro_space(), macro_space(3, widths=(8,), depths=(1, 2, 3))],
    "micro": [
        micro_space(),
        micro_space(2, cells=2, depths=(1, 2)),
        micro_space(3, cells=2, reductions=(), depths=(1, 2)),
        micro_space(2, cells=4, reductions=(1, 3), depths=(1, 2, 3, 4)),
    ],
    "tail": [
        tail_space(),
        tail_space(6, blocks=(8, 11), widths=(32, 64)),
        tail_space(2, blocks=(3, 5, 7), poolings=("bilinear",), widths=(8, 16)),
    ],
}
SPACES_TO_TRY = [(name, number) for name in SPACES for number in range(len(EXAMPLES[name]))]


@pytest.fixture(params=SPACES_TO_TRY, ids=lambda one: f"{one[0]}-{one[1]}")
def space(request: pytest.FixtureRequest) -> Space:
    name, number = request.param
    return EXAMPLES[name][number]


def test_architectures_survive_indices_and_json(space: Space) -> None:
    rng = np.random.default_rng(0)
    for _ in range(50):
        architecture = space.random(rng)
        assert space.architecture(space.indices(architecture)) == architecture
        assert Architecture.from_json(json.loads(json.dumps(architecture.to_json()))) == architecture


def test_the_settings_alone_rebuild_the_space(space: Space) -> None:
    assert SPACES[space.name](**json.loads(json.dumps(dict(space.settings)))) == space


def test_same_seed_same_architectures_other_seed_others(space: Space) -> None:
    drawn = [[space.random(np.random.default_rng(seed)) for _ in range(3)] for seed in (0, 0, 1)]
    assert drawn[0] == drawn[1] != drawn[2]


def test_every_choice_of_every_decision_changes_some_network(space: Space) -> None:
    """So no decision is idle everywhere, and no two of its choices mean the same everywhere."""
    rng = np.random.default_rng(0)
    for place, decision in enumerate(space.decisions):
        apart: nx.Graph = nx.complete_graph(len(decision.choices))
        for _ in range(200):
            indices = list(space.indices(space.random(rng)))
            keys = [space.key(space.architecture([*indices[:place], i, *indices[place + 1 :]])) for i in apart]
            apart.remove_edges_from([(i, j) for i, j in apart.edges if keys[i] != keys[j]])
            if not apart.edges:
                break
        assert not apart.edges, decision


def test_decisions_say_what_they_are_about(space: Space) -> None:
    for decision in space.decisions:
        assert isinstance(decision, Decision)
        if decision.kind == "input":
            assert decision.node is not None
            assert all(type(source) is int and source < decision.node for source in decision.choices)
        if decision.kind == "edge":
            assert decision.source is not None
            assert decision.node is not None
            assert decision.source < decision.node


def test_keys_are_hashable_and_equal_for_equal_architectures(space: Space) -> None:
    rng = np.random.default_rng(0)
    for _ in range(20):
        architecture = space.random(rng)
        again = Architecture.from_json(json.loads(json.dumps(architecture.to_json())))
        assert hash(space.key(architecture)) == hash(space.key(again))
        assert space.key(architecture) == space.key(again)
