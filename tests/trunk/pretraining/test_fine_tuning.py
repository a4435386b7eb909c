from collections.abc import Mapping
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest
import torch

from subdatasets.subdataset import SubDataset
from tests.trunk.conftest import SIZE
from trunk.backbones.find import find_backbone
from trunk.errors import TrunkError
from trunk.preprocessing import Preprocessing
from trunk.pretraining.fine_tuning import parameter_groups
from trunk.pretraining.loop import Pretraining
from trunk.pretraining.settings import PretrainSettings, settings_from
from trunk.trunk import Trunk, trunk_state

SETTINGS = settings_from(
    PretrainSettings(
        batch_size=8,
        warmup_steps=2,
        validate_every=8,
        checkpoint_every=5,
        precision="float32",
        flip=False,
        tune_steps=16,
        tune_learning_rate=1e-2,
        tune_head_steps=4,
    ),
    weights=True,
)


def given(seed: int = 5) -> Trunk:
    torch.manual_seed(seed)
    return Trunk("small_cnn", find_backbone("small_cnn").build(), Preprocessing(SIZE))


def tuning(
    subdatasets: list[SubDataset], folder: Path, settings: PretrainSettings = SETTINGS, start: Trunk | None = None
) -> Pretraining:
    begin = start or given()
    return Pretraining(subdatasets, "small_cnn", Preprocessing(SIZE), settings, folder=folder, start=begin)


def moved(before: Trunk, after: Trunk) -> set[str]:
    """The first parts of the names of all weights that differ."""
    own, others = trunk_state(before.chain), trunk_state(after.chain)
    return {name for name in own if not torch.equal(own[name], others[name])}


def test_a_training_begins_at_the_weights_it_is_given(subdatasets: list[SubDataset], tmp_path: Path) -> None:
    start = given()
    # The weights given here are random: batch norm's statistics, never measured, have to be trained with them.
    training = tuning(subdatasets, tmp_path, replace(SETTINGS, tune_norms="trained"), start)
    assert trunk_state(training.graph.chain).keys() == trunk_state(start.chain).keys()
    assert all(torch.equal(v, trunk_state(start.chain)[k]) for k, v in trunk_state(training.graph.chain).items())
    trained = training.run()
    assert any("block0" in name for name in moved(start, trained))
    assert min(training.auroc.values()) > 0.9


def test_the_given_trunk_itself_does_not_change(subdatasets: list[SubDataset], tmp_path: Path) -> None:
    start = given()
    before = start.fingerprint, {name: value.clone() for name, value in trunk_state(start.chain).items()}
    tuning(subdatasets, tmp_path, start=start).run()
    assert start.fingerprint == before[0]
    assert all(torch.equal(value, before[1][name]) for name, value in trunk_state(start.chain).items())


def test_while_the_heads_warm_up_nothing_else_moves(subdatasets: list[SubDataset], tmp_path: Path) -> None:
    start = given()
    settings = replace(SETTINGS, steps=4)
    training = tuning(subdatasets, tmp_path, settings, start)
    heads = [head.clone() for head in training.graph.heads.parameters()]
    assert not moved(start, training.run())
    assert not any(torch.equal(a, b) for a, b in zip(heads, training.graph.heads.parameters(), strict=True))


def test_frozen_blocks_stay_to_the_bit(subdatasets: list[SubDataset], tmp_path: Path) -> None:
    start = given()
    names = moved(start, tuning(subdatasets, tmp_path, replace(SETTINGS, tune_frozen=3), start).run())
    assert {name.partition(".")[0] for name in names} == {"block3", "block4", "block5"}


@pytest.mark.parametrize(("norms", "statistics_move"), [("trained", True), ("kept", False)])
def test_norm_statistics_are_trained_or_kept(
    subdatasets: list[SubDataset], tmp_path: Path, norms: str, statistics_move: bool
) -> None:
    start = given()
    names = moved(start, tuning(subdatasets, tmp_path, replace(SETTINGS, tune_norms=norms), start).run())
    assert any("running_mean" in name for name in names) is statistics_move
    assert any(name.endswith("0.weight") for name in names)


def test_rates_rise_from_the_first_block_to_the_heads(subdatasets: list[SubDataset], tmp_path: Path) -> None:
    graph = tuning(subdatasets, tmp_path).graph
    groups = parameter_groups(graph, replace(SETTINGS, tune_stem=0.01))
    names = {id(weight): name for name, weight in graph.named_parameters()}
    share = {names[id(weight)]: group["share"] for group in groups for weight in group["params"]}
    assert set(share) == {name for name, _ in graph.named_parameters()}
    assert share["heads.0.weight"] == share["chain.block5.0.weight"] == 1.0
    blocks = [share[f"chain.block{number}.0.weight"] for number in range(6)]
    assert blocks[0] == pytest.approx(0.01)
    ratios = [later / earlier for earlier, later in pairwise(blocks)]
    assert ratios == pytest.approx([0.01 ** (-1 / 5)] * 5)


class KilledError(Exception):
    pass


@pytest.mark.parametrize("stop", [2, 10])  # while the heads learn alone, and after
def test_a_stopped_fine_tuning_ends_like_an_uninterrupted_one(
    subdatasets: list[SubDataset], tmp_path: Path, stop: int
) -> None:
    settings = replace(SETTINGS, checkpoint_every=2, validate_every=2)
    whole = tuning(subdatasets, tmp_path / "whole", settings).run()

    def stopping(_stage: str, done: int, _total: int, _figures: Mapping[str, float]) -> None:
        if done > stop:
            raise KilledError

    with pytest.raises(KilledError):
        tuning(subdatasets, tmp_path / "halves", settings).run(progress=stopping)
    resumed = tuning(subdatasets, tmp_path / "halves", settings)
    assert resumed.resume()
    assert resumed.step == stop
    assert resumed.run().fingerprint == whole.fingerprint


def test_a_checkpoint_of_another_start_is_refused(subdatasets: list[SubDataset], tmp_path: Path) -> None:
    tuning(subdatasets, tmp_path).run()
    with pytest.raises(TrunkError, match="other start"):
        tuning(subdatasets, tmp_path, start=given(seed=6)).resume()


def test_weights_of_another_backbone_are_no_start(subdatasets: list[SubDataset], tmp_path: Path) -> None:
    with pytest.raises(TrunkError, match="cannot begin from the weights of a small_cnn"):
        Pretraining(subdatasets, "inception_v3", Preprocessing(96), SETTINGS, folder=tmp_path, start=given())


def test_freezing_every_block_leaves_nothing_to_train(subdatasets: list[SubDataset], tmp_path: Path) -> None:
    with pytest.raises(TrunkError, match=r"trunk.tune_frozen must leave a block of small_cnn's 6 to train, is 6"):
        tuning(subdatasets, tmp_path, replace(SETTINGS, tune_frozen=6))


def test_settings_of_the_other_kind_name_no_version() -> None:
    odd = PretrainSettings(steps=7, tune_steps=9, tune_learning_rate=0.5)
    assert settings_from(odd, weights=False) == PretrainSettings(steps=7)
    tuned = settings_from(odd, weights=True)
    assert (tuned.steps, tuned.learning_rate) == (9, 0.5)
