"""Calibration against what generated the scores, against a plain search, and against its own promises."""

import json
from typing import Any

import numpy as np
import pytest
from sklearn.isotonic import IsotonicRegression

from branches.errors import BranchError
from branches.measures.calibration import (
    Bin,
    calibrate,
    expected_calibration_error,
    fit_calibration,
    fit_isotonic,
    fit_temperature,
    held_out,
    reliability,
    reliability_record,
    surprise,
)
from deployment.calibration import calibrated
from deployment.errors import BundleError


def drawn(seed: int, count: int, values: int, temperature: float) -> tuple[np.ndarray, np.ndarray]:
    """Scores whose logits are `temperature` times those that the labels are drawn from."""
    rng = np.random.default_rng(seed)
    logits = 2 * rng.normal(size=(count, values))
    true = softmax(logits)
    labels = (true.cumsum(1) < rng.random((count, 1))).sum(1)
    return softmax(logits * temperature), labels


def softmax(logits: np.ndarray) -> np.ndarray:
    table = np.exp(logits - logits.max(1, keepdims=True))
    return table / table.sum(1, keepdims=True)


@pytest.mark.parametrize("values", [2, 4])
@pytest.mark.parametrize("temperature", [0.5, 1.0, 3.0])
def test_the_temperature_that_the_labels_were_drawn_with_is_found(values: int, temperature: float) -> None:
    scores, labels = drawn(1, 10_000, values, temperature)
    found = fit_temperature(scores, labels)["temperature"]
    assert found == pytest.approx(temperature, rel=0.05)
    grid = np.geomspace(0.2, 5, 60)
    losses = [surprise(calibrate({"method": "temperature", "temperature": t}, scores), labels).mean() for t in grid]
    assert found == pytest.approx(grid[int(np.argmin(losses))], rel=0.06)


def test_a_val_split_without_a_mistake_leaves_a_doubt() -> None:
    scores = np.array([[0.9, 0.1]] * 8 + [[0.1, 0.9]] * 8)
    labels = np.repeat([0, 1], 8)
    for method in (fit_temperature, fit_isotonic):
        found = calibrate(method(scores, labels), scores)
        assert found[labels == 1, 1] == pytest.approx(0.9, abs=1e-3)  # (8 + 1) / (8 + 2)


def test_isotonic_curves_are_scikit_learns_but_for_the_softened_ends() -> None:
    scores, labels = drawn(2, 4000, 2, 2.0)
    expected = IsotonicRegression(out_of_bounds="clip").fit(scores[:, 1], labels).predict(scores[:, 1])
    found = calibrate(fit_isotonic(scores, labels), scores)
    np.testing.assert_allclose(found[:, 1], expected, atol=1e-3)
    order = np.argsort(scores[:, 1])
    assert (np.diff(found[order, 1]) >= 0).all()
    assert found.min() > 0


@pytest.mark.parametrize("method", ["temperature", "isotonic"])
@pytest.mark.parametrize("values", [2, 3])
def test_calibrated_scores_sum_to_one_survive_json_and_are_the_runtimes(method: str, values: int) -> None:
    scores, labels = drawn(3, 300, values, 2.0)
    fitted = {"temperature": fit_temperature, "isotonic": fit_isotonic}[method](scores, labels)
    extreme = np.concatenate([scores, np.eye(values)])  # a saturated softmax
    found = calibrate(json.loads(json.dumps(fitted)), extreme)
    np.testing.assert_allclose(found.sum(1), 1)
    assert np.isfinite(found).all()
    runtimes = calibrated(fitted, extreme)
    assert runtimes is not None
    assert np.array_equal(found, runtimes)


def test_overconfidence_goes_and_the_rule_prefers_one_parameter() -> None:
    scores, labels = drawn(4, 3000, 2, 3.0)
    fitted = fit_calibration(scores, labels)
    assert fitted["method"] == "temperature"
    fresh, truth = drawn(5, 3000, 2, 3.0)
    before, after = (reliability_record(table, truth) for table in (fresh, calibrate(fitted, fresh)))
    assert after["ece"] < 0.03 < before["ece"]
    assert after["nll"] < before["nll"]


def test_a_distortion_that_no_temperature_mends_takes_the_curve() -> None:
    scores, labels = drawn(6, 3000, 2, 1.0)
    scores = np.stack([1 - scores[:, 1] ** 4, scores[:, 1] ** 4], axis=1)
    fitted = fit_calibration(scores, labels)
    losses = fitted["cross_validated_nll"]
    assert fitted["method"] == "isotonic"
    assert losses["isotonic"] + fitted["standard_error"] < losses["temperature"] < losses["raw"]
    few = fit_calibration(scores[:999], labels[:999])
    assert few["method"] == "temperature"  # a curve needs 1,000 images, however well it looks
    assert few["cross_validated_nll"]["isotonic"] + few["standard_error"] < few["cross_validated_nll"]["temperature"]


def test_held_out_scores_do_not_know_their_own_label() -> None:
    scores, labels = drawn(7, 40, 2, 1.0)
    before = held_out("isotonic", scores, labels)
    same_value = np.flatnonzero(labels == labels[0])
    other = labels.copy()
    other[same_value[0]] = 1 - labels[0]
    refit = held_out("isotonic", scores, other)
    assert before.shape == (40, 2)
    assert not np.array_equal(before, refit)
    # One image of each value: there is nothing to hold out, and still something to give.
    assert np.isfinite(fit_calibration(scores[:2] * 0 + [[0.6, 0.4], [0.3, 0.7]], [0, 1])["standard_error"])


def test_bins_and_their_gap_by_hand() -> None:
    scores = np.array([[0.9, 0.1], [0.8, 0.2], [0.35, 0.65], [0.3, 0.7], [0.0, 1.0]])
    found = reliability(scores, [0, 1, 1, 0, 1], bins=2)
    assert found == [pytest.approx(Bin(0.15, 0.5, 2)), pytest.approx(Bin(0.7833333, 2 / 3, 3))]
    assert expected_calibration_error(found) == pytest.approx((2 * 0.35 + 3 * (0.7833333 - 2 / 3)) / 5)
    three = reliability([[0.5, 0.3, 0.2], [0.1, 0.1, 0.8]], [1, 2], bins=10)
    assert three == [Bin(0.5, 0.0, 1), pytest.approx(Bin(0.8, 1.0, 1))]


@pytest.mark.parametrize(
    "record",
    [
        {},
        {"method": "temperature"},
        {"method": "temperature", "temperature": "hot"},
        {"method": "temperature", "temperature": 0.0},
        {"method": "temperature", "temperature": -1.0},
        {"method": "isotonic", "curves": []},
        {"method": "isotonic", "curves": [{"scores": [0, 1]}]},
        {"method": "isotonic", "curves": [{"scores": [0, 1], "calibrated": [0]}]},
        {"method": "isotonic", "curves": 3},
        {"method": "isotonic", "curves": [{"scores": ["a"], "calibrated": [0]}] * 2},
    ],
)
def test_the_runtime_distrusts_a_record(record: dict[str, Any]) -> None:
    with pytest.raises(BundleError, match="the calibration of a branch cannot be used"):
        calibrated(record, [[0.4, 0.6], [0.7, 0.3]])


def test_wrong_shapes_are_refused() -> None:
    for fit in (fit_temperature, fit_isotonic, fit_calibration):
        with pytest.raises(BranchError, match="scores must be"):
            fit([0.1, 0.9], [0, 1])
