"""A project's label graph, all the way: join, pool, train with and without the graph, compare on test once, write."""

import shutil
import time
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from graftnet.graph_data import GraphData, branch_scores, pooled
from graftnet.graph_figures import combine, described
from graftnet.graph_plan import GraphPlan
from graftnet.graph_records import graph_record, per_label, saved, verdict_of
from graftnet.locks import only_one
from graftnet.provenance import machine, versions
from label_graph.cooccurrence import LabelGraphWarning, PairCounts, count_pairs, label_adjacency
from label_graph.errors import LabelGraphError
from label_graph.estimating import calibrated, filled, unseen_pairs
from label_graph.gain import paired_gain
from label_graph.pooling import PooledFeatures
from label_graph.settings import GRAPHS
from label_graph.training import TrainedGraph, predict_probabilities, train_label_graph
from nas.history import History
from subdatasets.multilabel import UNKNOWN
from trunk.checkpoints import write_json
from trunk.feature_cache import Progress
from trunk.trunk import Trunk

Floats = npt.NDArray[np.float64]


def run_graph(
    plan: GraphPlan, trunk: Trunk, *, device: torch.device, progress: Progress | None = None, force: bool = False
) -> Path:
    """Do a planned run, or what is left of it; a finished one is returned as it is unless ``force``.

    Returns:
        The folder with ``config.json``, ``history.jsonl``, ``result.json``, ``label_graph.json`` and
        ``classifiers.safetensors``.

    Raises:
        LabelGraphError: train or val is empty, or something cannot be trained.
    """
    if plan.finished and not force:
        return plan.folder
    for split in ("train", "val"):
        if not len(plan.data.rows(split)):
            raise LabelGraphError(
                f"No image is in {split} for all the attributes that label it, so no label graph can be trained; split "
                f"the sub-datasets alike, or name fewer attributes."
            )
    with only_one(plan.folder):
        if plan.finished and force:
            shutil.rmtree(plan.folder)
        plan.folder.mkdir(parents=True, exist_ok=True)
        write_json(
            plan.folder / "config.json",
            {**plan.identity, "command": plan.command, "versions": versions(), "machine": machine(device)},
        )
        return finish(plan, trunk, device=device, progress=progress)


def finish(plan: GraphPlan, trunk: Trunk, *, device: torch.device, progress: Progress | None) -> Path:
    """Train and compare; ``result.json`` comes last and makes the run finished."""
    data, precision = plan.data, plan.identity["feature_precision"]
    seconds = {}
    started = time.perf_counter()
    features = pooled(plan.project, trunk, data, depth=plan.depth, precision=precision, progress=progress)
    seconds["features"] = time.perf_counter() - started
    started = time.perf_counter()
    branches = branch_scores(plan.project, trunk, data, plan.branches, precision=precision, progress=progress)
    seconds["branches"] = time.perf_counter() - started
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", LabelGraphWarning)
        trained, counts = train_all(plan, features, branches, device=device, progress=progress)
    seconds["training"] = sum(one.seconds for one in trained.values())
    started = time.perf_counter()
    result = compared(plan, features, trained, branches)
    seconds["comparison"] = time.perf_counter() - started
    notes = [*data.table.notes, *dict.fromkeys(str(one.message) for one in caught)]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", LabelGraphWarning)
        adjacency = label_adjacency(counts, tau=plan.settings.tau, p=plan.settings.p, labels=data.table.labels)
    saved(plan, trunk, trained[plan.settings.graph].module, result)
    write_json(
        plan.folder / "result.json",
        {
            **plan.identity,
            **result,
            "graph": graph_record(adjacency, counts, data, plan.settings),
            "notes": notes,
            "verdict": verdict_of(result, plan.settings),
            "trunk": {"backbone": trunk.backbone, "size": trunk.preprocessing.size, "blocks": len(trunk.chain)},
            "seconds": {**seconds, "total": sum(seconds.values())},
            "command": plan.command,
            "versions": versions(),
            "machine": machine(device),
            "created": time.strftime("%Y-%m-%dT%H:%M:%S"),
            "status": "complete",
        },
    )
    # A finished training's checkpoint served its resuming alone.
    shutil.rmtree(plan.folder / "training", ignore_errors=True)
    return plan.folder


