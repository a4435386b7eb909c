"""A branch that begins at a fitted probe: the same scores, in either mode, and a probe that stays in training."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from branches.activation_maps import CAM, GRAD_CAM, activation_maps
from branches.branch import Branch
from branches.compression import folded
from branches.layers import ProbeStart
from branches.measures.metrics import REWARDS
from branches.probe import LinearProbe, Probe, linear_probe
from branches.saved import BranchRecord, load_branch, save_branch
from branches.settings import FitSettings
from branches.training import fit
from search_spaces import Space, macro_space, micro_space
from trunk.features.source import ArrayFeatures, LabelledFeatures

CHANNELS, DEAD = 8, 3
SPACES = {
    "macro": macro_space(2, widths=(4,), shortcuts=(True,)),
    "micro": micro_space(2, cells=2, widths=(4,), shortcuts=(True,)),
}


def split(seed: int, values: int, count: int) -> LabelledFeatures:
    """Channels of very different scales; one is always the same."""
    rng = np.random.default_rng(seed)
    labels = np.arange(count) % values
    x = rng.normal(size=(count, CHANNELS, 3, 3)) + 0.6 * np.eye(values, CHANNELS)[labels][:, :, None, None]
    x = (x + 5) * np.logspace(-2, 2, CHANNELS)[:, None, None]
    x[:, DEAD] = 2.5
    return LabelledFeatures(ArrayFeatures(x.astype(np.float32)), torch.from_numpy(labels), values)


def maps(part: LabelledFeatures) -> Tensor:
    return part.features.gather(torch.arange(len(part)))


@pytest.fixture(scope="module")
def fitted() -> Mapping[int, tuple[LabelledFeatures, LabelledFeatures, Probe]]:
    made = {}
    for values in (2, 3):
        train, val = split(0, values, 120), split(1, values, 60)
        made[values] = train, val, linear_probe(train, val)
    return made


def branch_of(space: Space, pooling: str, values: int, start: ProbeStart) -> Branch:
    rng = np.random.default_rng(0)
    choices = dict(space.random(rng).choices) | {"head.pooling": pooling}
    architecture = space.architecture([d.index(choices[d.name]) for d in space.decisions])
    branch = Branch(architecture, (CHANNELS, 3, 3), values, generator=torch.Generator().manual_seed(1))
    branch.begin_at(start)
    return branch


@pytest.mark.parametrize("values", [2, 3])
@pytest.mark.parametrize("pooling", ["average", "bilinear"])
@pytest.mark.parametrize("space", SPACES.values(), ids=SPACES)
def test_it_begins_with_the_probes_logits_in_training_and_in_use(
    fitted: Any, space: Space, pooling: str, values: int
) -> None:
    _, val, probe = fitted[values]
    branch = branch_of(space, pooling, values, probe.start)
    expected = probe.module(maps(val))
    for training in (True, False):
        torch.testing.assert_close(branch.train(training)(maps(val)), expected, rtol=1e-4, atol=1e-4)


def test_an_image_unlike_all_in_a_channel_that_never_changed_is_scored_as_the_probe_scores_it(fitted: Any) -> None:
    _, val, probe = fitted[2]
    other = maps(val).clone()
    other[:, DEAD] += 3.0
    branch = branch_of(SPACES["macro"], "average", 2, probe.start).eval()
    torch.testing.assert_close(branch(other), probe.module(other), rtol=1e-4, atol=1e-4)


def test_a_branch_without_the_shortcut_has_no_place_for_it(fitted: Any) -> None:
    space = macro_space(1, widths=(4,), shortcuts=(False,))
    architecture = space.random(np.random.default_rng(0))
    branch = Branch(architecture, (CHANNELS, 3, 3), 2)
    before = branch.head.linear.weight.detach().clone()
    branch.begin_at(fitted[2][2].start)
    assert torch.equal(branch.head.linear.weight, before)
    assert branch.head.probe_columns == 0


RECIPES = {
    "plain": FitSettings(epochs=2, batch_size=32),
    "all": FitSettings(
        epochs=2,
        batch_size=32,
        balance="weights",
        dropout=0.3,
        label_smoothing=0.1,
        mirror=True,
        noise=0.2,
        mixup=0.4,
        weight_decay=0.5,
        average=0.9,
    ),
}


@pytest.mark.parametrize("recipe", RECIPES.values(), ids=RECIPES)
@pytest.mark.parametrize("values", [2, 3])
def test_training_leaves_the_probe_where_it_is_and_moves_the_rest(
    fitted: Any, recipe: FitSettings, values: int
) -> None:
    train, val, probe = fitted[values]
    branch = branch_of(SPACES["macro"], "average", values, probe.start)
    before, norm = branch.head.linear.weight.detach().clone(), branch.head.shortcut_norm
    done = fit(branch, train, val, FitSettings(**{**vars(recipe), "keep": "last"}), seed=0)
    after = branch.head.linear.weight.detach()
    assert torch.equal(after[:, -CHANNELS:], before[:, -CHANNELS:])
    assert bool((after[:, :-CHANNELS] != 0).all())
    assert norm is not None
    assert norm.num_batches_tracked is not None
    assert int(norm.num_batches_tracked) == 0
    assert [record["epoch"] for record in done.curve] == [0, 1, 2]


def test_the_probe_may_move_a_little(fitted: Any) -> None:
    train, val, probe = fitted[2]
    moved = []
    for rate in (0.0, 0.1, 1.0):
        branch = branch_of(SPACES["macro"], "average", 2, probe.start)
        before = branch.head.linear.weight.detach()[:, -CHANNELS:].clone()
        recipe = FitSettings(epochs=1, batch_size=32, average=0, keep="last", weight_decay=0, probe_rate=rate)
        fit(branch, train, val, recipe, seed=0)
        moved.append(float((branch.head.linear.weight.detach()[:, -CHANNELS:] - before).abs().sum()))
    assert moved[0] == 0
    assert 0.03 * moved[2] < moved[1] < 0.3 * moved[2]


def test_what_training_only_spoils_is_the_probe_in_the_end(fitted: Any) -> None:
    train, val, probe = fitted[2]
    upside_down = LabelledFeatures(train.features, 1 - train.labels, 2)
    branch = branch_of(SPACES["macro"], "average", 2, probe.start)
    done = fit(branch, upside_down, val, FitSettings(epochs=2, batch_size=32, learning_rate=0.1, average=0), seed=0)
    assert done.epoch == 0
    assert done.val_score == pytest.approx(probe.val_score, abs=1e-6)
    torch.testing.assert_close(branch(maps(val)), probe.module(maps(val)), rtol=1e-4, atol=1e-4)


def test_saved_and_folded_it_gives_the_same(fitted: Any, tmp_path: Path) -> None:
    train, val, probe = fitted[2]
    branch = branch_of(SPACES["micro"], "average", 2, probe.start)
    fit(branch, train, val, FitSettings(epochs=1, batch_size=32), seed=0)
    expected = branch(maps(val))
    record = BranchRecord("a", ("no", "yes"), (CHANNELS, 3, 3), 1, "f" * 64, architecture=branch.architecture)
    save_branch(tmp_path / "branch", branch, record)
    loaded, _ = load_branch(tmp_path / "branch")
    torch.testing.assert_close(loaded(maps(val)), expected, rtol=1e-5, atol=1e-5)
    # A codec's components, here as many as there are channels: features x = P^T y + mean.
    turn = torch.linalg.qr(torch.randn(CHANNELS, CHANNELS, generator=torch.Generator().manual_seed(0)))[0]
    mean = torch.full((CHANNELS,), 0.5)
    outer = folded(branch, turn, mean)
    features = torch.einsum("kc,nkhw->nchw", turn, maps(val)) + mean[:, None, None]
    torch.testing.assert_close(outer(features), expected, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("pooling", ["average", "bilinear"])
def test_its_activation_map_is_the_probes_while_it_adds_nothing(fitted: Any, pooling: str) -> None:
    _, val, probe = fitted[2]
    branch, asked = branch_of(SPACES["macro"], pooling, 2, probe.start).eval(), val.labels[:6]
    found, expected = (activation_maps(module, maps(val)[:6], asked) for module in (branch, probe.module))
    assert found.method == expected.method == CAM
    torch.testing.assert_close(found.maps, expected.maps, rtol=1e-3, atol=1e-3)
    with torch.no_grad():
        branch.head.linear.weight[:, 0] = 0.5
    assert activation_maps(branch, maps(val)[:6], asked).method == (CAM if pooling == "average" else GRAD_CAM)


def test_the_start_is_the_fitted_probe(fitted: Any) -> None:
    train, val, probe = fitted[3]
    assert isinstance(probe.module, LinearProbe)
    averages = maps(train).mean((2, 3)).double()
    torch.testing.assert_close(probe.start.mean, averages.mean(0), rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(probe.start.variance, averages.var(0, unbiased=False), rtol=1e-4, atol=1e-8)
    assert probe.val_score == REWARDS["auroc"](probe.val_scores, val.labels.numpy())
