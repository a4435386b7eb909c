"""The study of a project's label graph, planned from its sub-datasets and [label_graph]."""

from typing import TYPE_CHECKING

import numpy as np
import torch

from foundation.bounds import recorded
from foundation.history import Progress
from graftnet.label_graphs.plan import plan_graph, pooled, words_of
from graftnet.project.folder import Project
from graftnet.studies.plan import StudyPlan, TuneRequest
from label_graph.building import LabelledPool
from label_graph.cooccurrence import PairCounts, calibrated, count_pairs, filled, unseen_pairs
from label_graph.errors import LabelGraphError
from label_graph.settings import GraphSettings
from label_graph.training import predict_probabilities, train_label_graph
from nas.tuning.gcn import METRIC, GcnObjective, gcn_knobs

if TYPE_CHECKING:
    from graftnet.label_graphs.plan import GraphPlan
    from graftnet.searches.features import Announce

NO_DEFINITION = ("branches", "words")  # of a graph's run; a study compares no branches


def plan_gcn(request: TuneRequest, project: Project, *, seed: int, device: torch.device) -> StudyPlan:
    """Join the project's sub-datasets and read its settings.

    Raises:
        ConfigError, DataError, TrunkError, LabelGraphError: something cannot be used.
    """
    from graftnet.trunks.versions import open_trunk

    trunk = open_trunk(project, device)
    plan = plan_graph(project, trunk, (), seed=seed, device=device)
    for split in ("train", "val"):
        if not len(plan.data.rows(split)):
            raise LabelGraphError(
                f"No image is in {split} for all the attributes that label it, so no label graph can be tuned; split "
                "the sub-datasets alike."
            )
    words = words_of(project) if project.config.label_graph.words else None
    labels = tuple(plan.data.table.labels)
    knobs = gcn_knobs(len(labels), words=words is not None)
    tuned = {knob.name for knob in knobs}
    identity = {
        **{key: value for key, value in plan.identity.items() if key not in NO_DEFINITION},
        # What is tuned says where the first trial begins; `graftnet tune apply` must not begin another study.
        "settings": {key: value for key, value in recorded(plan.settings).items() if key not in tuned},
        "words": str(words) if words else None,
        "knobs": [knob.to_json() for knob in knobs],
    }

    def make(_announce: "Announce | None", progress: Progress | None) -> GcnObjective:
        precision = plan.identity["feature_precision"]
        features = pooled(project, trunk, plan.data, depth=plan.depth, precision=precision, progress=progress)
        train, val = (plan.data.pool(features, split) for split in ("train", "val"))
        counts = counts_of(plan, train, val, device)
        return GcnObjective(train, val, labels, plan.settings, seed, device, counts, words)

    about = {
        "labels": list(labels),
        "fingerprint": trunk.fingerprint,
        "backbone": trunk.backbone,
        "images": {split: len(plan.data.rows(split)) for split in ("train", "val", "test")},
    }
    return StudyPlan(request, project, seed, identity, about, METRIC, None, make, plan.few_sentence)


def counts_of(plan: "GraphPlan", train: LabelledPool, val: LabelledPool, device: torch.device) -> PairCounts:
    """The pairs' counts of all trials: those of train; for pairs that no image is labelled for, of predictions.

    These are of classifiers without a graph, with settings that no trial and no edit of [label_graph] changes.
    """
    counts = count_pairs(train.states)
    if not unseen_pairs(counts):
        return counts
    settings = GraphSettings(graph="none", pooling=plan.settings.pooling, seed=plan.settings.seed)
    plain = train_label_graph(train, val, settings, labels=plan.data.table.labels, device=device).module
    guesses = [predict_probabilities(plain, part.features.by(settings.pooling)).numpy() for part in (train, val)]
    calibration = calibrated(np.asarray(guesses[1]), val.states, np.asarray(guesses[0]))
    return filled(counts, calibration, train.states)
