"""Figures of ``result.json`` from finished trainings: one look at the test split, gains, curves, the verdict."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, NamedTuple

import torch
from torch import nn

from branches.compression import on_trunk
from branches.costs.latency import Latency
from branches.costs.module import macs, parameters, part_parameters, stored_bytes
from branches.measures.metrics import Scores, measure, pr_points, roc_points
from branches.tails import TailBuilder
from branches.training import predict_scores
from foundation.provenance import seed_of
from nas.job.advice import Facts, TooFew, kind_of, verdict
from nas.job.gains import Gain, Interval, Side, gain, interval, redrawn, spread_of
from nas.job.scores import curves
from nas.job.trainings import Figures, Trained
from nas.limits.latency import Latencies
from nas.settings import JobData, JobSettings
from search_spaces import Architecture
from subdatasets.reading.rows import FEW, rarest

PROBES = ("linear_probe", "joined_probe")  # whose trainings draw nothing at random


@dataclass(frozen=True)
class Contestant:
    """One side of the comparison: its trainings (the first is the one shown) and what it costs.

    key: its kind, "searched", "random", "linear_probe", "joined_probe", "tail", "by-hand", or the strategy of a rival.
    """

    trainings: Sequence[Trained]
    parameters: int
    macs: int
    architecture: Architecture | None = None
    key: str = "searched"

    @property
    def described(self) -> dict[str, Any]:
        """The architecture as plain values, as ``branch.json`` has it; a probe and a whole tail are named."""
        return self.architecture.to_json() if self.architecture else {self.key: True}

    @property
    def identity(self) -> str:
        """The architecture's, or the kind of what has none."""
        return self.architecture.identity if self.architecture else self.key

    @property
    def searchable(self) -> bool:
        """Whether the architecture alone says what to build; a probe has none, a tail also needs the backbone."""
        return self.architecture is not None and self.architecture.space != "tail"


class Compared(NamedTuple):
    """On test: the winner's interval, its gains by contestant, the search's over random, and everyone's means."""

    score: Interval
    gains: dict[str, Gain]
    search_gain: Gain | None
    means: dict[str, float]


@dataclass(frozen=True)
class JobResult:
    """What a job found; ``record, branch = run_job(...)`` unpacks it.

    record: what ``result.json`` says. branch: the winner with its weights, in evaluation mode. scores: its
    probabilities (N, V) on "val" and, where there is one, on "test". contestants: it, as "winner", and all else that
    was trained, by kind; empty where the job had ended before.
    """

    record: dict[str, Any]
    branch: nn.Module
    scores: Mapping[str, Scores]
    contestants: Mapping[str, Contestant] = field(default_factory=dict)

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
    trained: Sequence[Sequence[float]] = (),
    cheapest: bool = False,
    more: str = "",
) -> tuple[dict[str, Any], dict[str, Scores]]:
    """The one look at the test split: every contestant's figures on val and test, and the winner's scores on them.

    The figures are what the records say of the winner and its controls, costs and latencies included. `beside`: other
    architectures whose latencies will be set beside them. trained: see `gains_of_winner`. cheapest: whether the winner
    is not the best on val, but the cheapest within the margin of that. more: what more labels would bring, in words.
    """
    metric = settings.search.reward
    winner = contestants["winner"]
    scores, figures = tested(data, settings, contestants, device)
    compared = gains_of_winner(data, metric, contestants, scores, figures, trained, seed=seed)
    val_scores = {name: contestant.trainings[0].val_scores for name, contestant in contestants.items()}
    first_scores = {name: tables[0] for name, tables in scores.items()}
    tail_parameters, tail_macs, tail_bytes = tail_costs(data)
    deployed = on_trunk(winner.trainings[0].module, data.train.features)
    reduction = None if tail_parameters is None else 1 - winner.parameters / tail_parameters
    timed = measured_latencies(data, contestants, latencies, beside)
    few = too_few(data)
    facts = replace(facts_of(data, settings, contestants, compared, tail_parameters, few), cheapest=cheapest, more=more)
    sentence, advice = verdict(facts)
    result: dict[str, Any] = {
        "kind": kind_of(winner.key),
        "architecture": winner.described,
        "identity": winner.identity,
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
                "identity": contestant.identity,
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
        "gain": {f"over_{name}": value._asdict() for name, value in compared.gains.items()} if compared else {},
        **({"test_interval": compared.score._asdict()} if compared else {}),
        **({"search_gain": compared.search_gain._asdict()} if compared and compared.search_gain else {}),
        "roc": curves(data, val_scores, first_scores, roc_points),
        "precision_recall": curves(data, val_scores, first_scores, pr_points),
        "verdict": sentence,
        "advice": advice.record(facts),
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
        precision = settings.tail.precision if contestant.key == "tail" and settings.tail else "float32"
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
    contestants: Mapping[str, Contestant],
    scores: Mapping[str, Sequence[Scores]],
    figures: Mapping[str, Sequence[Figures]],
    trained: Sequence[Sequence[float]],
    *,
    seed: int,
) -> Compared | None:
    """The winner's interval and its gain over every other contestant, on test; None without a test split.

    trained: val figures of the architectures that were trained, group by group; the seeds' chance where nothing was
    repeated.
    """
    if data.test is None:
        return None
    labels = data.test.labels.numpy()
    sides = {
        name: Side(scores[name], [float(f[metric] or 0.0) for f in figures[name]], contestant.key in PROBES)
        for name, contestant in contestants.items()
    }
    spread = spread_of([side.figures for side in sides.values()], trained)
    images = redrawn(sides, labels, metric, seed=seed_of(seed, "bootstrap") % 2**32)

    def over(ours: str, theirs: str) -> Gain:
        return gain(sides[ours], sides[theirs], images[ours] - images[theirs], labels, spread)

    by_key = {contestant.key: name for name, contestant in contestants.items()}
    searched, random = by_key.get("searched"), by_key.get("random")
    return Compared(
        interval(sides["winner"], images["winner"], labels, spread),
        {name: over("winner", name) for name in sides if name != "winner"},
        over(searched, random) if searched and random else None,
        {name: side.mean for name, side in sides.items()},
    )


