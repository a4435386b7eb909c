"""Choose the result among all kinds that a job trained, by paired val scores, and keep the others beside it.

Searched branch, best random one, linear probe, tail and the rivals' best are each what val picked of their kind. Of
them the one with the fewest parameters is taken whose val score is at most so many standard errors below the best: the
one-standard-error rule of Classification and Regression Trees (Breiman, Friedman, Olshen, Stone, 1984), section 3.4.3.
The error is that of the difference, over the same val images; both are modules that are trained by now, so that their
seeds play no part.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from branches.compression import alone, on_trunk
from branches.measures.calibration import fit_calibration
from branches.saved import BranchRecord, save_branch
from foundation.provenance import seed_of
from nas.job.advice import kind_of, words_of
from nas.job.choosing.racing import Run
from nas.job.gains import paired_error
from nas.job.results import Contestant
from nas.job.trainings import Trained
from nas.limits.limits import Cost, Limits
from nas.settings import JobData, JobSettings

KEPT = "choices"  # the folder of those that were not chosen
SAVED_KINDS = {"linear_probe": "linear_probe", "joined_probe": "linear_probe", "tail": "tail", "by-hand": "tail"}
MAP_ONLY = ("linear_probe", "tail", "by-hand")  # what reads the cut's map and no average of another depth


class Standing(NamedTuple):
    """One kind's place on val: its score, what it lies below the best with the standard error of that, and its size."""

    score: float
    behind: float
    error: float
    parameters: int
    macs: int


class Choice(NamedTuple):
    """The key of what is the result, why in words, and how each kind stood that could have been."""

    key: str
    reason: str
    standings: dict[str, Standing]

    @property
    def cheapest(self) -> bool:
        """Whether it is not the best on val, but the cheapest within the margin of that."""
        return bool(self.standings) and self.standings[self.key].behind > 0

    def record(self, settings: JobSettings) -> dict[str, Any]:
        """What ``result.json`` says of it."""
        standings = {kind_of(key): standing._asdict() for key, standing in self.standings.items()}
        about = {"kind": kind_of(self.key), "rule": settings.choice, "tolerance": settings.choice_tolerance}
        return {**about, "cheapest": self.cheapest, "reason": self.reason, "val": standings}


def choose_kind(
    data: JobData,
    settings: JobSettings,
    contestants: Mapping[str, Contestant],
    *,
    seed: int,
    latency_ms: Callable[[str], float | None],
    runs: Mapping[str, Run] | None = None,
    labels: npt.NDArray[np.int64] | None = None,
) -> Choice:
    """The result among contestants by kind, "searched" among them; what breaks a limit is none.

    latency_ms: of a contestant, asked only where latency is limited. runs, labels: what is compared in place of the
    first trainings on val.
    """
    metric, labels = settings.search.reward, data.val.labels.numpy() if labels is None else labels
    runs = runs or {key: run_of(contestant.trainings[0], metric) for key, contestant in contestants.items()}
    if settings.choice == "searched":
        return Choice("searched", f"{words_of('searched')} is the result, as search.choice asks", {})
    limits = settings.search.limits
    able = {
        key: contestant
        for key, contestant in contestants.items()
        if key == "searched"
        or ((key != "tail" or data.backbone is not None) and within(limits, contestant, latency_ms, key))
    }
    if len(able) == 1:
        return Choice("searched", f"there was nothing beside {words_of('searched')} to choose from", {})
    score = {key: runs[key].score for key in able}
    best = max(able, key=lambda key: (score[key], -able[key].parameters, -able[key].macs))
    top = runs[best].probabilities
    standings = {}
    for key, contestant in able.items():
        theirs = runs[key].probabilities
        error = paired_error(top, theirs, labels, metric, seed=seed_of(seed, "choice") % 2**32) if key != best else 0.0
        behind = score[best] - score[key]
        standings[key] = Standing(score[key], behind, error, contestant.parameters, contestant.macs)
    tolerance = settings.choice_tolerance if settings.choice == "cheapest_within" else 0.0
    near = [key for key, standing in standings.items() if standing.behind <= tolerance * standing.error]
    chosen = min(near, key=lambda key: (standings[key].parameters, standings[key].macs, -score[key]))
    return Choice(chosen, reason_of(chosen, best, standings, metric, tolerance, len(labels)), standings)


