"""Summaries against numbers worked out by hand or by scipy."""

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.stats import kendalltau

from reports.search.verdict import verdict
from reports.summaries.candidates import candidates, rank_agreement, retrainings
from reports.summaries.comparison import curves_of, gains, methods
from reports.summaries.curves import child_loss, entropy, rewards
from reports.summaries.search import Records, read_records
from tests.reports.search_folder import write_search


def records_of(result: dict[str, Any] | None = None, *history: dict[str, Any]) -> Records:
    return Records(Path("bald") / "s1", {}, result or {}, {}, tuple(history), ())


def update(epoch: int, reward: float, **fields: Any) -> dict[str, Any]:
    return {"kind": "controller_update", "epoch": epoch, "reward": reward} | fields


@pytest.mark.parametrize("first", [0, 1])
def test_updates_are_placed_inside_their_epoch(first: int) -> None:
    history = [{"kind": "child_epoch", "epoch": first + n, "loss": 1.0 - n / 10} for n in range(3)]
    history += [update(first + 2, 0.5, rewards=[0.4, 0.6]), update(first + 2, 0.7, rewards=[0.65, 0.75])]
    found = rewards(records_of(None, *history))
    assert found is not None
    assert found.epochs == (2.5, 3.0)  # the first two epochs were warm-up, without updates
    assert (found.mean, found.low, found.high) == ((0.5, 0.7), (0.4, 0.65), (0.6, 0.75))
    loss = child_loss(records_of(None, *history))
    assert loss is not None
    assert loss.epochs == (1.0, 2.0, 3.0)


def test_best_so_far_never_falls() -> None:
    found = rewards(records_of(None, *(update(1, 0.5, best_reward=best) for best in (0.6, 0.9, 0.7))))
    assert found is not None
    assert found.best.values == (0.6, 0.9, 0.9)


