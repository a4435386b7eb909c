"""Run a project's label graph: pool, train with and without the graph, compare on test once, write."""

import shutil
import time
import warnings
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from foundation.files import write_json
from foundation.history import History, Progress
from foundation.locks import only_one
from foundation.provenance import machine, timestamp, versions
from graftnet.label_graphs.plan import GraphData, GraphPlan, branch_scores, pooled
from graftnet.project.folder import Project, by_age
from graftnet.searches.run import to_do
from label_graph.classifier import LabelClassifier, PooledFeatures
from label_graph.cooccurrence import (
    Adjacency,
    LabelGraphWarning,
    PairCounts,
    calibrated,
    count_pairs,
    filled,
    label_adjacency,
    threshold,
    unseen_pairs,
)
from label_graph.errors import LabelGraphError
from label_graph.gain import gains, rarest_label, verdict_of
from label_graph.saved import ClassifierRecord, save_classifiers
from label_graph.scores import Combination, by_label, combine, described
from label_graph.settings import GRAPHS, GraphSettings
from label_graph.training import TrainedGraph, predict_probabilities, train_label_graph
from subdatasets.labels.table import ABSENT, PRESENT, States
from subdatasets.splits import SPLITS
from trunk.trunk import Trunk

Floats = npt.NDArray[np.float64]


