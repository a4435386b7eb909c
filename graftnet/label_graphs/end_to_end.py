"""Train a backbone and a label graph end to end (IML-GCN): a label table, two stages, one comparison."""

import shutil
import time
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch

from foundation.bounds import recorded
from foundation.files import write_json
from foundation.history import Progress
from foundation.locks import only_one
from foundation.provenance import identity_of, machine, this_command, timestamp, versions
from foundation.records import read_json, reading
from graftnet.data.imports import project_table
from graftnet.label_graphs.plan import words_of
from graftnet.project.folder import Project
from graftnet.project.settings import graph_settings, pretrain_settings
from graftnet.searches.run import to_do
from graftnet.terminal.output import Answer
from graftnet.trunks.inputs import chosen_input
from graftnet.trunks.versions import open_trunk
from label_graph.end_to_end import EndToEnd, EndToEndSettings, ImageLabeller, Labelling, image_batches, score_images
from label_graph.saved import ClassifierRecord, Label, save_classifiers
from label_graph.scores import thresholds_of, together
from subdatasets.image_files import content_hashes
from subdatasets.labels.read import read_label_csv
from subdatasets.labels.table import LabelTable
from trunk.trunk import Trunk

BATCH_SIZE = 64


class Choices(NamedTuple):
    """What a call decides. table: None for the project's own sub-datasets. fresh: begin with new weights.

    direct_epochs, epochs: of the two stages. learning_rate: of both.
    """

    table: Path | None = None
    images: Path | None = None
    direct_epochs: int = 40
    epochs: int = 40
    learning_rate: float = 1e-3
    fresh: bool = False


def trained_in(folder: Path) -> Answer:
    """A finished training: what both stages reach, and how to use the trunk that it made."""
    path = folder / "result.json"
    record = read_json(path)
    lines = []
    with reading(path):
        for stage, figures in record["stages"].items():
            split = "test" if figures["test"] else "val"
            name = "with the graph" if stage == "graph" else "without it"
            lines.append(
                f"{name}: {100 * figures[split]['map']:.1f} % mAP, CF1 {100 * figures[split]['cf1']:.1f} on {split}"
            )
    lines += [f"  result {folder}", f"Next: graftnet trunk use {folder / 'trunk'}"]
    return Answer({**record, "folder": str(folder)}, "\n".join(lines))


def train_end_to_end(
    project: Project,
    choices: Choices,
    *,
    seed: int,
    device: torch.device,
    progress: Progress | None = None,
    force: bool = False,
) -> Answer:
    """Train, or continue; a finished training is returned as it is unless ``force``.

    It begins with the weights of the trunk in use, where there is one.

    Raises:
        DataError: the table cannot be read. LabelGraphError: it cannot be trained on.
    """
    table = read_label_csv(choices.table, choices.images) if choices.table else project_table(project)
    settings = settings_of(project, choices, seed=seed)
    start = None if choices.fresh or not project.current else open_trunk(project, torch.device("cpu"))
    config = project.config.trunk
    preprocessing = start.preprocessing if start else chosen_input(project)
    words = words_of(project) if settings.graph.nodes == "words" else None
    hashes = content_hashes(table.images, memory=project.memory)
    identity = {
        "labels": list(table.labels),
        "data": identity_of({"rows": [[hashes[p], s] for p, s in zip(table.images, table.splits, strict=True)]}),
        "states": identity_of({"states": table.states.tolist()}),
        "backbone": config.backbone,
        "preprocessing": preprocessing.to_json(),
        "start": start.fingerprint if start else None,
        "settings": {**recorded(settings.graph), "direct_epochs": settings.direct_epochs},
        "images": recorded(settings.images),
        "seed": seed,
        "device": device.type,
    }
    folder = project.runs / "end_to_end" / identity_of(identity)
    if (folder / "result.json").exists() and not force:
        return trained_in(folder)
    with only_one(folder):
        if not to_do(folder, force=force):
            return trained_in(folder)  # another process ended it just now
        about = {**identity, "command": this_command(), "versions": versions(), "machine": machine(device)}
        write_json(folder / "config.json", about)
        training = EndToEnd(
            table,
            preprocessing,
            settings,
            folder=folder / "training",
            backbone=config.backbone,
            weights=start.chain.state_dict() if start else None,
            words=words,
            device=device,
        )
        total, started = settings.direct_epochs + settings.graph.epochs, time.perf_counter()

        def report(epoch: int, score: float) -> None:
            if progress:
                progress("end to end", epoch, total, {"val_map": score})

        labelling = training.run(report)
        seconds = round(time.perf_counter() - started, 1)
        keep(folder, labelling, training, about | {"seconds_of_last_call": seconds}, seed=seed)
        shutil.rmtree(folder / "training")
    return trained_in(folder)


def settings_of(project: Project, choices: Choices, *, seed: int) -> EndToEndSettings:
    """The graph of [label_graph], the random changes of [trunk], and the recipe that the call names."""
    paper = EndToEndSettings().graph
    graph = replace(
        graph_settings(project.config, seed=seed),
        epochs=choices.epochs,
        learning_rate=choices.learning_rate,
        weight_decay=paper.weight_decay,
        batch_size=project.config.trunk.batch_size,
        patience=0,
    )
    return EndToEndSettings(graph, choices.direct_epochs, images=pretrain_settings(project.config))


def keep(folder: Path, labelling: Labelling, training: EndToEnd, about: dict[str, Any], *, seed: int) -> None:
    """Measure both stages, write the backbone as a trunk and the classifiers as its constant, then the result."""
    table, preprocessing = training.table, training.held.preprocessing
    networks = {"direct": labelling.direct, "graph": labelling.network}
    stages = {stage: measure_stage(network, training) for stage, network in networks.items() if network is not None}
    trunk = Trunk(training.backbone, labelling.network.chain, preprocessing)
    shapes = {"blocks": len(trunk.chain), "shapes": [list(shape) for shape in trunk.shapes]}
    origin = {"source": "graftnet graph end-to-end", "labels": list(table.labels), "seed": seed}
    trunk.save(folder / "trunk", {**origin, **shapes, "created": timestamp()})
    record = ClassifierRecord(
        tuple(Label(name, *(name.split("=", 1) if "=" in name else (name, "yes"))) for name in table.labels),
        tuple(stages["graph"].pop("thresholds")),
        training.settings.graph.pooling,
        trunk.shapes[-1],
        len(trunk.chain),
        trunk.fingerprint,
        stages["graph"],
    )
    stages.get("direct", {}).pop("thresholds", None)
    save_classifiers(folder, labelling.network.classifier.constant(), record)
    result = {**about, "stages": stages, "history": labelling.history, "notes": list(table.notes), "status": "complete"}
    write_json(folder / "result.json", result)


def measure_stage(network: ImageLabeller, training: EndToEnd) -> dict[str, Any]:
    """The figures on val and, where there are test images, on test; thresholds are chosen on val."""
    table: LabelTable = training.table
    network.to(training.device)
    figures: dict[str, Any] = {"val": None, "test": None}
    cut = np.empty(0)
    for split in ("val", "test"):
        rows = np.flatnonzero(np.array(table.splits) == split)
        if not len(rows):
            continue
        batches = image_batches(training.held, rows, training.device, batch_size=BATCH_SIZE)
        scores = score_images(network, batches, training.precision).numpy()
        cut = thresholds_of(scores, table.states[rows]) if split == "val" else cut
        figures[split] = together(scores, table.states[rows], cut)
    network.cpu()
    return {**figures, "thresholds": cut.tolist()}
