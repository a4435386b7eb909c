"""Training on mined negatives against training on all of them, and on as many random ones, judged on hard negatives.

    python -m experiments.cifar10_projects ARCHIVE_FOLDER OUT --backbone small_cnn
    cd OUT/trunk && graftnet trunk train; cd ../search && graftnet trunk use ../trunk
    python -m experiments.mined_negatives OUT/search --attribute cat --out cat.jsonl

The attribute's train positives are thinned until there are 20 times as many negatives. Which test negatives are hard is
settled before any training: those of the two other attributes (one-versus-rest: classes) whose train images are
closest to the train positives, by earth mover's distance. Every arm trains the same branch, once for as many epochs and
once for as many steps as the arm with all negatives, and a linear probe. A finished training is one line of --out; a
second call does what is missing and prints the table: means over seeds, and the paired difference to all negatives with
a 95 % t interval.
"""

import argparse
import json
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import fmean

import numpy as np
import torch

from branches.branch import Branch
from branches.measures.metrics import auroc
from branches.probe import linear_probe
from branches.settings import FitSettings
from branches.training import fit, predict_scores
from experiments.gain_over_random import interval
from graftnet.data.mining import embeddings
from graftnet.project.folder import Project, open_project
from graftnet.project.settings import depth_of, fit_settings
from graftnet.searches.features import AttributeData
from graftnet.trunks.versions import open_trunk
from search_spaces import Architecture, macro_space
from subdatasets.image_files import content_hashes
from subdatasets.mining import MiningSettings, earth_movers_distance, mine
from subdatasets.subdataset import Example, read_subdataset
from trunk.features.source import LabelledFeatures

CPU = torch.device("cpu")
RATIO, KEEP, HARD_CLASSES, RECALL = 20, 0.5, 2, 0.8
FIGURES = ("hard_auroc", "hard_fpr", "auroc", "fpr")


@dataclass(frozen=True)
class Setting:
    """What every arm shares: features and labels by split, embeddings of train, rows of train, the hard test rows."""

    splits: dict[str, LabelledFeatures]
    embedded: np.ndarray
    positives: np.ndarray
    negatives: np.ndarray
    easy: np.ndarray
    classes: list[tuple[str, float]]


