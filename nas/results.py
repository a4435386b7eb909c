"""From finished trainings to the figures of ``result.json``: one look at the test split, gains, curves."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import nn

from branches.costs import macs, parameters, stored_bytes
from branches.curves import pr_points, roc_points
from branches.folding import on_trunk
from branches.metrics import measure, paired_bootstrap
from branches.part_sizes import part_parameters
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


def measure_all(
    data: JobData, settings: JobSettings, contestants: Mapping[str, Contestant], *, seed: int, device: torch.device
) -> tuple[dict[str, Any], dict[str, Scores]]:
    """The one look at the test split: every contestant's figures on val and test, and the winner's scores on them."""
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
        "val": winner.trainings[0].val,
        "test": figures["winner"][0] if figures else None,
        "controls": {
            name: {
                "parameters": contestant.parameters,
                "macs": contestant.macs,
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
    }
    result["verdict"] = verdict(metric, figures, gains, reduction, settings)
    kept = {"val": val_scores["winner"]}
    return result, kept | ({"test": first_scores["winner"]} if scores else {})


def measured_latencies(
    result: dict[str, Any], data: JobData, contestants: Mapping[str, Contestant], latencies: Latencies
) -> None:
    """Write the latency of the winner, the controls and the tail into ``result``, with how it was measured."""
    builders: dict[str, Callable[[], nn.Module]] = {}
    if data.tail is not None:
        build = data.tail
        builders["tail"] = lambda: on_trunk(build(torch.Generator().manual_seed(0)), data.train.features)
    for name, contestant in contestants.items():
        if not contestant.searchable:
            builders[name] = partial(on_trunk, contestant.trainings[0].module, data.train.features)
    by_name = latencies.named(builders)
    for name, contestant in contestants.items():
        known = contestant.architecture if contestant.searchable else None
        found = latencies.of([known])[0] if known else by_name[name]
        place = result if name == "winner" else result["controls"][name]
        place["latency_ms"] = found.median_ms
        if name == "winner":
            result["latency"] = found.to_json()
    result["tail_latency_ms"] = by_name["tail"].median_ms if "tail" in by_name else None


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
