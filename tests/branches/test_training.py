"""Training: repeatable to the bit, balanced, keeps the right weights, and learns what can be learned."""

from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pytest
import torch
from torch import Tensor, nn

from branches.errors import BranchError
from branches.measures.metrics import REWARDS
from branches.settings import FitSettings
from branches.training import WeightAverage, augmented, batches, class_weights, fit, predict_scores, schedule
from trunk.features.source import ArrayFeatures, LabelledFeatures

SHAPE = (6, 3, 3)


def small_module(seed: int = 0, values: int = 2) -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return nn.Sequential(
            nn.Conv2d(SHAPE[0], 8, 3, bias=False),
            nn.BatchNorm2d(8),
            nn.ReLU(),
            nn.Flatten(),
            nn.Dropout(0.0),
            nn.Linear(8, values),
        )


def split(seed: int, count: int = 96, values: int = 2, rare: float = 0.5) -> LabelledFeatures:
    """Images whose value is the place of a bright spot: a map that a mean over positions cannot tell apart."""
    rng = np.random.default_rng(seed)
    labels = (rng.random(count) < rare).astype(np.int64) if values == 2 else rng.integers(values, size=count)
    labels[:values] = np.arange(values)
    features = 0.5 * rng.normal(size=(count, *SHAPE))
    features[np.arange(count), 0, labels, 1] += 2
    return LabelledFeatures(ArrayFeatures(features.astype(np.float16)), torch.from_numpy(labels), values)


Weights = dict[str, Tensor]


def weights(module: nn.Module) -> Weights:
    return {name: value.clone() for name, value in module.state_dict().items()}


def same(first: Weights, second: Weights) -> bool:
    return all(torch.equal(first[name], second[name]) for name in first)


ALL_ON = FitSettings(
    epochs=2, batch_size=16, dropout=0.3, mixup=0.4, noise=0.2, mirror=True, average=0.9, label_smoothing=0.1
)


def test_same_seed_same_weights_bit_for_bit_and_another_seed_others() -> None:
    results: list[tuple[Weights, npt.NDArray[np.float64]]] = []
    for seed in (5, 5, 6):
        module = small_module()
        trained = fit(module, split(0), split(1), ALL_ON, seed=seed)
        results.append((weights(module), trained.val_scores))
    assert same(results[0][0], results[1][0])
    assert np.array_equal(results[0][1], results[1][1])
    assert not same(results[0][0], results[2][0])


def test_the_global_generators_are_left_alone() -> None:
    torch_state, numpy_state = torch.get_rng_state(), np.random.get_state(legacy=False)["state"]["key"]  # noqa: NPY002
    fit(small_module(), split(0), split(1), ALL_ON, seed=5)
    assert torch.equal(torch_state, torch.get_rng_state())
    assert np.array_equal(numpy_state, np.random.get_state(legacy=False)["state"]["key"])  # noqa: NPY002


@pytest.mark.parametrize("values", [2, 3])
@pytest.mark.parametrize("balance", ["sampling", "weights", "none"])
def test_it_learns_what_is_there(values: int, balance: str) -> None:
    module = small_module(values=values)
    settings = FitSettings(epochs=12, batch_size=16, learning_rate=2e-2, balance=balance)
    trained = fit(module, split(0, 240, values), split(1, 120, values), settings, seed=0)
    test = split(2, 300, values)
    assert REWARDS["auroc"](predict_scores(module, test.features), test.labels.numpy()) > 0.95
    assert trained.curve[-1]["loss"] < trained.curve[0]["loss"]


@pytest.mark.parametrize("average", [0.0, 0.9])
def test_the_kept_weights_are_those_of_the_best_epoch(average: float) -> None:
    val = split(1, 40)
    module = small_module()
    settings = FitSettings(epochs=6, batch_size=16, learning_rate=0.05, average=average)
    trained = fit(module, split(0, 40), val, settings, seed=1)
    scores = [record["val_score"] for record in trained.curve]
    assert trained.epoch == int(np.argmax(scores)) + 1
    assert trained.val_score == max(scores)
    assert np.array_equal(predict_scores(module, val.features), trained.val_scores)
    assert REWARDS["auroc"](trained.val_scores, val.labels.numpy()) == trained.val_score
    last = fit(small_module(), split(0, 40), val, FitSettings(**{**settings.__dict__, "keep": "last"}), seed=1)
    assert (last.epoch, last.val_score) == (6, scores[-1])


def test_progress_and_stop() -> None:
    seen: list[tuple[str, int, int, float]] = []
    trained = fit(
        small_module(),
        split(0),
        split(1),
        FitSettings(epochs=9, batch_size=32),
        seed=0,
        progress=lambda stage, done, total, figures: seen.append((stage, done, total, figures["val_score"])),
        stage="candidates",
        stop=lambda: len(seen) == 2,
    )
    assert [(stage, done, total) for stage, done, total, _ in seen] == [("candidates", 1, 9), ("candidates", 2, 9)]
    assert [record["val_score"] for record in trained.curve] == [score for *_, score in seen]


def test_a_training_that_diverges_ends_and_scores_nothing() -> None:
    module = small_module()
    with torch.no_grad():
        module.get_parameter("5.weight").fill_(torch.nan)
    trained = fit(module, split(0), split(1), FitSettings(epochs=5, batch_size=32), seed=0)
    assert len(trained.curve) == 1
    assert trained.val_score == 0.0


@pytest.mark.parametrize("positives", [5, 48])
def test_balanced_batches_hold_all_values_in_equal_parts(positives: int) -> None:
    labels = np.zeros(96, dtype=np.int64)
    labels[:positives] = 1
    epochs = batches(labels, 2, FitSettings(batch_size=16, balance="sampling"), np.random.default_rng(0))
    drawn = [next(epochs) for _ in range(4)]
    assert all(labels[batch].sum() == 8 for epoch in drawn for batch in epoch)
    count = np.bincount(np.concatenate([batch for epoch in drawn for batch in epoch]), minlength=96)
    for value in (0, 1):
        assert np.ptp(count[labels == value]) <= 1  # no image comes twice before all came once


