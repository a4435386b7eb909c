"""Which recipe makes the most generic trunk? Trunks of different recipes, judged on attributes they have never seen.

    python -m experiments.cifar10_projects ARCHIVE_FOLDER OUT --backbone small_cnn
    python -m experiments.trunk_recipes OUT/trunk OUT/search FOLDER [--arms paper shared ...] [--seeds 0 1]

Each arm trains the trunk project's backbone on its eight attributes (cat and truck kept out), all for `--steps` steps
of as many images. Its features at the project's freeze depth are then judged on images of the search project, all as
new to the trunk as a new attribute's: a linear probe is fitted on the first 200, 1,000 and 3,200 images of a seeded
shuffle of the train split (three shuffles), the val split chooses its penalty, and the AUROC is measured on the train
images that no probe of that shuffle is fitted on (4,800). The search project's test split is never read. A small
branch, the same for all, is trained on 3,200 images too.

Arms that start with `uneven` see sub-datasets of very different sizes: of the n-th attribute's images one in 2^n.

FOLDER/records.jsonl has a line per trunk and way of taking batch-norm statistics: called again, the script goes on with
what is missing; then it prints the table.
"""

import argparse
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np
import torch

from branches.measures.metrics import auroc
from branches.probe import linear_probe
from branches.settings import FitSettings
from branches.training import predict_scores
from experiments.trunk_judging import Pictures, append_record, fitted_branch, read_records, some
from foundation.provenance import seed_of
from graftnet.project.folder import Project, open_project
from graftnet.project.settings import depth_of, pretrain_settings
from graftnet.terminal.output import show_progress
from subdatasets.subdataset import SubDataset, read_subdataset
from trunk.features.source import LabelledFeatures
from trunk.precision import autocast
from trunk.preprocessing import Preprocessing
from trunk.pretraining.loop import Pretraining
from trunk.pretraining.norms import reestimate
from trunk.trunk import Trunk

SHARED: dict[str, Any] = {"shared_labels": True}
ARMS: dict[str, dict[str, Any]] = {
    "paper": {},
    "unbalanced": {"balanced": False},
    "two": {"attributes_per_step": 2},
    "four": {"attributes_per_step": 4},
    "eight": {"attributes_per_step": 8},
    "four-mean": {"attributes_per_step": 4, "losses": "mean"},
    "four-apart": {"attributes_per_step": 4, "batch_statistics": "attribute"},
    "shared": SHARED,
    "shared-eight": {**SHARED, "attributes_per_step": 8},
    "shared-unbalanced": {**SHARED, "balanced": False},
    "plain": {"flip": False, "pad": 0.0},
    "strong": {"jitter": 0.4, "erase": 0.5},
    "shared-plain": {**SHARED, "flip": False, "pad": 0.0},
    "shared-strong": {**SHARED, "jitter": 0.4, "erase": 0.5},
    "uneven": {},
    "uneven-sqrt": {"sampling": "sqrt"},
    "uneven-size": {"sampling": "size"},
}
SIZES = (200, 1000, 3200)
SHUFFLES = 3
MIXTURE = 4096
UNSEEN = ("cat", "truck")
SMALL_BRANCH = FitSettings(epochs=8)


def thinned(subdatasets: list[SubDataset]) -> list[SubDataset]:
    """Of the n-th sub-dataset's training images one in 2^n, whatever their values; val stays."""
    found = []
    for number, subdataset in enumerate(subdatasets):
        rng = np.random.default_rng(number)
        kept = tuple(e for e in subdataset.examples if e.split != "train" or rng.random() < 0.5**number)
        found.append(replace(subdataset, examples=kept))
    return found


def trained(project: Project, arm: str, *, seed: int, steps: int, folder: Path, progress: Any) -> Iterator[Any]:
    """(statistics, trunk) of an arm: as the training left them, and measured anew on a mixture of the sub-datasets."""
    table = project.config.trunk
    subdatasets = [read_subdataset(source) for source in project.sources().values()]
    if arm.startswith("uneven"):
        subdatasets = thinned(subdatasets)
    fixed = {
        "shared_labels": False,
        "attributes_per_step": 1,
        "steps": steps,
        "validate_every": steps,
        "warmup_steps": steps // 6,
    }
    settings = replace(pretrain_settings(project.config), **{**fixed, **ARMS[arm]})
    preprocessing = Preprocessing(table.image_size)
    training = Pretraining(subdatasets, table.backbone, preprocessing, settings, folder=folder, seed=seed)
    training.resume()
    yield "running", training.run(progress=progress)
    training.settings = replace(settings, reestimate_images=MIXTURE)
    with autocast(training.precision, training.device):
        reestimate(training.graph.chain, training.mixture())
    yield "measured", Trunk(table.backbone, training.graph.chain, preprocessing)


