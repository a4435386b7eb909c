"""What is asked next: rare values are found, clusters are spread over, figures come with their interval."""

import numpy as np
import pytest
from sklearn.exceptions import ConvergenceWarning

from branches.measures.metrics import auroc
from graftnet.data.labelling.choosing import choose, one_per_cluster, shuffled, split_of
from graftnet.data.labelling.fitting import fitted_scores, reduced
from graftnet.data.labelling.progress import measured

pytestmark = pytest.mark.filterwarnings(f"error::{ConvergenceWarning.__module__}.ConvergenceWarning")


def rare(count: int, share: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Averages and labels; a value of this share lies apart in two of forty columns."""
    rng = np.random.default_rng(seed)
    labels = (rng.random(count) < share).astype(np.int64)
    rows = rng.normal(0, 1, (count, 40))
    rows[:, :2] += 1.7 * labels[:, None]
    return rows.astype(np.float32), labels


def test_half_the_labels_do_for_a_rare_value() -> None:
    """Chosen pictures hold several times as many of it, and a fit on them is better than on twice as many at random."""
    chosen_scores: list[float] = []
    random_scores: list[float] = []
    found = []
    for seed in range(3):
        rows, labels = rare(1500, 0.04, seed)
        pool, test = np.arange(1000), np.arange(1000, 1500)
        turned = reduced(rows, seed=0)
        known = list(range(24))
        while len(known) < 120:
            numbers = np.array(known)
            scores = fitted_scores(turned, numbers, labels[numbers], 2)
            counts = np.bincount(labels[numbers], minlength=2).tolist()
            known += choose(turned, np.setdiff1d(pool, numbers), scores, counts, 24, seed=seed)
        assert len(set(known)) == 120
        found.append(int(labels[known].sum()))
        for numbers, kept in ((np.array(known), chosen_scores), (pool[:240], random_scores)):
            scores = fitted_scores(turned, numbers, labels[numbers], 2)
            assert scores is not None
            kept.append(auroc(scores[test], labels[test]))
    assert np.mean(chosen_scores) >= np.mean(random_scores)
    assert np.mean(found) > 3 * 0.04 * 120


def test_one_of_each_cluster_and_the_cheapest_first() -> None:
    middles = np.repeat(np.eye(4, dtype=np.float32) * 50, 10, axis=0)
    rows = middles + np.random.default_rng(0).normal(0, 1, middles.shape).astype(np.float32)
    cost = np.arange(40.0)[::-1].copy()
    taken = one_per_cluster(rows, np.arange(40), cost, 4, seed=0)
    assert taken == [39, 29, 19, 9]
    assert one_per_cluster(rows, np.arange(40), cost, 4, seed=0) == taken
    assert sorted(one_per_cluster(rows, np.arange(3), cost[:3], 9, seed=0)) == [0, 1, 2]


def test_splits_and_order_of_a_picture_do_not_depend_on_the_others() -> None:
    contents = [f"{number:064x}" for number in range(2000)]
    splits = [split_of(content, seed=0, share=0.3) for content in contents]
    assert [abs(splits.count(split) - 300) < 60 for split in ("val", "test")] == [True, True]
    assert splits != [split_of(content, seed=1, share=0.3) for content in contents]
    order = shuffled(contents, seed=0)
    assert [each for each in order if each in set(contents[:50])] == shuffled(contents[:50], seed=0)


def test_progress_says_how_good_and_whether_more_helps() -> None:
    rows, labels = rare(900, 0.3, 0)
    turned = reduced(rows, seed=0)
    train, val = np.arange(400), np.arange(600, 900)

    def told(count: int, judged: np.ndarray) -> dict[str, object]:
        numbers = train[:count]
        scores = fitted_scores(turned, numbers, labels[numbers], 2)
        return measured(turned, (numbers, labels[numbers]), (judged, labels[judged]), ("no", "yes"), scores)

    full = told(400, val)
    assert isinstance(full["auroc"], float)
    assert isinstance(full["low"], float)
    assert isinstance(full["high"], float)
    assert 0.8 < full["low"] < full["auroc"] < full["high"] <= 1
    assert isinstance(full["curve"], list)
    assert [count for count, _ in full["curve"]] == [100, 200, 300, 400]
    assert "of train added" in str(full["sentence"])
    assert told(400, val[:12])["sentence"] == f"No figure yet: {few(labels[val[:12]])}."
    alone = train[labels[train] == 0]
    assert measured(turned, (alone, labels[alone]), (val, labels[val]), ("no", "yes"), None)["sentence"].startswith(
        "No"
    )


def few(labels: np.ndarray) -> str:
    counts = np.bincount(labels, minlength=2)
    rarest = int(counts.argmin())
    return f"too few val images of {('no', 'yes')[rarest]!r} ({counts[rarest]}, it takes 10) to tell"