def runs_of(project: Project) -> list[Path]:
    """The finished runs of a project's label graph, oldest first."""
    return by_age(project.label_graphs.glob("*/result.json"))


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
        if not to_do(plan.folder, force=force):
            return plan.folder  # another process ended it just now
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
    counts = count_pairs(data.table.states[data.rows("train")])
    # Predictions for training images are needed where counts are to be estimated alone.
    needed = np.concatenate([data.rows(split) for split in (SPLITS if unseen_pairs(counts) else SPLITS[1:])])
    branches = branch_scores(plan.project, trunk, data, plan.branches, needed, precision=precision, progress=progress)
    seconds["branches"] = time.perf_counter() - started
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", LabelGraphWarning)
        trained, counts = train_all(plan, features, branches, counts, device=device, progress=progress)
    seconds["training"] = sum(training.seconds for training in trained.values())
    started = time.perf_counter()
    result = compare_methods(plan, features, trained, branches)
    seconds["comparison"] = time.perf_counter() - started
    about_graph = [warning for warning in caught if issubclass(warning.category, LabelGraphWarning)]
    notes = [*data.table.notes, *dict.fromkeys(str(warning.message) for warning in about_graph)]
    for warning in caught:
        if warning not in about_graph:
            warnings.warn_explicit(warning.message, warning.category, warning.filename, warning.lineno)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", LabelGraphWarning)  # said in the notes
        adjacency = label_adjacency(counts, tau=plan.settings.tau, p=plan.settings.p, labels=data.table.labels)
    graph = graph_record(adjacency, counts, data, plan.settings)
    saved(plan, trunk, trained[plan.settings.graph].module, result)
    write_json(
        plan.folder / "result.json",
        {
            **plan.identity,
            **result,
            "graph": graph,
            "notes": notes,
            "verdict": verdict_of(result, plan.settings, edges=len(graph["edges"])),
            "trunk": {"backbone": trunk.backbone, "size": trunk.preprocessing.size, "blocks": len(trunk.chain)},
            "seconds": {**seconds, "total": sum(seconds.values())},
            "command": plan.command,
            "versions": versions(),
            "machine": machine(device),
            "created": timestamp(),
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
    counts: PairCounts,
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

        training = trained[graph] = train_label_graph(
            train,
            val,
            replace(plan.settings, graph=graph),
            labels=data.table.labels,
            counts=counts,
            words=plan.words,
            device=device,
            folder=plan.folder / "training" / graph,
            report=report,
        )
        for record in training.history:
            history.append("epoch", graph=graph, **record)
        history.append(
            "trained", graph=graph, epoch=training.epoch, val_map=training.val_score, seconds=training.seconds
        )
    return trained, counts


def compare_methods(
    plan: GraphPlan, features: PooledFeatures, trained: Mapping[str, TrainedGraph], branches: Floats
) -> dict[str, Any]:
    """Every method's figures on val and test, each label's, and what the graph gains: on test, where there is one.

    This is the one place where test is looked at.
    """
    data, chosen = plan.data, plan.settings.graph
    table = features.by(plan.settings.pooling)
    whole = {graph: predict_probabilities(training.module, table).numpy() for graph, training in trained.items()}
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
    for graph, training in trained.items():
        module = training.module
        methods[graph] |= {
            "epoch": training.epoch,
            "seconds": training.seconds,
            "trained_parameters": sum(parameter.numel() for parameter in module.parameters()),
            "parameters": sum(parameter.numel() for parameter in module.constant().parameters()),
        }
    split = "test" if "test" in states else "val"
    return {
        "images": {name: len(data.rows(name)) for name in ("train", "val", "test")},
        "chosen": chosen,
        "methods": methods,
        "thresholds": {method: cut.tolist() for method, cut in thresholds.items()},
        "combination": weights_record(combination, data, branches[splits["val"]]) if combination else None,
        "measured_on": split,
        "gains": gains(scores, states[split], chosen, split, seed=plan.settings.seed),
        **rarest_label(states[split], data.table.labels),
        "per_label": per_label(data, scores, states),
    }


def per_label(
    data: GraphData, scores: Mapping[str, Mapping[str, Floats]], states: Mapping[str, States]
) -> list[dict[str, Any]]:
    """Each label with its images in each split and every method's AUROC and average precision."""
    entries: list[dict[str, Any]] = []
    for column, label in enumerate(data.labels):
        images = {}
        for split in ("train", "val", "test"):
            mine = data.table.states[data.rows(split), column]
            images[split] = {"present": int((mine == PRESENT).sum()), "absent": int((mine == ABSENT).sum())}
        entries.append({**vars(label), "images": images, "methods": {}})
    for method, tables in scores.items():
        for split, truth in states.items():
            for entry, figures in zip(entries, by_label(tables[split], truth), strict=True):
                entry["methods"].setdefault(method, {})[split] = figures
    return entries


def weights_record(combination: Combination, data: GraphData, branches: Floats) -> dict[str, Any]:
    """What combines a branch's score with the graph's at work; ``branches``: of val."""
    there = set(np.flatnonzero(~np.isnan(branches).any(axis=0)).tolist())
    return {
        "branch_weight": combination.weight,
        "labels": {
            name: {
                "branch_centre": float(combination.centre[0, column]),
                "branch_spread": float(combination.spread[0, column]),
                "graph_centre": float(combination.centre[1, column]),
                "graph_spread": float(combination.spread[1, column]),
            }
            for column, name in enumerate(data.table.labels)
            if column in there
        },
    }


def graph_record(adjacency: Adjacency, counts: PairCounts, data: GraphData, settings: GraphSettings) -> dict[str, Any]:
    """The graph by co-occurrence: its edges with their probabilities, and which of these are estimated."""
    train = data.table.states[data.rows("train")]
    counted = count_pairs(train).known > 0
    edges = threshold(adjacency.probability, settings.tau)
    return {
        "tau": settings.tau,
        "p": settings.p,
        "probability": np.round(adjacency.probability, 6).tolist(),
        "edges": [
            {
                "from": int(i),
                "to": int(j),
                "probability": float(adjacency.probability[i, j]),
                "estimated": not counted[i, j],
            }
            for i, j in np.argwhere(edges > 0)
        ],
        "isolated": list(adjacency.isolated),
        "absent": list(adjacency.absent),
        "estimated": counts.estimated,
        "estimated_pairs": int((~counted & ~np.eye(len(counted), dtype=bool)).sum()) if counts.estimated else 0,
    }


def saved(plan: GraphPlan, trunk: Trunk, module: LabelClassifier, result: Mapping[str, Any]) -> None:
    """Write the chosen graph's classifiers as a constant into the run's folder."""
    chosen = plan.settings.graph
    record = ClassifierRecord(
        plan.data.labels,
        tuple(result["thresholds"][chosen]),
        plan.settings.pooling,
        trunk.feature_shape(plan.depth),
        plan.depth,
        trunk.fingerprint,
        {split: result["methods"][chosen][split] for split in ("val", "test")},
    )
    save_classifiers(plan.folder, module.constant(), record)
