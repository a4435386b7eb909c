"""Ranking by the shared weights against ranking by training from scratch: the first part of an audit.

Architectures from the whole range of the shared ranking are each trained twice, with different seeds: the agreement of
the shared scores with a retraining is to be read beside that of two retrainings, which no ranking can exceed by much.
How to rank by shared weights has been measured this way since Evaluating the Search Phase of Neural Architecture Search
(Yu, Sciuto, Jaggi, Musat, Salzmann, 2020), arXiv:1902.08142.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
from scipy.stats import kendalltau

from branches.measures.metrics import Floats
from branches.settings import FitSettings
from foundation.history import Progress
from foundation.provenance import seed_of
from nas.candidates import rank_candidates, whole_val_scores
from nas.enas import Search
from nas.job.trainings import Trainings
from search_spaces import Architecture

SIDES = ("a", "b")  # the two retrainings


class Agreement(NamedTuple):
    """Kendall's tau with the 95 % percentile interval of a bootstrap; all None where a side is constant or too short.

    `pairs`: so many architectures were ranked.
    """

    tau: float | None
    low: float | None
    high: float | None
    pairs: int


def agreement(left: Sequence[float], rights: Sequence[Sequence[float]], *, seed: int, rounds: int = 2000) -> Agreement:
    """`left` (n,) against each of `rights` (k, n): the mean of the k taus, with its interval.

    The architectures are drawn again with replacement, the same draw for all sides. Draws in which a side is constant
    have no tau and are passed over.
    """
    ours, theirs = np.asarray(left, dtype=np.float64), [np.asarray(right, dtype=np.float64) for right in rights]
    value = mean_tau(ours, theirs) if len(ours) > 2 else None
    if value is None:
        return Agreement(None, None, None, len(ours))
    rng = np.random.default_rng(seed)
    draws = (rng.integers(len(ours), size=len(ours)) for _ in range(rounds))
    taus = [mean_tau(ours[draw], [right[draw] for right in theirs]) for draw in draws]
    low, high = np.percentile([tau for tau in taus if tau is not None], [2.5, 97.5])
    return Agreement(value, float(low), float(high), len(ours))


def mean_tau(left: Floats, rights: Sequence[Floats]) -> float | None:
    """The mean of tau-b of `left` with each of `rights`; None where one of them is not defined."""
    if any(np.ptp(side) == 0 for side in (left, *rights)):
        return None
    taus = [float(kendalltau(left, right).statistic) for right in rights]
    return None if any(map(math.isnan, taus)) else float(np.mean(taus))


class ScoredArchitecture(NamedTuple):
    """An architecture with its score under the shared weights, and whether the policy or chance proposed it."""

    architecture: Architecture
    shared: float
    source: str


def pool(search: Search, candidates: int, progress: Progress | None) -> list[ScoredArchitecture]:
    """The search's ranked candidates and as many random architectures, best first by the shared weights."""
    ranked = rank_candidates(search, candidates)
    known = {search.space.key(candidate.architecture) for candidate in ranked}
    rng = np.random.default_rng(seed_of(search.seed, "audit pool"))
    random: dict[object, Architecture] = {}
    for _ in range(20 * len(ranked)):
        [architecture] = search.sample_uniform(1, rng)
        key = search.space.key(architecture)
        if key not in known and len(random) < len(ranked):
            random.setdefault(key, architecture)
    drawn = list(random.values())
    scores = whole_val_scores(search, drawn, progress)
    scored = [
        ScoredArchitecture(
            candidate.architecture, candidate.score, "random" if candidate.source == "uniform" else "policy"
        )
        for candidate in ranked
    ]
    scored += [
        ScoredArchitecture(architecture, score, "random") for architecture, score in zip(drawn, scores, strict=True)
    ]
    return sorted(scored, key=lambda candidate: (-candidate.shared, candidate.architecture.identity))


def stratified(ranked: list[ScoredArchitecture], count: int) -> list[ScoredArchitecture]:
    """The middle of each of `count` equal parts of a ranking; all of it when it is no longer than that."""
    parts = np.array_split(np.arange(len(ranked)), min(count, len(ranked)))
    return [ranked[int(part[len(part) // 2])] for part in parts]


def audit_ranking(
    search: Search,
    settings: FitSettings,
    trainings: Trainings,
    *,
    candidates: int,
    architectures: int,
    done: Callable[[], None],
) -> dict[str, Any]:
    """Train the chosen architectures twice each and compare; `done` is called after each training."""
    chosen = stratified(pool(search, candidates, trainings.progress), architectures)
    metric = search.settings.reward
    retrained: dict[str, list[float]] = {side: [] for side in SIDES}
    for side in SIDES:
        for scored in chosen:
            name = f"{scored.architecture.identity}-{side}"
            trained = trainings.branch("retraining", name, scored.architecture, settings, shared_score=scored.shared)
            # The shared score has the penalty for parameters in it.
            penalty = search.settings.parameter_penalty * trained.record["parameters"] / 1e6
            retrained[side].append(trained.score(metric) - penalty)
            done()
    return ranking_record(chosen, retrained, metric, seed=seed_of(search.seed, "audit bootstrap") % 2**32)


def ranking_record(
    chosen: list[ScoredArchitecture], retrained: dict[str, list[float]], metric: str, *, seed: int
) -> dict[str, Any]:
    """tau over the whole range, over its better half, and the ceiling, with the scores they are made of."""
    shared, sides = [scored.shared for scored in chosen], [retrained[side] for side in SIDES]
    half = (len(chosen) + 1) // 2
    return {
        "tau": agreement(shared, sides, seed=seed)._asdict(),
        "tau_better_half": agreement(shared[:half], [side[:half] for side in sides], seed=seed)._asdict(),
        "ceiling": agreement(sides[0], sides[1:], seed=seed)._asdict(),
        "noise": float(np.diff(np.asarray(sides), axis=0).std() / 2**0.5),
        "spread": float(np.std(np.mean(sides, axis=0))),
        "metric": metric,
        "architectures": [
            {
                "identity": scored.architecture.identity,
                "source": scored.source,
                "shared": scored.shared,
                "retrained": list(both),
            }
            for scored, both in zip(chosen, zip(*sides, strict=True), strict=True)
        ],
        "how": (
            "The search's candidates and as many random architectures, ranked by the shared weights; the middle one of "
            f"each of {len(chosen)} equal parts was trained from scratch twice. tau: shared score against one "
            "retraining (mean over both). Ceiling: one retraining against the other."
        ),
    }
