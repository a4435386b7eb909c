"""From finished trainings to the figures of ``result.json``: one look at the test split, gains, curves."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import nn

from branches.compression import on_trunk
from branches.costs import macs, parameters, part_parameters, stored_bytes
from branches.latency import Latency
from branches.metrics import measure, paired_bootstrap, pr_points, roc_points
from branches.training import predict_scores
from nas.kept_scores import Scores, curves
from nas.latencies import Latencies
from nas.seeds import seed_of
from nas.settings import JobData, JobSettings
from nas.trainings import Figures, Trained
from nas.verdict import Gain, gain, sentence
from search_spaces import Architecture


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
) -> tuple[dict[str, Any], dict[str, Scores]]:
    """The one look at the test split: every contestant's figures on val and test, and the winner's scores on them.

    The figures are what the records say of the winner and its controls, costs and latencies included.
    """
    metric = settings.search.reward
    winner = contestants["winner"]
    assert winner.architecture is not None
    scores: dict[str, list[Scores]] = {}
    figures: dict[str, list[Figures]] = {}
    if data.test is not None:
        labels = data.test.labels.numpy()
        for name, contestant in contestants.items():
            for trained in contestant.trainings:
                precision = settings.tail.precision if name == "tail" and settings.tail else "float32"
                found = predict_scores(trained.module, data.test.features, device=device, precision=precision)
                scores.setdefault(name, []).append(found)
                figures.setdefault(name, []).append(measure(found, labels, threshold=trained.val["threshold"]))
    gains: dict[str, Gain] = {}
    for name in contestants:
        if name != "winner" and data.test is not None:
            ours, theirs = ([float(f[metric] or 0.0) for f in figures[side]] for side in ("winner", name))
            images = paired_bootstrap(
                scores["winner"][0], scores[name][0], labels, metric, seed_of(seed, "bootstrap") % 2**32, rounds=300
            )
            gains[f"over_{name}"] = gain(ours, theirs, images, fixed=name == "linear_probe")
    val_scores = {name: contestant.trainings[0].val_scores for name, contestant in contestants.items()}
    first_scores = {name: found[0] for name, found in scores.items()}
    tail = contestants.get("tail")
    tail_parameters, tail_macs = (tail.parameters, tail.macs) if tail else tail_costs(data)
    deployed = on_trunk(winner.trainings[0].module, data.train.features)
    reduction = None if tail_parameters is None else 1 - winner.parameters / tail_parameters
    timed = measured_latencies(data, contestants, latencies)
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
        "tail_bytes": tail_bytes(data),
        "latency_ms": timed["winner"].median_ms,
        "latency": timed["winner"].to_json(),
        "tail_latency_ms": timed["tail"].median_ms if "tail" in timed else None,
        "val": winner.trainings[0].val,
        "test": figures["winner"][0] if figures else None,
        "controls": {
            name: {
                "parameters": contestant.parameters,
                "macs": contestant.macs,
                "latency_ms": timed[name].median_ms,
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
        "verdict": verdict(metric, figures, gains, reduction, settings),
    }
    kept = {"val": val_scores["winner"]}
    return result, kept | ({"test": first_scores["winner"]} if scores else {})


def measured_latencies(
    data: JobData, contestants: Mapping[str, Contestant], latencies: Latencies
) -> dict[str, Latency]:
    """The latency of every contestant, and of the tail where there is a backbone."""
    builders: dict[str, Callable[[], nn.Module]] = {}
    if data.tail is not None:
        build = data.tail
        builders["tail"] = lambda: on_trunk(build(torch.Generator().manual_seed(0)), data.train.features)
    for name, contestant in contestants.items():
        if not contestant.searchable:
            builders[name] = partial(on_trunk, contestant.trainings[0].module, data.train.features)
    timed = latencies.named(builders)
    for name, contestant in contestants.items():
        if contestant.searchable and contestant.architecture:
            (timed[name],) = latencies.of([contestant.architecture])
    return timed


def tail_costs(data: JobData) -> tuple[int | None, int | None]:
    """What the tail costs when it was not trained as a control; None without a backbone."""
    if data.tail is None:
        return None, None
    module = on_trunk(data.tail(torch.Generator().manual_seed(0)), data.train.features)
    return parameters(module), macs(module, data.train.trunk_shape)


def tail_bytes(data: JobData) -> int | None:
    """The tail's weights as they are stored; None without a backbone."""
    if data.tail is None:
        return None
    return stored_bytes(on_trunk(data.tail(torch.Generator().manual_seed(0)), data.train.features))


def verdict(
    metric: str,
    figures: Mapping[str, list[Figures]],
    gains: dict[str, Gain],
    reduction: float | None,
    settings: JobSettings,
) -> str:
    """One sentence, or the reason why there is none."""
    if not figures:
        return "There is no test split, so nothing is said about the gain; val alone chose the winner."
    mean = float(np.mean([f[metric] for f in figures["winner"]]))
    return sentence(metric, mean, len(figures["winner"]), gains, reduction, settings.retrained)


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