def prepare(project: Project, attribute: str) -> Setting:
    """Features, embeddings, thinned positives, and which classes are hard."""
    trunk = open_trunk(project, CPU)
    subdataset = read_subdataset(project.source(attribute), seed=0)
    hashes = content_hashes([example.path for example in subdataset.examples])
    data = AttributeData(project, trunk, subdataset, hashes, depth_of(project.config), "float32")
    splits = data.splits()
    train = subdataset.split("train")
    embedded = embeddings(replace(data, depth=len(trunk.chain)))
    labels = splits["train"].labels.numpy()
    negatives, all_positives = np.flatnonzero(labels == 0), np.flatnonzero(labels == 1)
    drawn = np.random.default_rng(0).choice(all_positives, len(negatives) // RATIO, replace=False)
    members = {name: members_of(project, name) for name in project.questions() if name != attribute}
    distances = [
        (name, earth_movers_distance(embedded[rows(train, paths)], embedded[drawn], np.random.default_rng(0)))
        for name, paths in members.items()
    ]
    distances.sort(key=lambda one: one[1])
    hard = set().union(*(members[name] for name, _ in distances[:HARD_CLASSES]))
    easy = np.array([one.value == 0 and one.path not in hard for one in subdataset.split("test")])
    return Setting(splits, embedded, np.sort(drawn), negatives, easy, distances)


def members_of(project: Project, name: str) -> set[Path]:
    """The images of an attribute's last value: of a class, in one-versus-rest."""
    other = read_subdataset(project.source(name), seed=0)
    return {one.path for one in other.examples if one.value == len(other.attribute.values) - 1}


def rows(examples: tuple[Example, ...], paths: set[Path]) -> np.ndarray:
    return np.flatnonzero([one.path in paths for one in examples])


def kept_negatives(setting: Setting, arm: str, seed: int) -> np.ndarray:
    """The rows of train negatives that an arm trains on."""
    if arm == "all":
        return setting.negatives
    keep = round(KEEP * len(setting.negatives))
    if arm == "random":
        return np.random.default_rng(seed).choice(setting.negatives, keep, replace=False)
    found = mine(
        setting.embedded[setting.positives], setting.embedded[setting.negatives], MiningSettings(keep), seed=seed
    )
    return setting.negatives[[row for cluster in found for row in cluster.kept]]


class Rows:
    """Some rows of a source of features."""

    def __init__(self, part: LabelledFeatures, chosen: np.ndarray) -> None:
        self.source, self.chosen, self.shape = part.features, torch.from_numpy(chosen), part.features.shape

    def __len__(self) -> int:
        return len(self.chosen)

    def gather(self, indices: torch.Tensor) -> torch.Tensor:
        return self.source.gather(self.chosen[indices])


def measured(scores: np.ndarray, setting: Setting) -> dict[str, float]:
    """AUROC, and the false positive rate at the threshold of the stated recall, on hard and on all test negatives."""
    labels = setting.splits["test"].labels.numpy()
    threshold = np.quantile(scores[labels == 1, 1], 1 - RECALL)
    hard = ~setting.easy
    return {
        "hard_auroc": auroc(scores[hard], labels[hard]),
        "hard_fpr": float((scores[hard & (labels == 0), 1] >= threshold).mean()),
        "auroc": auroc(scores, labels),
        "fpr": float((scores[labels == 0, 1] >= threshold).mean()),
    }


def architecture() -> Architecture:
    """A small branch, the same for all arms: one 3x3 convolution of 32 channels and the shortcut to the head."""
    space = macro_space(1, widths=(32,), operations=("conv3x3",), activations=("relu",), poolings=("average",))
    return space.architecture([len(decision.choices) - 1 for decision in space.decisions])


def train(setting: Setting, arm: str, model: str, seed: int, recipe: FitSettings) -> dict[str, float]:
    """One training and its figures on test; val keeps the weights."""
    chosen = np.sort(np.concatenate([setting.positives, kept_negatives(setting, arm, seed)]))
    part = setting.splits["train"]
    data = LabelledFeatures(Rows(part, chosen), part.labels[torch.from_numpy(chosen)], part.values)
    val, test = setting.splits["val"], setting.splits["test"]
    if model == "probe":
        return measured(linear_probe(data, val).scores(test.features), setting)
    if model == "branch, equal steps":
        whole = len(setting.positives) + len(setting.negatives)
        recipe = replace(recipe, epochs=round(recipe.epochs * whole / len(chosen)))
    branch = Branch(architecture(), data.features.shape, 2, generator=torch.Generator().manual_seed(seed))
    fit(branch, data, val, recipe, seed=seed)
    return measured(predict_scores(branch, test.features), setting)


def runs(seeds: int) -> Iterator[tuple[str, str, int]]:
    for seed in range(seeds):
        for arm in ("all", "mined", "random"):
            yield arm, "branch, equal epochs", seed
            if arm != "all":
                yield arm, "branch, equal steps", seed
            if arm != "all" or seed == 0:
                yield arm, "probe", seed  # a probe draws nothing at random


def table(lines: list[dict[str, object]]) -> str:
    """Means per model and arm, and what each arm has over all negatives."""
    head = ["model", "negatives", "seeds", *FIGURES, "hard AUROC over all", "hard FPR over all", "s"]
    printed = [head, ["---"] * len(head)]
    by = {(line["model"], line["arm"], line["seed"]): line for line in lines}
    for model in dict.fromkeys(str(line["model"]) for line in lines):
        for arm in ("all", "mined", "random"):
            found = [line for (m, a, _), line in by.items() if (m, a) == (model, arm)]
            if not found:
                continue
            cells = [model, arm, str(len(found))]
            cells += [f"{fmean(float(str(line[figure])) for line in found):.4f}" for figure in FIGURES]
            for figure in FIGURES[:2]:
                base = [by.get((model, "all", line["seed"])) or baseline(by, model, line["seed"]) for line in found]
                over = [float(str(a[figure])) - float(str(b[figure])) for a, b in zip(found, base, strict=True) if b]
                cells.append(interval(over) if arm != "all" and over else "")
            printed.append([*cells, f"{fmean(float(str(line['seconds'])) for line in found):.1f}"])
    return "\n".join("| " + " | ".join(cells) + " |" for cells in printed)


def baseline(by: dict[tuple[object, object, object], dict[str, object]], model: str, seed: object) -> dict[str, object]:
    """With all negatives, equal steps are equal epochs, and a probe has one seed."""
    return by[("probe", "all", 0)] if model == "probe" else by[("branch, equal epochs", "all", seed)]


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("project", type=Path)
    parser.add_argument("--attribute", default="cat")
    parser.add_argument("--out", type=Path, required=True, help="one JSON line per finished training")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=1e9, help="begin no training after so many")
    arguments = parser.parse_args()
    project = open_project(arguments.project)
    setting = prepare(project, arguments.attribute)
    print("hard:", ", ".join(f"{name} {distance:.3f}" for name, distance in setting.classes[:HARD_CLASSES]))
    print("others:", ", ".join(f"{name} {distance:.3f}" for name, distance in setting.classes[HARD_CLASSES:]))
    print(f"train: {len(setting.positives)} positives, {len(setting.negatives)} negatives")
    text = arguments.out.read_text(encoding="utf-8") if arguments.out.exists() else ""
    lines = [json.loads(line) for line in text.splitlines()]
    done = {(line["arm"], line["model"], line["seed"]) for line in lines}
    began = time.monotonic()
    for arm, model, seed in runs(arguments.seeds):
        if (arm, model, seed) in done or time.monotonic() - began > arguments.seconds:
            continue
        started = time.monotonic()
        figures = train(setting, arm, model, seed, fit_settings(project.config))
        line = {"arm": arm, "model": model, "seed": seed, **figures, "seconds": time.monotonic() - started}
        lines.append(line)
        with arguments.out.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")
    print(table(lines))


if __name__ == "__main__":
    main()
