"""A budget in minutes: epochs, candidates and trainings scaled so that a job is done in the time that is given.

How long a step takes is measured once, when the job begins, and what it comes to is kept in its folder: a killed job
goes on with the same, and its figures are those of the settings that ``budget.json`` holds.
"""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from foundation.files import jsonable, write_json
from foundation.records import read_json, reading
from nas.job.origin import settings_record
from nas.job.stages.work import Units, measured_units, nominal_units, plan_of, total
from nas.settings import JobData, JobSettings

BUDGET = "budget.json"
SCALES = [0.05 * 1.15**step for step in range(40)]  # of the settings as they stand: 0.05 to 11.6
MOST_RETRAIN = 2.0  # longer trainings overfit before they gain
MOST_TOP = 3.0
SPARE = 0.9  # of the minutes: what is not counted (the probe, latencies, the report) takes the rest


def scaled(settings: JobSettings, scale: float) -> JobSettings:
    """The settings with about ``scale`` times the work; trainings grow and shrink less than the search."""
    search, root = settings.search, scale**0.5
    epochs = max(2, round(search.epochs * scale))
    warmup = min(epochs - 1, round(search.warmup_epochs * min(scale, epochs / search.epochs)))
    top = max(1, round(settings.retrain_top * min(root, MOST_TOP)))
    tail = settings.tail
    return replace(
        settings,
        search=replace(search, epochs=epochs, warmup_epochs=warmup),
        trials=max(1, round(settings.trials * scale)),
        candidates=max(top, round(settings.candidates * min(scale, 1.0))),
        retrain_top=top,
        repeats=max(1, round(settings.repeats * min(root, 1.0))),
        retrain=replace(settings.retrain, epochs=max(1, round(settings.retrain.epochs * min(root, MOST_RETRAIN)))),
        tail=tail and replace(tail, epochs=max(1, round(tail.epochs * min(root, 1.0)))),
    )


def fitting(data: JobData, settings: JobSettings, units: Units) -> JobSettings:
    """The most work of which the expected time is within `settings.minutes`; the least where nothing is."""
    seconds, nominal = SPARE * 60 * settings.minutes, nominal_units(data, settings)
    sizes = [scaled(settings, scale) for scale in SCALES]
    able = [size for size in sizes if total(plan_of(data, size, units, nominal))[1] <= seconds]
    return able[-1] if able else sizes[0]


def within_budget(
    data: JobData, settings: JobSettings, *, folder: Path, seed: int, device: torch.device
) -> tuple[JobSettings, dict[str, Any]]:
    """The settings that the job in ``folder`` has in its minutes, and what its records say of that; kept once found.

    Without a budget they are the settings as they are.
    """
    if not settings.minutes:
        return settings, {}
    path = folder / BUDGET
    if not path.exists():
        units = measured_units(data, settings, seed=seed, device=device)
        chosen = fitting(data, settings, units)
        expected = total(plan_of(data, chosen, units))[1]
        write_json(path, {"minutes": settings.minutes, "expected_seconds": expected, **sizes_of(chosen)})
    record = read_json(path)
    with reading(path):
        chosen = sized(settings, record)
    return chosen, {"budget": record, "budgeted": jsonable(settings_record(chosen)["settings"])}


def budgeted(settings: JobSettings, folder: Path) -> JobSettings:
    """The settings that a finished job in ``folder`` had."""
    path = folder / BUDGET
    if not settings.minutes or not path.exists():
        return settings
    with reading(path):
        return sized(settings, read_json(path))


def sizes_of(settings: JobSettings) -> dict[str, Any]:
    """What a budget decides."""
    return {
        "epochs": settings.search.epochs,
        "warmup_epochs": settings.search.warmup_epochs,
        "trials": settings.trials,
        "candidates": settings.candidates,
        "retrain_top": settings.retrain_top,
        "repeats": settings.repeats,
        "retrain_epochs": settings.retrain.epochs,
        "tail_epochs": settings.tail.epochs if settings.tail else None,
    }


def sized(settings: JobSettings, record: Mapping[str, Any]) -> JobSettings:
    """The settings with the sizes of a budget's record."""
    tail = settings.tail
    return replace(
        settings,
        search=replace(settings.search, epochs=record["epochs"], warmup_epochs=record["warmup_epochs"]),
        trials=record["trials"],
        candidates=record["candidates"],
        retrain_top=record["retrain_top"],
        repeats=record["repeats"],
        retrain=replace(settings.retrain, epochs=record["retrain_epochs"]),
        tail=tail and replace(tail, epochs=record["tail_epochs"]),
    )