def run_of(trained: Trained, metric: str) -> Run:
    """A training as it is chosen by."""
    return Run(trained.score(metric), trained.val_scores)


def within(limits: Limits, contestant: Contestant, latency_ms: Callable[[str], float | None], key: str) -> bool:
    """Whether a control keeps the limits that every searched architecture keeps."""
    timed = latency_ms(key) if limits.latency_ms else None
    return not limits.broken(Cost(contestant.parameters, contestant.macs, timed))


def reason_of(
    chosen: str, best: str, standings: Mapping[str, Standing], metric: str, tolerance: float, images: int
) -> str:
    """Why, with the figures that decided."""
    ours, top = standings[chosen], standings[best]
    others = " and ".join(words_of(key) for key in standings if key != chosen)
    errors = f"{tolerance:g} standard error{'' if tolerance == 1 else 's'}"
    if chosen == best:
        cheaper = any(standing.parameters < ours.parameters for standing in standings.values())
        margin = f"; nothing cheaper is within {errors} of it" if cheaper and tolerance else ""
        return f"val then chose {words_of(chosen)} before {others}: the best val {metric}, {ours.score:.4f}{margin}"
    return (
        f"val then chose {words_of(chosen)} before {others}: with {ours.parameters:,} parameters and val {metric} "
        f"{ours.score:.4f} the cheapest within {errors} ({tolerance * ours.error:.4f}, paired, over {images:,} val "
        f"images) of the best, {words_of(best)} with {top.parameters:,} and {top.score:.4f}"
    )


def ranked_first(contestants: Mapping[str, Contestant], key: str) -> dict[str, Contestant]:
    """The contestants with the chosen one as "winner", and the others by their kind."""
    others = {name: contestant for name, contestant in contestants.items() if name != key}
    return {"winner": contestants[key], **others}


def saved_record(
    data: JobData,
    contestant: Contestant,
    *,
    depth: int,
    fingerprint: str,
    test: Mapping[str, Any] | None,
    calibration: Mapping[str, Any] | None,
) -> BranchRecord:
    """What a contestant's first training is as a branch on disk."""
    val = contestant.trainings[0].val
    kind = SAVED_KINDS.get(contestant.key, "branch")
    of_map = contestant.key in MAP_ONLY
    return BranchRecord(
        attribute=data.attribute,
        values=data.values,
        feature_shape=data.train.map_shape if of_map else data.train.trunk_shape,
        freeze_depth=depth,
        fingerprint=fingerprint,
        threshold=val["threshold"],
        kind=kind,
        architecture=contestant.architecture,
        backbone=backbone_of(data, contestant) if kind == "tail" else None,
        metrics={"val": val, "test": test},
        calibration=calibration,
        # Whatever holds context holds that of all depths before the cut.
        sources=tuple(range(1, depth)) if data.train.context and not of_map else (),
    )


def backbone_of(data: JobData, contestant: Contestant) -> str | None:
    """Whose blocks a tail is; one that was chosen by hand says it itself."""
    settings = dict(contestant.architecture.settings) if contestant.architecture else {}
    return str(settings["backbone"]) if "backbone" in settings else data.backbone


def keep_choices(
    folder: Path,
    data: JobData,
    contestants: Mapping[str, Contestant],
    controls: Mapping[str, Mapping[str, Any]],
    *,
    depth: int,
    fingerprint: str,
) -> None:
    """Write what was not chosen as branches too, so that `graftnet graft --choice` can take one.

    controls: their records in ``result.json``.
    """
    for name, contestant in contestants.items():
        if name == "winner" or (contestant.key == "tail" and data.backbone is None):
            continue
        first = contestant.trainings[0]
        calibration = fit_calibration(first.val_scores, data.val.labels.numpy())
        test = controls[name]["test"]
        record = saved_record(
            data, contestant, depth=depth, fingerprint=fingerprint, test=test, calibration=calibration
        )
        module = alone(on_trunk(first.module, data.train.features))
        save_branch(folder / KEPT / kind_of(contestant.key), module, record)
