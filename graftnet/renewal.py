"""A grafted branch made anew on another version of the trunk: the same architecture, trained from scratch.

Val picks among the trainings and chooses the threshold; test is measured once, at the end. Finished trainings are kept
in the folder, so that a killed renewal continues, and ends the same.
"""

from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import torch
from torch import nn

from branches.metrics import measure
from branches.records import BranchRecord, save_branch
from branches.settings import FitSettings
from branches.tails import tail_branch
from foundation.files import write_json
from foundation.history import History
from foundation.locks import only_one
from foundation.progress import Progress
from foundation.provenance import identity_of, timestamp
from graftnet.bed import Bed, scores_on
from graftnet.featuring import contents_in_order, order_of
from graftnet.settings import control_tail, fit_settings, tail_settings
from nas.results import score_of
from nas.trainings import Trained, Trainings


def renew(bed: Bed, record: BranchRecord, *, seed: int, progress: Progress | None = None) -> Path:
    """Train the branch of ``record`` on another trunk, or continue, or find it done.

    Returns:
        The folder with ``result.json``, ``history.jsonl`` and ``branch/``.
    """
    config = bed.view.config
    identity = {
        "attribute": record.attribute,
        "values": list(bed.subdataset.attribute.values),
        "data": bed.subdataset.digest(bed.hashes),
        "order": order_of(contents_in_order(bed.subdataset, bed.hashes)),
        "feature_precision": bed.precision,
        "fingerprint": bed.trunk.fingerprint,
        "freeze_depth": bed.depth,
        "architecture": record.to_json()["architecture"],
        "recipe": asdict(recipe_of(bed, record)),
        "repeats": config.retrain.repeats,
        "threshold_by": config.retrain.threshold_by,
        "views": list(config.features.views),
        "seed": seed,
        "device": bed.device.type,
    }
    folder = bed.view.current_trunk / "branches" / record.attribute / identity_of(identity)
    with only_one(folder):
        if not (folder / "result.json").exists():
            train(bed, record, identity, folder, seed=seed, progress=progress)
    return folder


def train(
    bed: Bed,
    record: BranchRecord,
    identity: Mapping[str, Any],
    folder: Path,
    *,
    seed: int,
    progress: Progress | None,
) -> None:
    """Do the trainings that are missing and write what came out; ``result.json`` comes last."""
    folder.mkdir(parents=True, exist_ok=True)
    splits = bed.splits(progress)
    trainings = Trainings(
        splits["train"],
        splits["val"],
        folder=folder,
        history=History(folder / "history.jsonl"),
        finished=0,
        seed=seed,
        device=bed.device,
        threshold_by=bed.view.config.retrain.threshold_by,
        progress=progress,
    )
    metric = bed.view.config.search.reward
    best = max(trained_anew(bed, record, trainings), key=lambda trained: score_of(trained, metric))
    scores = scores_on(best.module, splits["test"], bed.device)
    test = None if scores is None else measure(scores, splits["test"].labels.numpy(), threshold=best.val["threshold"])
    renewed = replace(
        record,
        values=bed.subdataset.attribute.values,
        feature_shape=splits["train"].features.shape,
        freeze_depth=bed.depth,
        fingerprint=bed.trunk.fingerprint,
        threshold=best.val["threshold"],
        backbone=bed.trunk.backbone if record.kind == "tail" else record.backbone,
        metrics={"val": best.val, "test": test},
    )
    save_branch(folder / "branch", best.module, renewed)
    created = timestamp()
    write_json(folder / "result.json", {**identity, "val": best.val, "test": test, "created": created})


def trained_anew(bed: Bed, record: BranchRecord, trainings: Trainings) -> list[Trained]:
    """The trainings of a branch of this kind: several from scratch, or one of a tail or a probe.

    Raises:
        BranchError: a tail that was chosen by hand is of another backbone than the trunk.
    """
    values, recipe = len(bed.subdataset.attribute.values), recipe_of(bed, record)
    if record.kind == "linear_probe":
        return [trainings.probe(recipe.metric)]
    if record.kind == "tail":

        def build(generator: torch.Generator) -> nn.Module:
            if record.architecture is None:
                return bed.trunk.tail(bed.depth, values, generator=generator)
            return tail_branch(bed.trunk, record.architecture, values, generator=generator)

        return [trainings.tail("tail", build, recipe)]
    architecture = record.architecture
    assert architecture is not None
    return [
        trainings.branch("retraining", f"renewed-{number}", architecture, recipe)
        for number in range(bed.view.config.retrain.repeats)
    ]


def recipe_of(bed: Bed, record: BranchRecord) -> FitSettings:
    """How graftnet.toml trains a branch of this kind: a tail as a control, or, chosen by hand, as such a branch."""
    config = bed.view.config
    if record.kind != "tail":
        return fit_settings(config)
    return control_tail(config, bed.device) if record.architecture is None else tail_settings(config)