class Judge:
    """The search project's images, and what a trunk's features of them are worth on each attribute."""

    def __init__(self, project: Project) -> None:
        self.depth = depth_of(project.config)
        self.subdatasets = [read_subdataset(source) for source in project.sources().values()]
        self.pictures = Pictures(self.subdatasets, Preprocessing(project.config.trunk.image_size), ("train", "val"))

    def scores(self, trunk: Trunk) -> dict[str, dict[str, float]]:
        """Attribute -> AUROC by way of judging: `probe SIZE` (mean over shuffles) and, of unseen ones, `branch`."""
        features = self.pictures.features(trunk, self.depth)
        found = {}
        for subdataset in self.subdatasets:
            train, val = (self.pictures.labelled(features, subdataset, split) for split in ("train", "val"))
            name, unseen = subdataset.attribute.name, subdataset.attribute.name in UNSEEN
            orders = [np.random.default_rng(n).permutation(len(train)) for n in range(SHUFFLES if unseen else 1)]
            figures = {}
            for size in SIZES if unseen else SIZES[1:2]:
                figures[f"probe {size}"] = fmean(probed(train, val, order, size) for order in orders)
            if unseen:
                few, rest = some(train, orders[0][: SIZES[-1]]), some(train, orders[0][SIZES[-1] :])
                branch, _ = fitted_branch(few, val, SMALL_BRANCH, seed_of(0, "recipes", name))
                figures["branch"] = auroc(predict_scores(branch, rest.features), rest.labels.numpy())
            found[name] = figures
        return found


def probed(train: LabelledFeatures, val: LabelledFeatures, order: np.ndarray[Any, Any], size: int) -> float:
    """AUROC of a probe that is fitted on the first `size` of an order, on those that none is fitted on."""
    rest = some(train, order[SIZES[-1] :])
    return auroc(linear_probe(some(train, order[:size]), val).scores(rest.features), rest.labels.numpy())


def columns(record: dict[str, Any]) -> dict[str, float]:
    """The table's figures of one trunk: means over the unseen attributes, and over the seen ones."""
    scores = record["scores"]
    keys = list(scores[UNSEEN[0]])
    found = {key: fmean(scores[name][key] for name in UNSEEN) for key in keys}
    seen = [figures[f"probe {SIZES[1]}"] for name, figures in scores.items() if name not in UNSEEN]
    return {**found, "seen": fmean(seen)}


def table(records: list[dict[str, Any]]) -> str:
    """Markdown: a line per arm and way of taking statistics, means over seeds, the difference to `paper` beside."""
    groups: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for record in records:
        groups.setdefault((record["arm"], record["statistics"]), []).append(record)
    heads = list(columns(records[0]))
    lines = [["arm", "statistics", "seeds", *heads, "seconds"], ["---"] * (len(heads) + 4)]
    for (arm, statistics), found in groups.items():
        means = {key: fmean(columns(record)[key] for record in found) for key in heads}
        seeds = " ".join(str(record["seed"]) for record in found)
        seconds = f"{fmean(record['seconds'] for record in found):.0f}"
        lines.append([arm, statistics, seeds, *(f"{value:.4f}" for value in means.values()), seconds])
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("trunk", type=Path, help="the trunk project")
    parser.add_argument("search", type=Path, help="the search project")
    parser.add_argument("out", type=Path)
    parser.add_argument("--arms", nargs="+", choices=tuple(ARMS), default=list(ARMS))
    parser.add_argument("--seeds", nargs="+", type=int, default=[0])
    parser.add_argument("--steps", type=int, default=600)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    path = arguments.out / "records.jsonl"
    done = {(record["arm"], record["seed"], record["statistics"]) for record in read_records(path)}
    wanted = [(arm, seed) for seed in arguments.seeds for arm in arguments.arms]
    left = [(arm, seed) for arm, seed in wanted if (arm, seed, "measured") not in done]
    project, judge = open_project(arguments.trunk), None
    for arm, seed in left:
        judge = judge or Judge(open_project(arguments.search))
        folder = arguments.out / f"{arm}-{seed}"
        with show_progress() as progress:
            for statistics, trunk in trained(
                project, arm, seed=seed, steps=arguments.steps, folder=folder, progress=progress
            ):
                if (arm, seed, statistics) in done:
                    continue
                started = time.perf_counter()
                record = {"arm": arm, "seed": seed, "statistics": statistics, "steps": arguments.steps}
                record["scores"] = judge.scores(trunk)
                record["seconds"] = read_records(folder / "history.jsonl")[-2]["seconds"]
                record["judging_seconds"] = round(time.perf_counter() - started, 1)
                append_record(path, record)
                print(arm, seed, statistics, columns(record), flush=True)
    print(table(read_records(path)))


if __name__ == "__main__":
    main()