def test_many_updates_are_joined_and_none_is_lost() -> None:
    rng = np.random.default_rng(0)
    values = rng.random(1000)
    found = rewards(records_of(None, *(update(1 + n // 10, float(v)) for n, v in enumerate(values))), points=100)
    assert found is not None
    assert (len(found.mean), found.updates) == (100, 1000)
    assert np.mean(found.mean) == pytest.approx(values.mean())
    assert (min(found.low), max(found.high)) == (values.min(), values.max())


def test_uniform_entropy_is_the_log_of_the_number_of_architectures() -> None:
    decisions = [["width", [16, 32, 64], "width"], ["edge1-2", [False, True], "edge"]]
    found = entropy(records_of({"decisions": decisions}, update(1, 0.5, entropy=1.7)))
    assert found is not None
    assert found.uniform == pytest.approx(math.log(6))


def test_kendall_agrees_with_scipy() -> None:
    rng = np.random.default_rng(1)
    for _ in range(20):
        left, right = rng.integers(0, 6, 12), rng.integers(0, 6, 12)  # with ties
        ours = rank_agreement([(float(x), float(y)) for x, y in zip(left, right, strict=True)])
        assert ours == pytest.approx(kendalltau(left, right).statistic)
    assert rank_agreement([(1.0, 2.0), (2.0, 3.0)]) is None
    assert rank_agreement([(1.0, 2.0)] * 5) is None


def test_candidates_carry_their_retraining_and_one_is_the_winner(tmp_path: Path) -> None:
    records = read_records(write_search(tmp_path))
    found = candidates(records)
    assert len(found) == 40
    assert [one.identity for one in found if one.is_winner] == [records.result["identity"]]
    trained = {str(one["identity"]): one for one in records.of("retraining")}
    assert {one.identity for one in found if one.retrained is not None} == set(trained)
    curves = retrainings(records)
    assert len(curves) == len(trained)
    assert sum(curve.is_winner for curve in curves) == 1
    assert curves[0].line.epochs == tuple(float(epoch) for epoch in range(1, 13))


def test_methods_mean_over_trainings_and_reduction_against_the_tail(tmp_path: Path) -> None:
    records = read_records(write_search(tmp_path))
    winner, random, probe, tail = methods(records)
    repeats: Any = records.result["repeats"]
    assert winner.test_score == pytest.approx(np.mean(repeats["winner"]["test_auroc"]))
    assert winner.reduction == pytest.approx(records.result["parameter_reduction"])
    assert probe.test_score == probe.test["auroc"]
    assert tail.reduction == 0
    assert [one.key for one in (winner, random, probe, tail)] == ["winner", "random", "linear_probe", "tail"]


def test_methods_before_the_result_come_from_the_history() -> None:
    history = [
        {"kind": "retraining", "role": "candidate", "val": {"auroc": value}, "parameters": 10}
        for value in (0.8, 0.9, 0.7)
    ] + [{"kind": "control", "name": "tail", "val": {"auroc": 0.85}, "parameters": 100}]
    winner, tail = methods(records_of(None, *history))
    assert (winner.val_score, winner.test_score, tail.val_score) == (0.9, None, 0.85)


@pytest.mark.parametrize(
    ("low", "high", "standing"),
    [
        (0.001, 0.01, "better"),
        (-0.001, 0.01, "not told apart"),
        (-0.02, -0.01, "worse"),
        (None, None, "not told apart"),
    ],
)
def test_standing_follows_the_interval(low: float | None, high: float | None, standing: str) -> None:
    gain = {"over_random": {"difference": 0.005, "low": low, "high": high}}
    records = records_of({"gain": gain, "status": "complete"})
    assert verdict(records).standing == standing


def test_without_repeats_the_interval_is_that_over_images() -> None:
    gain = {"difference": 0.005, "low": 0.005, "high": 0.005, "images_low": -0.01, "images_high": 0.02}
    (found,) = gains(records_of({"gain": {"over_tail": gain}}))
    assert (found.low, found.high, found.over, found.judgement) == (-0.01, 0.02, "images", "not told apart")


def test_unfinished_search_counts_what_it_did() -> None:
    found = verdict(records_of(None, update(1, 0.5), update(1, 0.6), {"kind": "child_epoch"}))
    assert found.standing == "unfinished"
    assert found.sentence == "There is no verdict yet. So far: 1 child epoch, 2 controller updates."


def test_roc_curves_mark_the_winners_threshold(tmp_path: Path) -> None:
    records = read_records(write_search(tmp_path))
    curves = curves_of(records, "test", "roc")
    assert [curve.key for curve in curves] == ["winner", "random", "linear_probe", "tail"]
    test: Any = records.result["test"]
    assert curves[0].mark == (test["fpr"], test["recall"])


def test_roc_with_lists_of_different_length_is_left_out() -> None:
    assert curves_of(records_of({"roc": {"val": {"winner": {"fpr": [0, 0.5, 1], "tpr": [0, 1]}}}}), "val", "roc") == ()
    assert curves_of(records_of({"roc": {"val": {"winner": {"fpr": [0, "x"], "tpr": [0, 1]}}}}), "val", "roc") == ()


def test_nothing_is_called_better_where_too_few_test_images_tell() -> None:
    gain = {"over_random": {"difference": 0.2, "low": 0.1, "high": 0.3, "images_low": 0.1, "images_high": 0.3}}
    result = {"gain": gain, "status": "complete", "verdict": "too few test images of 'yes' (1, it takes 10) to tell"}
    before = verdict(records_of(result))
    assert (before.standing, len(before.tiles)) == ("better", 1), "a record from before keeps its verdict"
    found = verdict(records_of({**result, "too_few": {"value": "yes", "images": 1}}))
    assert (found.standing, found.headline) == ("too few", "Too few test images to tell")
    assert found.tiles == (), "the gain is no key figure"
    (shown,) = gains(records_of({**result, "too_few": {"value": "yes", "images": 1}}))
    assert (shown.low, shown.high, shown.judgement) == (None, None, "not told apart")


@pytest.mark.parametrize(
    ("action", "headline"),
    [
        ("ship", "Ship the linear probe"),
        ("ship, and label more", "Ship the linear probe, and label more"),
        ("label more", "Label more before you ship the linear probe"),
    ],
)
def test_the_headline_is_the_advice_and_the_search_has_its_own_gain(action: str, headline: str) -> None:
    gain = {"difference": 0.01, "low": -0.01, "high": 0.03, "images_low": 0.0, "images_high": 0.02}
    over = {"over_searched": {**gain, "over": "images and seeds"}}
    search_gain = {**gain, "difference": -0.2, "low": -0.3, "high": -0.1, "over": "images and seeds"}
    result = {"kind": "probe", "advice": {"action": action}, "gain": over, "search_gain": search_gain}
    found = verdict(records_of({**result, "status": "complete", "verdict": "Ship it."}))
    assert (found.headline, found.sentence) == (headline, "Ship it.")
    assert found.standing == action.replace(",", "")
    assert found.tiles[0].name == "gain over random"
    (shown,) = gains(records_of(result))
    assert (shown.key, shown.over, shown.judgement) == ("searched", "images and seeds", "not told apart")


def test_a_chosen_kind_stands_once_and_the_searched_branch_beside_it() -> None:
    val, history = {"auroc": 0.9}, {"kind": "control", "name": "linear_probe", "val": {"auroc": 0.9}, "parameters": 10}
    result = {"kind": "probe", "parameters": 10, "val": val, "controls": {"searched": {"val": val, "parameters": 90}}}
    assert [(method.key, method.name) for method in methods(records_of(result, history))] == [
        ("winner", "linear probe"),
        ("searched", "searched branch"),
    ]
