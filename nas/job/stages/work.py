"""The plan of a job before it begins: its stages, how much each does, and how long that takes.

Seconds are counted in units of three kinds: a step of training a branch, scoring an image, a step of training the tail.
What one of them takes is measured on the data in a second or two, or follows from multiply-accumulates where a decision
must be the same on every machine.
"""

import time
from collections.abc import Callable
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from branches.branch import Branch
from branches.compression import on_trunk
from branches.costs.architecture import branch_costs
from branches.costs.module import macs
from branches.settings import FitSettings
from foundation.provenance import seed_of
from nas.job.choosing.racing import rungs
from nas.settings import BY_HAND, JobData, JobSettings
from nas.strategies.searches import STRATEGIES
from search_spaces import Architecture

ARCHITECTURES = 3  # random ones that are timed
NOMINAL = 16  # random ones whose multiply-accumulates are averaged
# Of the machine of docs/results.md, from its searches on CIFAR-10: a step of a tail 0.42 s, of a branch 8 ms.
RATE, OVERHEAD = 2.3e10, 4e-3  # multiply-accumulates a second, and seconds a step that no operation explains
LEAST_STEPS = 20  # of a tail, however small its share
LONG = 1.0  # seconds of timing one module: enough
FORWARD_AND_BACK = 3.0  # a training step beside a pass forward, in multiply-accumulates


class Units(NamedTuple):
    """Seconds of a training step of a branch (fastest, mean, slowest architecture), per image scored, and of a tail's.

    The steps are of `retrain.batch_size` images.
    """

    step: tuple[float, float, float]
    image: float
    tail_step: float


class Planned(NamedTuple):
    """One stage: its name, what it does in words, and its seconds (least, expected, most)."""

    name: str
    what: str
    seconds: tuple[float, float, float]


def plan_of(data: JobData, settings: JobSettings, units: Units, nominal: Units | None = None) -> list[Planned]:
    """The stages of a job in order; the features aside, and nothing left out that is there already.

    nominal: `nominal_units`, where they are known; the tail's bound asks for them.
    """
    stages = stages_before_tail(data, settings, units)
    if (tail := bounded_tail(data, settings, nominal)) is not None:
        steps, epochs = tail.epochs * tail.steps(len(data.train)), tail.epochs
        what = f"{epochs} epoch{'' if epochs == 1 else 's'}"
        stages.append(Planned("tail", what, (steps * units.tail_step,) * 3))
    return stages


