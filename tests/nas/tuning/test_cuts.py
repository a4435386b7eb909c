"""A race of cuts: halving, the floor of the probes, the cheaper of equals, and that it goes on where it stopped."""

from pathlib import Path

import numpy as np
import pytest
import torch

from branches.settings import FitSettings
from foundation.history import read_history
from nas.errors import SearchError
from nas.tuning.cuts import Arm, Cut, Race, planned, prior, race_cuts
from search_spaces import macro_space
from trunk.features.source import ArrayFeatures, LabelledFeatures

SPACE = macro_space(1, widths=(4,), poolings=("average",))
CPU = torch.device("cpu")
RECIPE = FitSettings(epochs=4, batch_size=32)


def split(seed: int, signal: float) -> LabelledFeatures:
    """Two values that differ by `signal` in the mean of a channel, and not otherwise."""
    rng = np.random.default_rng(seed)
    labels = np.arange(80) % 2
    x = rng.normal(size=(80, 3, 2, 2))
    x[:, 0] += signal * labels[:, None, None]
    return LabelledFeatures(ArrayFeatures(x.astype(np.float32)), torch.from_numpy(labels), 2)


def race(folder: Path, signals: dict[int, float]) -> Race:
    cuts = {depth: Cut(split(depth, signal), split(100 + depth, signal)) for depth, signal in signals.items()}
    return race_cuts(cuts, SPACE, RECIPE, folder=folder, seed=0, device=CPU, architectures=2, epochs=1)


def test_the_better_half_is_trained_twice_as_long_and_a_finished_race_is_not_run_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = race(tmp_path, {2: 0.2, 3: 1.5, 5: 0.3})
    assert found.depth == 3
    assert [(each["epochs"], len(each["arms"])) for each in found.rounds] == [(1, 6), (2, 3), (4, 2)]
    assert planned(6, 1, 4) == 6 + 3 + 2
    for each in found.rounds:
        for arm in each["arms"]:
            assert arm["val"] >= found.probes[arm["depth"]] - 1e-6  # no depth is judged below its probe
    first = found.rounds[0]["arms"]
    kept = sorted(first, key=lambda arm: -arm["val"])[:3]
    assert {arm["depth"] for arm in found.rounds[1]["arms"]} <= {arm["depth"] for arm in kept}
    assert len(read_history(tmp_path / "depth-3" / "history.jsonl")) >= 3
    monkeypatch.setattr("nas.job.trainings.fit", None)
    assert race(tmp_path, {2: 0.2, 3: 1.5, 5: 0.3}) == found


def test_of_depths_that_val_cannot_tell_apart_the_cheapest_is_taken(tmp_path: Path) -> None:
    part, val = split(0, 1.0), split(1, 1.0)
    same = race_cuts(
        {2: Cut(part, val), 6: Cut(part, val)},
        SPACE,
        RECIPE,
        folder=tmp_path,
        seed=0,
        device=CPU,
        architectures=1,
        epochs=4,
    )
    assert same.depth == 2
    assert same.standings[2]["behind"] == same.standings[6]["behind"] == 0
    assert same.to_json()["probes"]["2"] == same.probes[6]


def test_which_depths_are_raced() -> None:
    assert prior([0.6, 0.9, 0.8, 0.95, 0.7], 3, advised=4) == [2, 3, 4]
    assert prior([0.6, 0.9, 0.8, 0.95, 0.7], 2, advised=1) == [1, 4]
    assert prior([0.6, 0.9], 5, advised=2) == [1, 2]
    assert Arm(2, 1) < Arm(3, 0)


def test_one_depth_is_no_race(tmp_path: Path) -> None:
    with pytest.raises(SearchError, match="two depths or more"):
        race(tmp_path, {2: 1.0})
