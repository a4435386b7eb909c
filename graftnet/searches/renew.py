"""A grafted branch made anew on another version of the trunk: the same architecture, trained from scratch.

Val picks among the trainings and chooses the threshold; test is measured once, at the end. Finished trainings are kept
in the folder, so that a killed renewal continues, and ends the same.
"""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import nn

from branches.measures.metrics import measure
from branches.probe import linear_probe
from branches.saved import BranchRecord, save_branch
from branches.settings import FitSettings
from branches.tails import tail_branch
from foundation.bounds import recorded
from foundation.files import write_json
from foundation.history import Progress
from foundation.locks import only_one
from foundation.provenance import identity_of, timestamp
from graftnet.project.settings import control_tail, fit_settings, tail_settings
from graftnet.searches.features import AttributeData
from graftnet.searches.side_by_side import scores_on
from nas.job.trainings import Trained, Trainings
from search_spaces import Architecture


def renew(data: AttributeData, record: BranchRecord, *, seed: int, progress: Progress | None = None) -> Path:
    """Train the branch of ``record`` on another trunk, or continue, or find it done.

    Returns:
        The folder with ``result.json``, ``history.jsonl`` and ``branch/``.
    """
    config = data.project.config
    identity = {
        **data.identity,
        "architecture": record.to_json()["architecture"],
        "recipe": recorded(recipe_of(data, record)),
        "repeats": config.retrain.repeats,
        "threshold_by": config.retrain.threshold_by,
        "views": list(config.features.views),
        "seed": seed,
        "device": data.device.type,
    }
    folder = data.project.current_trunk / "branches" / record.attribute / identity_of(identity)
    with only_one(folder):
        if not (folder / "result.json").exists():
            train(data, record, identity, folder, seed=seed, progress=progress)
    return folder


def train(
    data: AttributeData,
    record: BranchRecord,
    identity: Mapping[str, Any],
    folder: Path,
    *,
    seed: int,
    progress: Progress | None,
) -> None:
    """Do the trainings that are missing and write what came out; ``result.json`` comes last."""
    folder.mkdir(parents=True, exist_ok=True)
    splits = data.splits(sources=bool(record.sources), progress=progress)
    metric = data.project.config.search.reward
    begins = recipe_of(data, record).probe_start and record.kind == "branch"
    probe = linear_probe(splits["train"], splits["val"], metric=metric) if begins else None
    trainings = Trainings(
        splits["train"],
        splits["val"],
        folder=folder,
        seed=seed,
        device=data.device,
        threshold_by=data.project.config.retrain.threshold_by,
        progress=progress,
        probe=probe,
    )
    best = max(trained_anew(data, record, trainings), key=lambda trained: trained.score(metric))
    scores = scores_on(best.module, splits["test"], data.device)
    test = None if scores is None else measure(scores, splits["test"].labels.numpy(), threshold=best.val["threshold"])
    renewed = replace(
        record,
        values=data.subdataset.attribute.values,
        feature_shape=splits["train"].features.shape,
        sources=tuple(range(1, data.depth)) if splits["train"].context else (),
        architecture=on_sources(record.architecture, data),
        freeze_depth=data.depth,
        fingerprint=data.trunk.fingerprint,
        threshold=best.val["threshold"],
        backbone=data.trunk.backbone if record.kind == "tail" else record.backbone,
        metrics={"val": best.val, "test": test},
    )
    save_branch(folder / "branch", best.module, renewed)
    created = timestamp()
    write_json(folder / "result.json", {**identity, "val": best.val, "test": test, "created": created})


def trained_anew(data: AttributeData, record: BranchRecord, trainings: Trainings) -> list[Trained]:
    """The trainings of a branch of this kind: several from scratch, or one of a tail or a probe.

    Raises:
        BranchError: a tail that was chosen by hand is of another backbone than the trunk.
    """
    values, recipe = len(data.subdataset.attribute.values), recipe_of(data, record)
    if record.kind == "linear_probe":
        return [trainings.probe(recipe.metric, joined=bool(record.sources))]
    if record.kind == "tail":

        def build(generator: torch.Generator) -> nn.Module:
            if record.architecture is None:
                return data.trunk.tail(data.depth, values, generator=generator)
            return tail_branch(data.trunk, record.architecture, values, generator=generator)

        return [trainings.tail("tail", build, recipe)]
    architecture = on_sources(record.architecture, data)
    assert architecture is not None
    return [
        trainings.branch("retraining", f"renewed-{number}", architecture, recipe)
        for number in range(data.project.config.retrain.repeats)
    ]


def on_sources(architecture: Architecture | None, data: AttributeData) -> Architecture | None:
    """The architecture with the channels of this trunk's earlier depths, where it reads such."""
    if architecture is None or "sources" not in dict(architecture.settings):
        return architecture
    channels = tuple(shape[0] for shape in data.trunk.shapes[: data.depth - 1])
    kept = tuple(pair for pair in architecture.settings if pair[0] != "sources")
    return replace(architecture, settings=(*kept, *((("sources", channels),) if channels else ())))


def recipe_of(data: AttributeData, record: BranchRecord) -> FitSettings:
    """How graftnet.toml trains a branch of this kind: a tail as a control, or, chosen by hand, as such a branch."""
    config = data.project.config
    if record.kind != "tail":
        return fit_settings(config)
    return control_tail(config, data.device) if record.architecture is None else tail_settings(config)