def measured_latencies(
    data: JobData, contestants: Mapping[str, Contestant], latencies: Latencies, beside: Sequence[Architecture] = ()
) -> dict[str, Latency]:
    """The latency of every contestant, and of the tail where there is a backbone, timed in turn."""
    builders: dict[str, Callable[[], nn.Module]] = {}
    if data.tail is not None:
        builders["tail"] = partial(built_tail, data, data.tail)
    for contestant in contestants.values():
        if not contestant.searchable:
            builders[contestant.key] = partial(on_trunk, contestant.trainings[0].module, data.train.features)
    architectures = {
        name: contestant.architecture
        for name, contestant in contestants.items()
        if contestant.searchable and contestant.architecture
    }
    timed = latencies.together(builders, architectures, beside)
    return timed | {name: timed[c.key] for name, c in contestants.items() if not c.searchable}


def facts_of(
    data: JobData,
    settings: JobSettings,
    contestants: Mapping[str, Contestant],
    compared: Compared | None,
    tail_parameters: int | None,
    few: TooFew | None,
) -> Facts:
    """What the verdict is made of; the others in the order of their val scores."""
    metric, winner = settings.search.reward, contestants["winner"]
    costs = {name: cost_words(contestant, tail_parameters) for name, contestant in contestants.items()}
    ranked = sorted(
        (name for name in contestants if name != "winner"),
        key=lambda name: -contestants[name].trainings[0].score(metric),
    )
    return Facts(
        attribute=data.attribute,
        key=winner.key,
        costs=costs["winner"],
        metric=metric,
        val=winner.trainings[0].score(metric),
        score=compared.score if compared else None,
        images=len(data.test) if data.test else 0,
        others={name: compared.means[name] for name in ranked} if compared else {},
        other_costs=costs,
        gains=compared.gains if compared else {},
        search_gain=compared.search_gain if compared else None,
        random=settings.retrained,
        few=few,
    )


def cost_words(contestant: Contestant, tail_parameters: int | None) -> str:
    """What a contestant costs, beside the tail where there is one; no milliseconds, which differ from run to run."""
    saved = 1 - contestant.parameters / tail_parameters if tail_parameters else 0.0
    share = "over 99.9%" if 0.9995 <= saved < 1 else f"{abs(saved):.1%}"
    beside = f" ({share} {'fewer' if saved > 0 else 'more'} than the tail)" if saved else ""
    return f"{contestant.parameters:,} parameters{beside}, {contestant.macs:,} MACs"


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


def stage_seconds(history: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    """Seconds of work per stage, over all the runs that a job took."""
    stages = {
        "child_epoch": "search",
        "candidate": "search",
        "controller_update": "search",
        "ranking": "search",
        "control": "controls",
        "curve": "controls",
    }
    totals = {"search": 0.0, "retrain": 0.0, "controls": 0.0}
    for record in history:
        of_control = record.get("role", "candidate") != "candidate" or record.get("of", "winner") != "winner"
        stage = "controls" if of_control else stages.get(str(record["kind"]), "retrain")
        totals[stage] += float(record.get("seconds", 0.0))
    return totals
