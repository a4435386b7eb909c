"""Race the trunk's depths: short branches at several cuts, the better half trained twice as long, until few are left.

Successive halving: Non-stochastic Best Arm Identification and Hyperparameter Optimization (Jamieson, Talwalkar, 2016),
arXiv:1502.07943, section 3; its arms are pairs of a depth and an architecture, the same architectures at every depth,
with the same draws of weights and batches. An arm begins at its depth's linear probe and may end there, so that no
depth is judged below its probe. Of the depths that come through, the cheapest is taken whose best val score lies within
one standard error of the best of all, paired over the val images, as a probe's advice is.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch

from branches.probe import Probe, linear_probe
from branches.settings import FitSettings
from foundation.history import Progress
from foundation.provenance import seed_of
from nas.errors import SearchError
from nas.job.contest import draw_distinct
from nas.job.gains import paired_error
from nas.job.stages.probe_start import with_shortcut
from nas.job.trainings import Trained, Trainings
from search_spaces import Architecture, Space
from trunk.features.source import LabelledFeatures


class Cut(NamedTuple):
    """The features of one attribute at one depth."""

    train: LabelledFeatures
    val: LabelledFeatures


class Arm(NamedTuple):
    """A depth and the number of an architecture."""

    depth: int
    number: int


class Race(NamedTuple):
    """The depth that won, each depth's probe on val, and round by round what was trained and how it did."""

    depth: int
    probes: dict[int, float]
    rounds: list[dict[str, Any]]
    standings: dict[int, dict[str, float]]

    def to_json(self) -> dict[str, Any]:
        """Plain values; depths as text where they are keys."""
        probes, standings = ({str(depth): value for depth, value in of.items()} for of in (self.probes, self.standings))
        return {"depth": self.depth, "probes": probes, "rounds": self.rounds, "standings": standings}


def race_cuts(
    cuts: Mapping[int, Cut],
    space: Space,
    recipe: FitSettings,
    *,
    folder: Path,
    seed: int,
    device: torch.device,
    architectures: int = 4,
    epochs: int = 2,
    progress: Progress | None = None,
) -> Race:
    """Race these depths in `folder`, or go on; every finished training is kept there.

    recipe: how branches are trained; its epochs bound those of the last round, the first takes `epochs`.
    Raises: SearchError for fewer than two depths.
    """
    if len(cuts) < 2:
        raise SearchError(f"A race takes two depths or more, not {len(cuts)}; name more, or set trunk.freeze_depth.")
    recipe = replace(recipe, keep="best", probe_start=True)
    drawn = draw_distinct(with_shortcut(space), architectures, np.random.default_rng(seed_of(seed, "cuts")))
    probes = {depth: linear_probe(cut.train, cut.val, metric=recipe.metric) for depth, cut in sorted(cuts.items())}
    trainings = {
        depth: trainings_at(cut, probes[depth], folder / f"depth-{depth}", seed, device) for depth, cut in cuts.items()
    }
    arms = [Arm(depth, number) for depth in sorted(cuts) for number in range(len(drawn))]
    rounds: list[dict[str, Any]] = []
    total, done = planned(len(arms), epochs, recipe.epochs), 0
    while True:
        short, ran = replace(recipe, epochs=epochs), dict[Arm, Trained]()
        for arm in arms:
            ran[arm] = train(trainings[arm.depth], arm, drawn[arm.number], short)
            done += 1
            if progress:
                progress("cuts", done, total, {"depth": arm.depth, "val": ran[arm].score(recipe.metric)})
        scores = {arm: trained.score(recipe.metric) for arm, trained in ran.items()}
        rounds.append({"epochs": epochs, "arms": [{**arm._asdict(), "val": scores[arm]} for arm in arms]})
        if len(arms) <= 2 or 2 * epochs > recipe.epochs or len({arm.depth for arm in arms}) == 1:
            break
        arms = sorted(arms, key=lambda arm: (-scores[arm], arm))[: math.ceil(len(arms) / 2)]
        epochs *= 2
    depth, standings = chosen(ran, scores, cuts[arms[0].depth].val, recipe.metric, seed=seed)
    return Race(depth, {depth: probe.val_score for depth, probe in probes.items()}, rounds, standings)


def planned(arms: int, epochs: int, most: int) -> int:
    """How many trainings a race takes at most."""
    total = arms
    while arms > 2 and 2 * epochs <= most:
        arms, epochs = math.ceil(arms / 2), 2 * epochs
        total += arms
    return total


def trainings_at(cut: Cut, probe: Probe, folder: Path, seed: int, device: torch.device) -> Trainings:
    """The trainings at one depth, which begin at its probe."""
    return Trainings(cut.train, cut.val, folder=folder, seed=seed, device=device, threshold_by="f1", probe=probe)


def train(trainings: Trainings, arm: Arm, architecture: Architecture, recipe: FitSettings) -> Trained:
    """One arm for so many epochs, or what it came to when it was done before."""
    return trainings.branch("race", f"cut-{arm.number}-{recipe.epochs}", architecture, recipe)


def chosen(
    ran: Mapping[Arm, Trained], scores: Mapping[Arm, float], val: LabelledFeatures, metric: str, *, seed: int
) -> tuple[int, dict[int, dict[str, float]]]:
    """The cheapest of the depths in the last round within one standard error of the best; how each stood."""
    best_of = {depth: best_arm(scores, depth) for depth in sorted({arm.depth for arm in ran})}
    best = max(best_of.values(), key=lambda arm: scores[arm])
    standings = {}
    for depth, arm in best_of.items():
        behind, error = scores[best] - scores[arm], 0.0
        if arm != best:
            tables = ran[best].val_scores, ran[arm].val_scores
            error = paired_error(*tables, val.labels.numpy(), metric, seed=seed_of(seed, "cuts") % 2**32)
        standings[depth] = {"val": scores[arm], "behind": behind, "error": error}
    return min(depth for depth, at in standings.items() if at["behind"] <= at["error"]), standings


def best_arm(scores: Mapping[Arm, float], depth: int) -> Arm:
    """The best of a depth, the first of equals."""
    return max((arm for arm in scores if arm.depth == depth), key=lambda arm: (scores[arm], -arm.number))


def prior(scores: Sequence[float], count: int, advised: int) -> list[int]:
    """The depths to race, counted from 1: the best by their probes' scores, what the probes advise among them."""
    ranked = sorted(range(1, len(scores) + 1), key=lambda depth: (depth != advised, -scores[depth - 1], depth))
    return sorted(ranked[:count])