def stages_before_tail(data: JobData, settings: JobSettings, units: Units) -> list[Planned]:
    """All stages but the control that fine-tunes the tail."""
    train, val, search, retrain = len(data.train), len(data.val), settings.search, settings.retrain
    scoring = val * units.image

    def training(epochs: int) -> tuple[float, float, float]:
        least, mean, most = (epochs * (retrain.steps(train) * step + scoring) for step in units.step)
        return least, mean, most

    stages = []
    if settings.strategy in STRATEGIES:
        seconds = times(settings.trials, training(settings.trial_epochs))
        stages.append(Planned("search", f"{settings.trials} trials of {settings.trial_epochs} epochs", seconds))
    elif settings.strategy != BY_HAND:
        rewarded = (search.epochs - search.warmup_epochs) * search.updates_per_epoch * search.samples_per_update
        images = rewarded * min(search.reward_images or val, val) + settings.candidates * val
        steps = search.epochs * search.steps(train) * search.batch_size / retrain.batch_size
        seconds = plus(times(steps, units.step), (images * units.image,) * 3)
        stages.append(Planned("search", f"{search.epochs} epochs and {settings.candidates} candidates", seconds))
    if settings.strategy == BY_HAND:
        steps = retrain.epochs * retrain.steps(train) * settings.repeats
        what = f"{settings.repeats} of the tail, {retrain.epochs} epochs each"
        stages.append(Planned("trainings", what, (steps * units.tail_step,) * 3))
    else:
        groups = 1 + settings.random + len(settings.rivals)
        epochs = rungs(settings.raced, settings.retrained, retrain.epochs) if settings.raced else []
        if epochs:
            left = [max(settings.retrained, -(-settings.raced // 2**rung)) for rung in range(len(epochs))]
            seconds = (0.0, 0.0, 0.0)
            for runners, length in zip(left, epochs, strict=True):
                seconds = plus(seconds, times(groups * runners, training(length)))
            stages.append(Planned("race", f"of {groups * settings.raced}", seconds))
        count = groups * (settings.retrained + settings.repeats - 1)
        what = f"{count} of {retrain.epochs} epochs"
        stages.append(Planned("trainings", what, times(count, training(retrain.epochs))))
        if settings.learning_curve:  # about two trainings: parts of 1/2, 1/4 and 1/8, for twice the epochs
            stages.append(Planned("learning curve", "of 3 parts", times(2, training(retrain.epochs))))
    return stages


def total(stages: list[Planned]) -> tuple[float, float, float]:
    """Seconds of all stages: least, expected, most."""
    least, mean, most = (sum(stage.seconds[n] for stage in stages) for n in range(3))
    return least, mean, most


def bounded_tail(data: JobData, settings: JobSettings, nominal: Units | None = None) -> FitSettings | None:
    """How the tail is trained as a control, if it is one: for `tail_share` of the job at most, by multiply-accumulates.

    Whole epochs fewer, and where one is too much a part of one; the same on every machine.
    """
    tail = settings.tail
    if tail is None or data.tail is None:
        return None
    if settings.tail_share == 1 or settings.strategy == BY_HAND:
        return tail  # by hand, that is what the branch is held against
    units = nominal or nominal_units(data, settings)
    others = total(stages_before_tail(data, settings, units))[1]
    steps = int(others * settings.tail_share / (1 - settings.tail_share) / units.tail_step)
    whole = tail.steps(len(data.train))
    if steps >= tail.epochs * whole:
        return tail
    least = min(whole, LEAST_STEPS)
    return replace(tail, epochs=max(1, steps // whole), max_steps=whole if steps >= whole else max(least, steps))


def nominal_units(data: JobData, settings: JobSettings) -> Units:
    """Units from multiply-accumulates, the same wherever they are asked for."""
    shape, values, batch = data.train.trunk_shape, data.train.values, settings.retrain.batch_size
    rng = np.random.default_rng(0)
    counts = [branch_costs(settings.space.random(rng), shape, values).macs for _ in range(NOMINAL)]
    mean = sum(counts) / NOMINAL

    def step(work: float) -> float:
        return OVERHEAD + FORWARD_AND_BACK * batch * work / RATE

    tail = 0.0
    if data.tail is not None:
        tail = step(macs(on_trunk(data.tail(torch.Generator().manual_seed(0)), data.train.features), shape))
    return Units((step(min(counts)), step(mean), step(max(counts))), mean / RATE + OVERHEAD / batch, tail)


def measured_units(data: JobData, settings: JobSettings, *, seed: int, device: torch.device) -> Units:
    """Units as they are here and now: three random architectures and the tail train on one batch, a few times."""
    size = min(settings.retrain.batch_size, len(data.train))
    rows = torch.arange(size)
    steps, scoring = [], []
    rng = np.random.default_rng(seed_of(seed, "units"))
    # What has a seed of its own must not notice that something was timed.
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        if settings.strategy != BY_HAND:
            for _ in range(ARCHITECTURES):
                module = built(settings.space.random(rng), data).to(device)
                steps.append(step_seconds(module, data, rows, device))
                module.eval()
                with torch.inference_mode():
                    features = data.train.features.gather(rows).to(device)
                    scoring.append(seconds_of(lambda m=module, f=features: m(f), device) / size)  # type: ignore[misc]
        build = data.chosen if settings.strategy == BY_HAND else data.tail if settings.tail else None
        tail = 0.0
        if build is not None:
            tail = step_seconds(build(torch.Generator().manual_seed(0)).to(device), data, rows, device)
    scale = settings.retrain.batch_size / size
    steps = [seconds * scale for seconds in steps] or [tail * scale]
    mean = sum(steps) / len(steps)
    return Units((min(steps), mean, max(steps)), sum(scoring) / max(1, len(scoring)), tail * scale)


def built(architecture: Architecture, data: JobData) -> Branch:
    generator = torch.Generator().manual_seed(0)
    return Branch(architecture, data.train.features.shape, data.train.values, generator=generator)


def step_seconds(module: nn.Module, data: JobData, rows: torch.Tensor, device: torch.device) -> float:
    """Seconds of one step of training on these rows, reading them included."""
    optimizer = torch.optim.AdamW(module.parameters(), lr=0.0, fused=True)
    labels = data.train.labels[rows].to(device)
    module.train()

    def step() -> None:
        optimizer.zero_grad(set_to_none=True)
        logits = module(data.train.features.gather(rows).to(device))
        functional.cross_entropy(logits.float(), labels).backward()  # type: ignore[no-untyped-call]
        optimizer.step()

    return seconds_of(step, device)


def seconds_of(run: Callable[[], object], device: torch.device) -> float:
    """The shorter of two runs, after one that warms up; a long one is not repeated."""
    taken = []
    for _ in range(3):
        started = time.perf_counter()
        run()
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        taken.append(time.perf_counter() - started)
        if sum(taken) > LONG:
            break
    return min(taken[1:] or taken)


def times(count: float, seconds: tuple[float, float, float]) -> tuple[float, float, float]:
    return count * seconds[0], count * seconds[1], count * seconds[2]


def plus(ours: tuple[float, float, float], theirs: tuple[float, float, float]) -> tuple[float, float, float]:
    return ours[0] + theirs[0], ours[1] + theirs[1], ours[2] + theirs[2]


def plan_sentence(stages: list[Planned], attribute: str) -> str:
    """The plan in a sentence."""
    least, mean, most = total(stages)
    parts = [f"{stage.name} {stage.what}, {about(stage.seconds[1])}" for stage in stages]
    spread = f" ({about(least)} to {about(most)})" if about(least) != about(most) else ""
    return f"{attribute}: {'; '.join(parts)}; about {about(mean)} in all{spread}, features and report aside."


def about(seconds: float) -> str:
    """``5 s``, ``3 min``, ``1.5 h``: no more figures than a guess has.

    >>> [about(seconds) for seconds in (0.2, 44, 170, 5400)]
    ['1 s', '44 s', '3 min', '1.5 h']
    """
    if seconds < 99:
        return f"{max(1, round(seconds))} s"
    return f"{round(seconds / 60)} min" if seconds < 99 * 60 else f"{seconds / 3600:.1f} h"
