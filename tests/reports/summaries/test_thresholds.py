"""Thresholds against scikit-learn, goals by trying every threshold, and the table that shows them."""

from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import accuracy_score, confusion_matrix, precision_score, recall_score

from reports.search.operation import threshold_table
from reports.summaries.predictions import SplitScores
from reports.summaries.search import read_records
from reports.summaries.thresholds import STEPS, chosen_threshold, goals, operating_rows, points_at
from tests.reports.search_folder import write_search


def split_of(count: int, seed: int, digits: int = 2) -> SplitScores:
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 2, count)
    positive = np.clip(rng.normal(0.35 + 0.3 * labels, 0.2), 0, 1).round(digits)  # with ties
    return SplitScores(labels, (positive >= 0.5).astype(np.int64), np.stack([1 - positive, positive], 1))


def test_every_figure_is_scikit_learns() -> None:
    scores = split_of(200, 0)
    thresholds = np.array([0.0, 0.25, 0.5, 0.51, 0.9, 1.0])
    for threshold, point in zip(thresholds, points_at(thresholds, scores), strict=True):
        predicted = (scores.scores[:, 1] >= threshold).astype(int)
        (negatives, alarms), _ = confusion_matrix(scores.labels, predicted, labels=[0, 1])
        assert point.threshold == threshold
        assert point.accuracy == pytest.approx(accuracy_score(scores.labels, predicted))
        assert point.precision == pytest.approx(precision_score(scores.labels, predicted, zero_division=0.0))
        assert point.recall == pytest.approx(recall_score(scores.labels, predicted))
        assert point.fpr == pytest.approx(alarms / (alarms + negatives))


@pytest.mark.parametrize("seed", range(4))
def test_goals_are_reached_at_the_least_cost(seed: int) -> None:
    val = split_of(150, seed)
    found = {why: threshold for threshold, why in goals(val).items()}
    assert set(found) == {"FPR at most 1% on val", "FPR at most 5% on val", "recall at least 95% on val"}
    everywhere = points_at(np.linspace(0, 1, 1001), val)
    for why, threshold in found.items():
        (at,) = points_at(np.array([threshold]), val)
        if why.startswith("FPR"):
            goal = 0.01 if "1%" in why else 0.05
            assert at.fpr <= goal
            assert at.recall == max(point.recall for point in everywhere if point.fpr <= goal)
        else:
            assert at.recall >= 0.95
            assert at.fpr == min(point.fpr for point in everywhere if point.recall >= 0.95)


def test_the_table_marks_the_threshold_that_val_chose(tmp_path: Path) -> None:
    records = read_records(write_search(tmp_path, epochs=1, proposals=8))
    rows, table = operating_rows(records), threshold_table(records)
    assert table is not None
    assert table.marked is not None
    assert rows[table.marked].threshold == chosen_threshold(records) == 0.4312
    assert table.rows[table.marked][0] == "0.431\nchosen on val"
    assert [row.threshold for row in rows] == sorted(row.threshold for row in rows)
    assert set(STEPS) <= {row.threshold for row in rows}
    test = records.predictions.splits["test"]
    marked = rows[table.marked].test
    assert marked is not None
    assert marked.accuracy == pytest.approx((test.labels == test.predicted).mean())
    assert f"val {rows[0].val.recall:.4f}" in table.rows[0][3]  # type: ignore[union-attr]


def test_no_thresholds_of_many_values_or_of_one(tmp_path: Path) -> None:
    records = read_records(write_search(tmp_path, values=("a", "b", "c"), epochs=1, proposals=8))
    assert operating_rows(records) == ()
    scores = split_of(10, 0)
    assert points_at(np.array([0.5]), scores._replace(labels=np.ones(10, dtype=np.int64))) == []
