"""Figures of ``result.json`` from finished trainings: one look at the test split, gains, curves, the verdict."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import torch
from scipy.stats import t as student
from torch import nn

from branches.compression import on_trunk
from branches.costs.latency import Latency
from branches.costs.module import macs, parameters, part_parameters, stored_bytes
from branches.measures.metrics import Scores, measure, paired_bootstrap, pr_points, roc_points, title_of
from branches.tails import TailBuilder
from branches.training import predict_scores
from foundation.provenance import seed_of
from nas.job.scores import curves
from nas.job.trainings import Figures, Trained
from nas.limits.latency import Latencies
from nas.settings import JobData, JobSettings
from search_spaces import Architecture
from subdatasets.reading.rows import FEW, rarest, too_few_words


@dataclass(frozen=True)
class Contestant:
    """One side of the comparison: its trainings (the first is the one shown) and what it costs."""

    trainings: Sequence[Trained]
    parameters: int
    macs: int
    architecture: Architecture | None = None

    @property
    def searchable(self) -> bool:
        """Whether the architecture alone says what to build; a probe has none, a tail also needs the backbone."""
        return self.architecture is not None and self.architecture.space != "tail"


@dataclass(frozen=True)
class JobResult:
    """What a job found; ``record, branch = run_job(...)`` unpacks it.

    record: what ``result.json`` says. branch: the winner with its weights, in evaluation mode. scores: its
    probabilities (N, V) on "val" and, where there is one, on "test".
    """

    record: dict[str, Any]
    branch: nn.Module
    scores: Mapping[str, Scores]

    def __iter__(self) -> Iterator[Any]:
        return iter((self.record, self.branch))

    def __getitem__(self, index: int) -> Any:
        return (self.record, self.branch)[index]


def measure_all(
    data: JobData,
    settings: JobSettings,
    contestants: Mapping[str, Contestant],
    latencies: Latencies,
    *,
    seed: int,
    device: torch.device,
    beside: Sequence[Architecture] = (),
) -> tuple[dict[str, Any], dict[str, Scores]]:
    """The one look at the test split: every contestant's figures on val and test, and the winner's scores on them.

    The figures are what the records say of the winner and its controls, costs and latencies included. `beside`: other
    architectures whose latencies will be set beside them.
    """
    metric = settings.search.reward
    winner = contestants["winner"]
    assert winner.architecture is not None
    scores, figures = tested(data, settings, contestants, device)
    gains = gains_of_winner(data, metric, scores, figures, seed=seed)
    val_scores = {name: contestant.trainings[0].val_scores for name, contestant in contestants.items()}
    first_scores = {name: tables[0] for name, tables in scores.items()}
    tail_parameters, tail_macs, tail_bytes = tail_costs(data)
    deployed = on_trunk(winner.trainings[0].module, data.train.features)
    reduction = None if tail_parameters is None else 1 - winner.parameters / tail_parameters
    timed = measured_latencies(data, contestants, latencies, beside)
    few = too_few(data)
    result: dict[str, Any] = {
        "architecture": winner.architecture.to_json(),
        "identity": winner.architecture.identity,
        "parameters": winner.parameters,
        "macs": winner.macs,
        "tail_parameters": tail_parameters,
        "tail_macs": tail_macs,
        "parameter_reduction": reduction,
        "parts": part_parameters(deployed),
        "bytes": stored_bytes(deployed),
        "tail_bytes": tail_bytes,
        "latency_ms": timed["winner"].milliseconds,
        "latency_spread": timed["winner"].spread,
        "latency": timed["winner"].to_json(),
        "tail_latency_ms": timed["tail"].milliseconds if "tail" in timed else None,
        "tail_latency_spread": timed["tail"].spread if "tail" in timed else None,
        "val": winner.trainings[0].val,
        "test": figures["winner"][0] if figures else None,
        "controls": {
            name: {
                "parameters": contestant.parameters,
                "macs": contestant.macs,
                "latency_ms": timed[name].milliseconds,
                "latency_spread": timed[name].spread,
                "val": contestant.trainings[0].val,
                "test": figures[name][0] if figures else None,
                "architecture": contestant.architecture.to_json() if contestant.architecture else None,
            }
            for name, contestant in contestants.items()
            if name != "winner"
        },
        "repeats": {
            name: {
                "seeds": [trained.record["seed"] for trained in contestant.trainings],
                f"val_{metric}": [trained.val[metric] for trained in contestant.trainings],
                f"test_{metric}": [f[metric] for f in figures[name]] if figures else None,
            }
            for name, contestant in contestants.items()
        },
        "gain": {name: value._asdict() for name, value in gains.items()},
        "roc": curves(data, val_scores, first_scores, roc_points),
        "precision_recall": curves(data, val_scores, first_scores, pr_points),
        "verdict": verdict(metric, figures, gains, reduction, settings, few=few),
        **({} if few is None else {"too_few": few._asdict()}),
    }
    kept = {"val": val_scores["winner"]}
    return result, kept | ({"test": first_scores["winner"]} if scores else {})


def tested(
    data: JobData, settings: JobSettings, contestants: Mapping[str, Contestant], device: torch.device
) -> tuple[dict[str, list[Scores]], dict[str, list[Figures]]]:
    """Scores and figures on test of every training of every contestant; both empty without a test split."""
    scores: dict[str, list[Scores]] = {}
    figures: dict[str, list[Figures]] = {}
    if data.test is None:
        return scores, figures
    labels = data.test.labels.numpy()
    for name, contestant in contestants.items():
        precision = settings.tail.precision if name == "tail" and settings.tail else "float32"
        scores[name] = [
            predict_scores(trained.module, data.test.features, device=device, precision=precision)
            for trained in contestant.trainings
        ]
        figures[name] = [
            measure(table, labels, threshold=trained.val["threshold"])
            for table, trained in zip(scores[name], contestant.trainings, strict=True)
        ]
    return scores, figures


def gains_of_winner(
    data: JobData,
    metric: str,
    scores: Mapping[str, Sequence[Scores]],
    figures: Mapping[str, Sequence[Figures]],
    *,
    seed: int,
) -> dict[str, "Gain"]:
    """The winner's gain over every other contestant, on test; none without a test split."""
    gains: dict[str, Gain] = {}
    for name in figures:
        if name != "winner" and data.test is not None:
            ours, theirs = ([float(f[metric] or 0.0) for f in figures[side]] for side in ("winner", name))
            first, labels = (scores["winner"][0], scores[name][0]), data.test.labels.numpy()
            images = paired_bootstrap(*first, labels, metric, seed_of(seed, "bootstrap") % 2**32, rounds=300)
            gains[f"over_{name}"] = gain(ours, theirs, images, fixed=name == "linear_probe")
    return gains


