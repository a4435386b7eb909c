"""The papers' main claim in form: the same branches on trunks that were trained in different ways, for equally long.

    python -m experiments.trunk_claim TRUNK_PROJECT SEARCH_PROJECT OUT --singles dog automobile [--steps 1000]

Trunks of the trunk project's backbone, all trained for `--steps` steps of as many images of the same training split:

- `dynamic`: by the dynamic graph over all of its attributes by the paper's recipe, one attribute a step;
- `dynamic-shared`: the same by the default recipe, up to eight attributes a step and the labels that an image has in
  other sub-datasets (`shared_labels`);
- `single NAME`: on one attribute alone, for each of `--singles`;
- `multi-class`: one plain softmax over what the images are in all attributes together: every combination of labels that
  `--least` images or more have is a class, the others are one more (CIFAR-10: eight classes and "none of them");
- `random`: not trained at all;
- `weights`: not trained here, but read from `--weights FILE` (ImageNet's, say, in the backbone's names), where given.

Then, per trunk and attribute of either project that has a test split, on features at the freeze depth: a fixed small
branch and a linear probe, trained on the first `--images` images of a seeded shuffle of the train split; val chooses
epoch, penalty and the threshold (best F1); test is measured once. An attribute of the trunk project is "seen", the
others are new.

OUT/records.jsonl has a line per trunk, attribute and head; OUT/scores holds the scores. Called again, the script goes
on with what is missing, prints the tables, and draws the ROC curves (OUT/roc.svg).
"""

import argparse
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from statistics import fmean
from typing import Any, NamedTuple

import numpy as np
import torch

from branches.measures.metrics import best_threshold, measure, paired_bootstrap
from branches.probe import linear_probe
from branches.settings import FitSettings
from branches.training import predict_scores
from experiments.trunk_judging import Pictures, append_record, fitted_branch, read_records, shrunk, some
from foundation.provenance import seed_of
from graftnet.project.folder import Project, open_project
from graftnet.project.settings import depth_of, pretrain_settings
from graftnet.terminal.output import show_progress
from subdatasets.attribute import Attribute
from subdatasets.subdataset import Example, SubDataset, read_subdataset
from trunk.features.source import LabelledFeatures
from trunk.preprocessing import Preprocessing
from trunk.pretraining.loop import Pretraining
from trunk.trunk import Trunk, load_trunk

HEADS = ("branch", "probe")
FIGURES = ("auroc", "threshold", "accuracy", "precision", "recall", "fpr")
BRANCH = FitSettings(epochs=10)


class Way(NamedTuple):
    """How a trunk is trained: on which sub-datasets, and what differs from the project's settings."""

    subdatasets: list[SubDataset]
    changes: dict[str, Any]


def together(subdatasets: list[SubDataset], least: int) -> SubDataset:
    """The combinations of labels that images have, as the values of one attribute; rare ones are its last value."""
    labels: dict[Path, list[str]] = {}
    places: dict[Path, Example] = {}
    for subdataset in subdatasets:
        for example in subdataset.examples:
            places.setdefault(example.path, example)
            said = f"{subdataset.attribute.name} {subdataset.attribute.values[example.value]}"
            labels.setdefault(example.path, []).append(said)
    keys = {path: ", ".join(found) for path, found in labels.items()}
    counts = Counter(keys[path] for path, example in places.items() if example.split == "train")
    classes = sorted(key for key, count in counts.items() if count >= least)
    number = {key: n for n, key in enumerate(classes)}
    rest = len(classes)
    examples = tuple(replace(example, value=number.get(keys[path], rest)) for path, example in places.items())
    names = tuple(f"class{n}" for n in range(max(example.value for example in examples) + 1))
    return SubDataset(Attribute("class", names), examples, subdatasets[0].source)


def ways(subdatasets: list[SubDataset], singles: list[str], least: int) -> dict[str, Way]:
    """The trunks that are trained here, by name."""
    found = {
        "dynamic": Way(subdatasets, {"shared_labels": False, "attributes_per_step": 1}),
        "dynamic-shared": Way(subdatasets, {"shared_labels": True, "attributes_per_step": 8}),
    }
    for name in singles:
        alone = [subdataset for subdataset in subdatasets if subdataset.attribute.name == name]
        found[f"single {name}"] = Way(alone, {"shared_labels": False, "attributes_per_step": 1})
    plain = {"shared_labels": False, "attributes_per_step": 1, "balanced": False}
    return {**found, "multi-class": Way([together(subdatasets, least)], plain)}


