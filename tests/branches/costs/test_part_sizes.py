"""Weights by part: every part is named, and together they are the whole."""

import numpy as np
import pytest
from torch import nn

from branches.branch import Branch
from branches.costs.module import parameters, part_parameters, stored_bytes
from branches.probe import LinearProbe
from branches.saved import BranchRecord, save_branch
from search_spaces import Space, macro_space, micro_space
from trunk.trunk import Tail

SPACES = (macro_space(3, depths=(2, 3)), micro_space(3, cells=3, reductions=(2,)))


@pytest.mark.parametrize("space", SPACES, ids=["macro", "micro"])
def test_the_parts_add_up_to_the_branch(space: Space) -> None:
    kind = "node" if space.name == "macro" else "cell"
    rng = np.random.default_rng(0)
    for _ in range(6):
        branch = Branch(space.random(rng), (6, 4, 4), 2)
        found = part_parameters(branch)
        assert sum(found.values()) == parameters(branch)
        names = list(found)
        assert (names[0], names[-1]) == ("stem", "head")
        assert all(name.startswith(kind) for name in names[1:-1])
        assert len(names) == len(branch.parts) + 2


def test_other_modules_are_taken_apart_by_name() -> None:
    tail = Tail([("block", nn.Conv2d(6, 7, 3))], 7, 2)
    assert part_parameters(tail) == {"blocks": 6 * 7 * 9 + 7, "linear": 16}
    assert part_parameters(LinearProbe(6, 2)) == {"linear": 14}


def test_stored_bytes_are_those_of_the_file(tmp_path) -> None:
    architecture = SPACES[0].random(np.random.default_rng(3))
    branch = Branch(architecture, (6, 4, 4), 2)
    record = BranchRecord(
        attribute="bald",
        values=("no", "yes"),
        feature_shape=(6, 4, 4),
        freeze_depth=2,
        fingerprint="f",
        threshold=0.5,
        kind="branch",
        architecture=architecture,
        backbone=None,
        metrics={},
    )
    save_branch(tmp_path / "branch", branch, record)
    written = (tmp_path / "branch" / "weights.safetensors").read_bytes()
    header = 8 + int.from_bytes(written[:8], "little")
    assert stored_bytes(branch) == len(written) - header