def measured_latencies(
    data: JobData, contestants: Mapping[str, Contestant], latencies: Latencies, beside: Sequence[Architecture] = ()
) -> dict[str, Latency]:
    """The latency of every contestant, and of the tail where there is a backbone, timed in turn."""
    builders: dict[str, Callable[[], nn.Module]] = {}
    if data.tail is not None:
        builders["tail"] = partial(built_tail, data, data.tail)
    for name, contestant in contestants.items():
        if not contestant.searchable:
            builders[name] = partial(on_trunk, contestant.trainings[0].module, data.train.features)
    architectures = {
        name: contestant.architecture
        for name, contestant in contestants.items()
        if contestant.searchable and contestant.architecture
    }
    return latencies.together(builders, architectures, beside)


def tail_costs(data: JobData) -> tuple[int | None, int | None, int | None]:
    """Parameters, MACs and stored bytes of the tail that a branch would replace; None without a backbone."""
    if data.tail is None:
        return None, None, None
    tail = built_tail(data, data.tail)
    return parameters(tail), macs(tail, data.train.trunk_shape), stored_bytes(tail)


def built_tail(data: JobData, build: TailBuilder) -> nn.Module:
    """The tail as it is deployed, on the trunk's own features."""
    module: nn.Module = on_trunk(build(torch.Generator().manual_seed(0)), data.train.features)
    return module


class Gain(NamedTuple):
    """A difference of mean test figures with its 95 % interval over training seeds, and one over test images.

    low, high: Welch's t interval over the repeated trainings, or the one over images when neither side was repeated.
    images_low, images_high: paired bootstrap over the test images, first training of each side.
    """

    difference: float
    low: float
    high: float
    images_low: float
    images_high: float

    def __str__(self) -> str:
        return f"{self.difference:+.4f} [{self.low:+.4f}, {self.high:+.4f}]"


def gain(
    ours: Sequence[float], theirs: Sequence[float], images: tuple[float, float, float], *, fixed: bool = False
) -> Gain:
    """``ours`` above ``theirs``: one test figure per training seed on each side; ``images`` from the bootstrap.

    fixed: nothing in their training is drawn at random, so that one training says all (the linear probe).
    """
    difference = float(np.mean(ours) - np.mean(theirs))
    if len(ours) == len(theirs) == 1 or (len(ours) == 1 and fixed):
        return Gain(difference, images[1], images[2], images[1], images[2])
    half = welch_half_width(ours, theirs, fixed=fixed)
    return Gain(difference, difference - half, difference + half, images[1], images[2])