def test_plain_epochs_are_permutations() -> None:
    epochs = batches(
        np.zeros(96, dtype=np.int64), 2, FitSettings(batch_size=16, balance="none"), np.random.default_rng(0)
    )
    first, second = np.concatenate(next(epochs)), np.concatenate(next(epochs))
    assert np.array_equal(np.sort(first), np.arange(96))
    assert np.array_equal(np.sort(second), np.arange(96))
    assert not np.array_equal(first, second)


def test_three_images_are_enough() -> None:
    trained = fit(small_module(), split(0, 3), split(1, 3), FitSettings(epochs=2), seed=0)
    assert len(trained.curve) == 2


def test_class_weights_make_values_count_the_same() -> None:
    train = split(0, 100, rare=0.1)
    weight, count = class_weights(train), torch.bincount(train.labels)
    assert torch.allclose(weight * count, torch.full((2,), 50.0))


def test_weight_average_is_the_recursion() -> None:
    module = nn.Linear(2, 1)
    average = WeightAverage(module, 0.5)
    expected = module.weight.detach().clone()
    for step in range(1, 30):
        with torch.no_grad():
            module.weight.add_(1.0)
        average.update(module, step)
        decay = min(0.5, step / (step + 10))
        expected = decay * expected + (1 - decay) * module.weight.detach()
    before = module.weight.detach().clone()
    average.swap(module)
    assert torch.allclose(module.weight, expected)
    average.swap(module)
    assert torch.equal(module.weight, before)


def test_schedule_warms_up_and_falls_to_zero() -> None:
    factors = [schedule(done, 0.1) for done in np.linspace(0, 1, 101)]
    assert factors[0] < 0.02
    assert np.argmax(factors) == 10
    assert factors[10] == 1.0
    assert factors[-1] == pytest.approx(0, abs=1e-12)
    assert all(np.diff(factors[10:]) < 0)


def test_augmentations_keep_what_they_promise() -> None:
    features, target = torch.randn(32, 4, 3, 5), torch.eye(2)[torch.arange(32) % 2]
    rng = np.random.default_rng(0)
    mirrored, same_target = augmented(features, target, FitSettings(mirror=True), rng)
    turned = (mirrored == features.flip(3)).flatten(1).all(1)
    kept = (mirrored == features).flatten(1).all(1)
    assert bool((turned | kept).all())
    assert 4 < int(turned.sum()) < 28
    assert torch.equal(target, same_target)
    _, mixed = augmented(features, target, FitSettings(mixup=1.0), rng)
    assert torch.allclose(mixed.sum(1), torch.ones(32))
    assert not torch.equal(mixed, target)
    scaled, _ = augmented(features, target, FitSettings(noise=0.3), rng)
    factor = scaled / features
    assert torch.allclose(factor, factor[:, :, :1, :1].expand_as(factor), atol=1e-4)


def test_confident_scores_keep_their_order() -> None:
    logits = torch.tensor([[0.0, 20.0], [0.0, 25.0]])
    scores = predict_scores(nn.Flatten(), ArrayFeatures(logits.numpy()))
    assert scores[0, 1] < scores[1, 1]


@pytest.mark.parametrize(
    "wrong",
    [
        {"balance": "luck"},
        {"metric": "loss"},
        {"epochs": 0},
        {"batch_size": 1},
        {"dropout": 1.0},
        {"mixup": -1.0},
        {"learning_rate": 0.0},
    ],
)
def test_wrong_settings_are_named(wrong: dict[str, object]) -> None:
    with pytest.raises(BranchError, match=next(iter(wrong))):
        FitSettings(**wrong)  # type: ignore[arg-type]


def test_a_missing_value_is_named() -> None:
    train = split(0)
    empty = LabelledFeatures(train.features, torch.zeros(len(train), dtype=torch.int64), 2)
    with pytest.raises(BranchError, match="no image of value 1"):
        fit(small_module(), empty, split(1), FitSettings(), seed=0)
    with pytest.raises(BranchError, match="val split"):
        fit(small_module(), train, empty, FitSettings(), seed=0)


@pytest.mark.parametrize("wrong", [np.nan, np.inf])
@pytest.mark.parametrize("side", ["train", "val"])
def test_features_that_are_no_numbers_are_refused_with_their_cause(side: str, wrong: float) -> None:
    splits = {name: split(seed) for seed, name in enumerate(("train", "val"))}
    array = splits[side].features.gather(torch.arange(96)).float().numpy().astype(np.float16)
    array[3, 1, 2, 0] = wrong
    splits[side] = LabelledFeatures(ArrayFeatures(array), splits[side].labels, 2)
    with pytest.raises(BranchError, match=f"1 of the first 96 features of the {side} split hold nan") as caught:
        fit(small_module(), splits["train"], splits["val"], FitSettings(epochs=1), seed=0, device="cpu")
    assert "the trunk's weights" in str(caught.value)
    assert "learning rate" not in str(caught.value)


def test_an_epoch_of_few_steps_goes_on_where_the_last_one_ended() -> None:
    labels = np.arange(40) % 2
    short = FitSettings(batch_size=4, max_steps=3)
    assert short.steps(40) == 3
    assert replace(short, max_steps=0).steps(40) == 10
    epochs = batches(labels, 2, short, np.random.default_rng(0))
    seen = np.concatenate([np.concatenate(next(epochs)) for _ in range(3)])
    assert [len(seen), len(set(seen.tolist()))] == [36, 36]