def train(project: Project, way: Way, *, steps: int, seed: int, folder: Path, name: str) -> Trunk:
    """Train, continue, or (with no step left to do) reopen a trunk."""
    table = project.config.trunk
    settings = replace(
        pretrain_settings(project.config),
        **{"steps": steps, "validate_every": steps, "warmup_steps": steps // 6, **way.changes},
    )
    preprocessing = Preprocessing(table.image_size)
    training = Pretraining(way.subdatasets, table.backbone, preprocessing, settings, folder=folder, seed=seed)
    training.resume()
    with show_progress() as progress:
        return training.run(progress=lambda _, *rest: progress(f"trunk {name}", *rest))


def untrained(project: Project, seed: int) -> Trunk:
    """A trunk with the weights that a training begins with."""
    table = project.config.trunk
    subdatasets = [read_subdataset(source) for source in list(project.sources().values())[:1]]
    preprocessing, settings = Preprocessing(table.image_size), pretrain_settings(project.config)
    chain = Pretraining(
        subdatasets, table.backbone, preprocessing, settings, folder=project.folder, seed=seed
    ).graph.chain
    return Trunk(table.backbone, chain, preprocessing)


class Contest:
    """The attributes that trunks are judged on, with their images, and where the figures go."""

    def __init__(self, subdatasets: dict[str, SubDataset], project: Project, out: Path, images: int, seed: int) -> None:
        self.subdatasets, self.out, self.images, self.seed = subdatasets, out, images, seed
        self.depth = depth_of(project.config)
        preprocessing = Preprocessing(project.config.trunk.image_size)
        self.pictures = Pictures(subdatasets.values(), preprocessing, ("train", "val", "test"))

    def judge(self, name: str, trunk: Trunk, done: set[tuple[str, ...]], seen: set[str]) -> None:
        """Train and test both heads of every attribute on a trunk; those that are done are left."""
        features = self.pictures.features(trunk, self.depth)
        for attribute, subdataset in self.subdatasets.items():
            splits = {s: self.pictures.labelled(features, subdataset, s) for s in ("train", "val", "test")}
            order = np.random.default_rng(0).permutation(len(splits["train"]))[: self.images]
            few = some(splits["train"], order)
            for head in HEADS:
                if (name, attribute, head) in done:
                    continue
                scores = self.scores(head, few, splits, seed_of(self.seed, "claim", attribute))
                record = tested(scores, splits)
                path = self.out / "scores" / f"{name}-{attribute}-{head}.npy"
                path.parent.mkdir(parents=True, exist_ok=True)
                np.save(path, scores["test"].astype(np.float32), allow_pickle=False)
                head_record = {"trunk": name, "attribute": attribute, "head": head, "seen": attribute in seen}
                append_record(self.out / "records.jsonl", {**head_record, "images": len(few), **record})

    def scores(
        self, head: str, few: LabelledFeatures, splits: dict[str, LabelledFeatures], seed: int
    ) -> dict[str, np.ndarray[Any, Any]]:
        """Probabilities (N, V) on val and test of a head that is trained on few images and chosen on val."""
        if head == "probe":
            probe = linear_probe(few, splits["val"])
            return {split: probe.scores(splits[split].features) for split in ("val", "test")}
        branch, _ = fitted_branch(few, splits["val"], BRANCH, seed)
        return {split: predict_scores(branch, splits[split].features) for split in ("val", "test")}


def tested(scores: dict[str, np.ndarray[Any, Any]], splits: dict[str, LabelledFeatures]) -> dict[str, Any]:
    """Test figures at the threshold that is best on val."""
    threshold = best_threshold(scores["val"], splits["val"].labels.numpy())
    found = measure(scores["test"], splits["test"].labels.numpy(), threshold=threshold)
    return {key: found[key] for key in FIGURES}


def markdown(rows: list[list[str]]) -> str:
    return "\n".join("| " + " | ".join(row) + " |" for row in [rows[0], ["---"] * len(rows[0]), *rows[1:]])


def auroc_table(records: list[dict[str, Any]], trunks: list[str], head: str) -> str:
    """Test AUROC per attribute and trunk, means over seen and over new attributes."""
    found = {(r["attribute"], r["trunk"]): r["auroc"] for r in records if r["head"] == head}
    seen = {r["attribute"]: r["seen"] for r in records}
    rows = [["attribute", *trunks]]
    for is_seen in (True, False):
        group = [attribute for attribute in sorted(seen) if seen[attribute] == is_seen]
        kind = "seen" if is_seen else "new"
        rows += [[f"{name} ({kind})", *(f"{found[name, trunk]:.4f}" for trunk in trunks)] for name in group]
        if group:
            means = [f"**{fmean(found[name, trunk] for name in group):.4f}**" for trunk in trunks]
            rows.append([f"**mean of {len(group)} {kind}**", *means])
    return markdown(rows)


def paper_table(records: list[dict[str, Any]], trunks: list[str], head: str) -> str:
    """The form of the engineering paper's Table 1: AUC, threshold, accuracy, precision, recall, FPR."""
    rows = [["attribute", "trunk", *FIGURES]]
    for record in sorted(records, key=lambda r: (r["seen"], r["attribute"], trunks.index(r["trunk"]))):
        if record["head"] == head:
            kind = "seen" if record["seen"] else "new"
            rows.append(
                [f"{record['attribute']} ({kind})", record["trunk"], *(f"{record[key]:.4f}" for key in FIGURES)]
            )
    return markdown(rows)


def gains(out: Path, subdatasets: dict[str, SubDataset], trunks: list[str], head: str, seen: set[str]) -> str:
    """What `dynamic` gains in AUROC over each other trunk, with a 95 % bootstrap interval over test images."""
    rows = [["attribute", *(f"over {trunk}" for trunk in trunks[1:])]]
    for name in sorted(subdatasets, key=lambda name: (name not in seen, name)):
        labels = np.array([example.value for example in subdatasets[name].split("test")])
        scores = [np.load(out / "scores" / f"{trunk}-{name}-{head}.npy") for trunk in trunks]
        found = [paired_bootstrap(scores[0], other, labels, "auroc", seed=0, rounds=300) for other in scores[1:]]
        rows.append([name, *(f"{gain:+.4f} [{low:+.4f}, {high:+.4f}]" for gain, low, high in found)])
    return markdown(rows)


def draw_roc(out: Path, subdatasets: dict[str, SubDataset], trunks: list[str], head: str) -> None:
    """ROC curves on test, a panel per attribute, a line per trunk."""
    from matplotlib.figure import Figure
    from sklearn.metrics import roc_curve

    columns = 5
    lines = -(-len(subdatasets) // columns)
    figure = Figure(figsize=(3 * columns, 3 * lines), layout="constrained")
    axes = np.atleast_1d(figure.subplots(lines, columns, squeeze=False)).ravel()
    for axis, (name, subdataset) in zip(axes, subdatasets.items(), strict=False):
        labels = [example.value for example in subdataset.split("test")]
        for trunk in trunks:
            fpr, tpr, _ = roc_curve(labels, np.load(out / "scores" / f"{trunk}-{name}-{head}.npy")[:, 1])
            axis.plot(fpr, tpr, label=trunk, linewidth=1)
        axis.set(title=name, xlabel="false positive rate", ylabel="recall")
    for axis in axes[len(subdatasets) :]:
        axis.set_visible(False)
    axes[0].legend(fontsize=7)
    figure.savefig(out / "roc.svg")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("trunk", type=Path)
    parser.add_argument("search", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--singles", nargs="+", default=[])
    parser.add_argument("--trunks", nargs="*", help="only these of the trunks")
    parser.add_argument("--weights", type=Path, help="weights of the backbone, such as ImageNet's")
    parser.add_argument("--steps", type=int, default=1000)
    parser.add_argument("--images", type=int, default=4000)
    parser.add_argument("--least", type=int, default=15)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--shrink", action="store_true", help="first write the images at the trunk's size (lossless)")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    project, search, out = open_project(arguments.trunk), open_project(arguments.search), arguments.out
    preprocessing = Preprocessing(project.config.trunk.image_size)
    source = [read_subdataset(path) for path in project.sources().values()]
    judged = {name: read_subdataset(path) for name, path in search.sources().items()}
    seen = {subdataset.attribute.name for subdataset in source}
    judged |= {s.attribute.name: s for s in source if s.attribute.name not in judged and s.split("test")}
    if arguments.shrink:
        source = shrunk(source, preprocessing, out / "images")
        judged = {s.attribute.name: s for s in shrunk(list(judged.values()), preprocessing, out / "images")}
    plans = ways(source, arguments.singles, arguments.least)
    builders: dict[str, Callable[[], Trunk]] = {
        name: lambda name=name, way=way: train(  # type: ignore[misc]
            project, way, steps=arguments.steps, seed=arguments.seed, folder=out / name.replace(" ", "-"), name=name
        )
        for name, way in plans.items()
    }
    builders["random"] = lambda: untrained(project, arguments.seed)
    if arguments.weights:
        builders["weights"] = lambda: load_trunk(arguments.weights, project.config.trunk.backbone, preprocessing)
    trunks = [name for name in builders if not arguments.trunks or name in arguments.trunks]
    contest = None
    for name in trunks:
        done = {(r["trunk"], r["attribute"], r["head"]) for r in read_records(out / "records.jsonl")}
        if all((name, attribute, head) in done for attribute in judged for head in HEADS):
            continue
        trunk = builders[name]()
        contest = contest or Contest(judged, project, out, arguments.images, arguments.seed)
        contest.judge(name, trunk, done, seen)
        print(f"{name} judged", flush=True)
    records = [record for record in read_records(out / "records.jsonl") if record["trunk"] in trunks]
    for head in HEADS:
        print(f"\n{head}: test AUROC\n\n{auroc_table(records, trunks, head)}")
        print(f"\n{head}: gains\n\n{gains(out, judged, trunks, head, seen)}")
    print(f"\nbranch: all figures\n\n{paper_table(records, trunks, 'branch')}")
    draw_roc(out, judged, trunks, "branch")


if __name__ == "__main__":
    main()