def welch_half_width(
    ours: Sequence[float], theirs: Sequence[float], *, fixed: bool = False, confidence: float = 0.95
) -> float:
    """Half the width of Welch's t interval for a difference of means.

    A side trained once borrows the other side's variance; one that is ``fixed`` has none.
    """
    repeated = [side for side in (ours, theirs) if len(side) > 1]
    spread = {id(side): float(np.var(side, ddof=1)) for side in repeated}
    borrowed = max(spread.values())
    sides = [ours] if fixed else [ours, theirs]
    parts = [(spread.get(id(side), borrowed) / len(side), max(len(side), min(map(len, repeated)))) for side in sides]
    variance = float(sum(part for part, _ in parts))
    if variance == 0.0:
        return 0.0
    freedom = variance**2 / sum(part**2 / (count - 1) for part, count in parts)
    half: float = student.ppf((1 + confidence) / 2, freedom) * variance**0.5
    return float(half)


def verdict(
    metric: str,
    figures: Mapping[str, list[Figures]],
    gains: dict[str, Gain],
    reduction: float | None,
    settings: JobSettings,
    *,
    few: "TooFew | None" = None,
) -> str:
    """One sentence, or the reason why there is none."""
    if not figures:
        return "There is no test split, so nothing is said about the gain; val alone chose the winner."
    mean = float(np.mean([f[metric] for f in figures["winner"]]))
    if few is not None:
        return few_images(metric, mean, len(figures["winner"]), few)
    return sentence(metric, mean, len(figures["winner"]), gains, reduction, settings.retrained)


class TooFew(NamedTuple):
    """The rarest value of a split, of which it holds fewer than `FEW` images."""

    value: str
    images: int

    def sentence(self, split: str) -> str:
        """What is said in a verdict's place, wherever one is withheld."""
        return too_few_words(self.value, self.images, split)


def too_few(data: JobData, split: str = "test") -> TooFew | None:
    """The value with too few images to tell a gain from luck; None where each has enough, or the split is not there."""
    counts = split_counts(data)[split]
    if not sum(counts.values()):
        return None
    value, images = rarest(counts)
    return TooFew(value, images) if images < FEW else None


def split_counts(data: JobData) -> dict[str, dict[str, int]]:
    """split -> value -> images."""
    parts = {"train": data.train, "val": data.val, "test": data.test}
    return {
        split: {
            value: 0 if part is None else int((part.labels == number).sum()) for number, value in enumerate(data.values)
        }
        for split, part in parts.items()
    }


def few_images(metric: str, score: float, repeats: int, few: TooFew) -> str:
    """What stands in the verdict's place: the score, and why no side is called better."""
    return (
        f"Test {title_of(metric)} {score:.4f} (mean of {repeats} trainings); {few.sentence('test')} whether the search "
        "gained anything."
    )


def sentence(
    metric: str, score: float, repeats: int, gains: dict[str, Gain], reduction: float | None, random: int
) -> str:
    """The verdict: what the search gained over random at equal budget, and whether the branch is worth having."""
    parts = [f"Test {title_of(metric)} {score:.4f} (mean of {repeats} trainings)"]
    if reduction:  # the whole tail has no share of itself to tell
        parts[0] += f" with {abs(reduction):.1%} {'fewer' if reduction >= 0 else 'more'} parameters than the tail"
    over = gains.get("over_random")
    if over is not None:
        parts.append(
            f"the search gained {over} over the best of {random} random architectures trained alike "
            f"({significance(over)})"
        )
    probe = gains.get("over_linear_probe")
    if probe is not None:
        worth = "" if probe.low > 0 else ", which is not more than the interval: use the probe"
        parts.append(f"{probe} over a linear probe{worth}")
    for rival, over in gains.items():
        if rival not in ("over_random", "over_linear_probe", "over_tail"):
            parts.append(f"{over} over the best that {rival.removeprefix('over_')} found")
    if "over_tail" in gains:
        parts.append(f"{gains['over_tail']} over the fine-tuned tail")
    return "; ".join(parts) + "."


def significance(over: Gain) -> str:
    if over.low > 0:
        return "a gain beyond the interval"
    return "a loss beyond the interval" if over.high < 0 else "within the interval: no better than random"


def stage_seconds(history: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    """Seconds of work per stage, over all the runs that a job took."""
    stages = {
        "child_epoch": "search",
        "candidate": "search",
        "controller_update": "search",
        "ranking": "search",
        "control": "controls",
    }
    totals = {"search": 0.0, "retrain": 0.0, "controls": 0.0}
    for record in history:
        of_control = record.get("role", "candidate") != "candidate" or record.get("of", "winner") != "winner"
        stage = "controls" if of_control else stages.get(str(record["kind"]), "retrain")
        totals[stage] += float(record.get("seconds", 0.0))
    return totals
