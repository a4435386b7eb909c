"""Gain of the whole search over random search, over several seeds: the second part of an audit.

Random Search and Reproducibility for Neural Architecture Search (Li, Talwalkar, 2019), arXiv:1902.07638, asks for both
readings: as many retrained architectures on both sides (equal budget), and as many seconds (equal cost), where random
search spends what the search cost on further architectures. Val chooses on both sides; what is compared are further
trainings of the two choices, so that neither is praised for the lucky training that chose it.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from scipy.stats import t as student

from branches.measures.metrics import REWARDS
from branches.training import predict_scores
from foundation.provenance import seed_of
from nas.errors import SearchError
from nas.job.contest import control_draws, draw_distinct
from nas.job.trainings import Trained, Trainings
from nas.settings import JobData, JobSettings
from search_spaces import Architecture


class Paired(NamedTuple):
    """The mean of paired differences, one per seed, with its 95 % t interval (None with a single seed)."""

    difference: float
    low: float | None
    high: float | None
    seeds: int


def paired(ours: Sequence[float], theirs: Sequence[float]) -> Paired:
    """`ours` above `theirs`, one figure per seed on each side."""
    differences = np.subtract(ours, theirs)
    mean, count = float(differences.mean()), len(differences)
    if count == 1:
        return Paired(mean, None, None, 1)
    half = float(student.ppf(0.975, count - 1) * differences.std(ddof=1) / math.sqrt(count))
    return Paired(mean, mean - half, mean + half, count)


def extra_random(result: Mapping[str, Any], retrain_top: int, history: Sequence[Mapping[str, Any]]) -> int:
    """How many further random architectures can be trained in the seconds that the search took (rounded up)."""
    spent = [float(r["seconds"]) for r in history if r["kind"] == "retraining" and r.get("role") == "random"]
    if len(spent) < retrain_top:
        raise SearchError("An audit needs the search's random control; set controls.random = true and search again.")
    return max(1, math.ceil(float(result["seconds"]["search"]) / float(np.mean(spent))))


def fresh_figures(repeats: Mapping[str, Any], split: str, metric: str) -> float:
    """The mean over the trainings that followed the choice; the first one chose, so it is left out."""
    return float(np.mean(repeats[f"{split}_{metric}"][1:]))


def random_at_equal_cost(
    data: JobData,
    settings: JobSettings,
    repeats: Mapping[str, Any],
    trainings: Trainings,
    *,
    extra: int,
    test: bool,
    draw: Callable[[np.random.Generator], Architecture] | None = None,
) -> dict[str, Any]:
    """Random search continued by `extra` architectures; `repeats` are the trainings of its choice up to here.

    draw: how the search's random control draws (None: uniformly from the space).
    Returns: the figures of its choice, `{"val": ..., "test": ... or None, "trainings": how many it took}`.
    """
    metric = settings.search.reward
    rng = np.random.default_rng(seed_of(trainings.seed, "random control"))
    before = control_draws(settings)
    drawn = draw_distinct(settings.space, before + extra, rng, draw)[before:]
    tried = [
        trainings.branch("retraining", f"random-{index}", architecture, settings.retrain, role="random")
        for index, architecture in enumerate(drawn, start=settings.retrain_top)
    ]
    scores = [trained.score(metric) for trained in tried]
    if not scores or max(scores) <= repeats[f"val_{metric}"][0]:
        figures = {split: fresh_figures(repeats, split, metric) for split in (("val", "test") if test else ("val",))}
        return {"val": figures["val"], "test": figures.get("test"), "trainings": len(tried)}
    best = int(np.argmax(scores))
    fresh = [
        trainings.branch(
            "repeat", f"random-{best + settings.retrain_top}-repeat{n}", drawn[best], settings.retrain, of="random"
        )
        for n in range(1, settings.repeats)
    ]
    return {
        "val": float(np.mean([trained.score(metric) for trained in fresh])),
        "test": test_figure(data, fresh, metric) if test else None,
        "trainings": len(tried) + len(fresh),
    }


def test_figure(data: JobData, fresh: Sequence[Trained], metric: str) -> float:
    """The mean test figure of trainings."""
    assert data.test is not None
    labels = data.test.labels.numpy()
    features = data.test.features
    return float(np.mean([REWARDS[metric](predict_scores(trained.module, features), labels) for trained in fresh]))
