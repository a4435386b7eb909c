"""What a label graph's classifiers, the branches and both together give on the same images: the one look at test."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from graftnet.graph_data import GraphData
from graftnet.graph_figures import Combination, combine, described
from graftnet.graph_plan import GraphPlan
from graftnet.graph_records import per_label
from label_graph.classifier import PooledFeatures
from label_graph.gain import gains
from label_graph.training import TrainedGraph, predict_probabilities

Floats = npt.NDArray[np.float64]


def compared(
    plan: GraphPlan, features: PooledFeatures, trained: Mapping[str, TrainedGraph], branches: Floats
) -> dict[str, Any]:
    """Every method's figures on val and test, each label's, and what the graph gains: on test, where there is one.

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
        "combination": weights_record(combination, data, branches[splits["val"]]) if combination else None,
        "measured_on": split,
        "gains": gains(scores, states[split], chosen, split, seed=plan.settings.seed),
        "per_label": per_label(data, scores, states),
    }


def weights_record(combination: Combination, data: GraphData, branches: Floats) -> dict[str, Any]:
    """What combines a branch's score with the graph's at work; ``branches``: of val."""
    there = set(np.flatnonzero(~np.isnan(branches).any(axis=0)).tolist())
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
            if place in there
        },
    }