def train_all(
    plan: GraphPlan,
    features: PooledFeatures,
    branches: Floats,
    *,
    device: torch.device,
    progress: Progress | None,
) -> tuple[dict[str, TrainedGraph], PairCounts]:
    """The classifiers without a graph, with the identity graph, and with co-occurrence, in this order.

    Pairs that no training image is labelled for are counted by predictions: of the branches, and of the classifiers
    without a graph where there is no branch.
    """
    data = plan.data
    train, val = (data.pool(features, split) for split in ("train", "val"))
    counts = count_pairs(train.states)
    history = History(plan.folder / "history.jsonl")
    history.truncate(0)
    trained: dict[str, TrainedGraph] = {}
    for graph in reversed(GRAPHS):
        if graph == "cooccurrence" and unseen_pairs(counts):
            plain = predict_probabilities(trained["none"].module, features.by(plan.settings.pooling)).numpy()
            guesses = np.where(np.isnan(branches), plain, branches)
            rows = {split: data.rows(split) for split in ("train", "val")}
            calibration = calibrated(guesses[rows["val"]], val.states, guesses[rows["train"]])
            counts = filled(counts, calibration, train.states)
        stage = f"label graph: {graph}"

        def report(epoch: int, score: float, stage: str = stage) -> None:
            if progress:
                progress(stage, epoch, plan.settings.epochs, {"val_map": score})

        found = trained[graph] = train_label_graph(
            train,
            val,
            plan.settings._replace(graph=graph),
            labels=data.table.labels,
            counts=counts,
            words=plan.words,
            device=device,
            folder=plan.folder / "training" / graph,
            report=report,
        )
        for record in found.history:
            history.append("epoch", graph=graph, **record)
        history.append("trained", graph=graph, epoch=found.epoch, val_map=found.val_score, seconds=found.seconds)
    return trained, counts


def compared(
    plan: GraphPlan, features: PooledFeatures, trained: Mapping[str, TrainedGraph], branches: Floats
) -> dict[str, Any]:
    """Every method's figures on val and test, each label's, and what the graph gains, measured on test where there is one.

    This is the one place where test is looked at.
    """
    data, chosen = plan.data, plan.settings.graph
    table = features.by(plan.settings.pooling)
    whole = {graph: predict_probabilities(one.module, table).numpy() for graph, one in trained.items()}
    splits = {split: data.rows(split) for split in ("val", "test")}
    states = {split: data.table.states[rows] for split, rows in splits.items() if (data.table.states[rows] == 1).any()}
    combination = None
    if not np.isnan(branches).all():
        whole["branches"] = branches
        val = splits["val"]
        combination = combine(branches[val], whole[chosen][val], states["val"])
        whole["combined"] = combination.scores(branches, whole[chosen])
    scores = {method: {split: full[splits[split]] for split in states} for method, full in whole.items()}
    methods, thresholds = described(scores, states)
    for graph, one in trained.items():
        module = one.module
        methods[graph] |= {
            "epoch": one.epoch,
            "seconds": one.seconds,
            "trained_parameters": sum(parameter.numel() for parameter in module.parameters()),
            "parameters": sum(parameter.numel() for parameter in module.constant().parameters()),
        }
    split = "test" if "test" in states else "val"
    return {
        "images": {name: len(data.rows(name)) for name in ("train", "val", "test")},
        "chosen": chosen,
        "methods": methods,
        "thresholds": {method: cut.tolist() for method, cut in thresholds.items()},
        "combination": weights_record(combination, data, branches) if combination else None,
        "measured_on": split,
        "gains": gains(scores, states[split], chosen, split, seed=plan.settings.seed),
        "per_label": per_label(data, scores, states),
    }


def gains(
    scores: Mapping[str, Mapping[str, Floats]], states: npt.NDArray[np.int8], chosen: str, split: str, *, seed: int
) -> dict[str, Any]:
    """What the chosen graph gains over the others, and over the branches; and what combining gains over these."""
    pairs = [(chosen, other) for other in (*GRAPHS, "branches") if other != chosen and other in scores]
    pairs += [("combined", other) for other in ("branches", chosen) if "combined" in scores]
    found = {}
    for ours, theirs in pairs:
        a, b = scores[ours][split], scores[theirs][split]
        both = ~(np.isnan(a).any(axis=0) | np.isnan(b).any(axis=0))
        known = np.where(both, states, UNKNOWN)
        if not (known == 1).any():
            continue
        gain = paired_gain(np.nan_to_num(a), np.nan_to_num(b), known, seed=seed)
        each = [None if np.isnan(one) else float(one) for one in gain.labels]
        found[f"{ours} over {theirs}"] = {
            "a": ours,
            "b": theirs,
            "map": gain.total,
            "low": gain.low,
            "high": gain.high,
            "labels": each,
        }
    return found


def weights_record(combination: Any, data: GraphData, branches: Floats) -> dict[str, Any]:
    """What combines a branch's score with the graph's at work."""
    there = ~np.isnan(branches).any(axis=0)
    return {
        "branch_weight": combination.weight,
        "labels": {
            name: {
                "branch_centre": float(combination.centre[0, place]),
                "branch_spread": float(combination.spread[0, place]),
                "graph_centre": float(combination.centre[1, place]),
                "graph_spread": float(combination.spread[1, place]),
            }
            for place, name in enumerate(data.table.labels)
            if there[place]
        },
    }
