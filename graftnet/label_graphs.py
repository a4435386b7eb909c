"""A project's label graph, all the way: join, pool, train with and without the graph, compare on test once, write."""

import shutil
import time
import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from foundation.files import write_json
from foundation.history import History
from foundation.locks import only_one
from foundation.progress import Progress
from foundation.provenance import machine, timestamp, versions
from graftnet.graph_comparison import compared
from graftnet.graph_data import branch_scores, pooled
from graftnet.graph_plan import GraphPlan
from graftnet.graph_records import graph_record, saved
from label_graph.classifier import PooledFeatures
from label_graph.cooccurrence import (
    LabelGraphWarning,
    PairCounts,
    calibrated,
    count_pairs,
    filled,
    label_adjacency,
    unseen_pairs,
)
from label_graph.errors import LabelGraphError
from label_graph.gain import verdict_of
from label_graph.settings import GRAPHS
from label_graph.training import TrainedGraph, predict_probabilities, train_label_graph
from subdatasets.splits import SPLITS
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
        if plan.finished:
            if not force:
                return plan.folder  # another process ended it just now
            # An unfinished run is continued, forced or not: a killed `--force` does not begin again.
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
    counts = count_pairs(data.table.states[data.rows("train")])
    # Predictions for training images are needed where counts are to be estimated alone.
    needed = np.concatenate([data.rows(split) for split in (SPLITS if unseen_pairs(counts) else SPLITS[1:])])
    branches = branch_scores(plan.project, trunk, data, plan.branches, needed, precision=precision, progress=progress)
    seconds["branches"] = time.perf_counter() - started
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", LabelGraphWarning)
        trained, counts = train_all(plan, features, branches, counts, device=device, progress=progress)
    seconds["training"] = sum(one.seconds for one in trained.values())
    started = time.perf_counter()
    result = compared(plan, features, trained, branches)
    seconds["comparison"] = time.perf_counter() - started
    about_graph = [one for one in caught if issubclass(one.category, LabelGraphWarning)]
    notes = [*data.table.notes, *dict.fromkeys(str(one.message) for one in about_graph)]
    for one in caught:
        if one not in about_graph:
            warnings.warn_explicit(one.message, one.category, one.filename, one.lineno)
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

        found = trained[graph] = train_label_graph(
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
        for record in found.history:
            history.append("epoch", graph=graph, **record)
        history.append("trained", graph=graph, epoch=found.epoch, val_map=found.val_score, seconds=found.seconds)
    return trained, counts
