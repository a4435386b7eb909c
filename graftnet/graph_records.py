"""What a label graph's run writes down: the graph, each label's figures, and the classifiers."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from graftnet.graph_data import GraphData
from graftnet.graph_figures import by_label
from graftnet.graph_plan import GraphPlan
from graftnet.project import Project, by_age
from label_graph.classifier import LabelClassifier
from label_graph.cooccurrence import Adjacency, PairCounts, count_pairs, threshold
from label_graph.records import ClassifierRecord, save_classifiers
from label_graph.settings import GraphSettings
from subdatasets.multilabel import ABSENT, PRESENT, States
from trunk.trunk import Trunk

Floats = npt.NDArray[np.float64]


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


def per_label(
    data: GraphData, scores: Mapping[str, Mapping[str, Floats]], states: Mapping[str, States]
) -> list[dict[str, Any]]:
    """Each label with its images in each split and every method's AUROC and average precision."""
    found: list[dict[str, Any]] = []
    for column, label in enumerate(data.labels):
        images = {}
        for split in ("train", "val", "test"):
            mine = data.table.states[data.rows(split), column]
            images[split] = {"present": int((mine == PRESENT).sum()), "absent": int((mine == ABSENT).sum())}
        found.append({**vars(label), "images": images, "methods": {}})
    for method, tables in scores.items():
        for split, truth in states.items():
            for entry, figures in zip(found, by_label(tables[split], truth), strict=True):
                entry["methods"].setdefault(method, {})[split] = figures
    return found


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


def runs_of(project: Project) -> list[Path]:
    """The finished runs of a project's label graph, oldest first."""
    return by_age(project.label_graphs.glob("*/result.json"))
