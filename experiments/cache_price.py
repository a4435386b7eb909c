"""What caching costs and what it saves on: views, and the numbers that features are stored as.

    python -m experiments.cache_price PROJECT OUT [--attributes cat bird deer] [--seeds 0 1 2] [--epochs 6] [--table]

PROJECT has a trunk and sub-datasets. Each arm fills a cache of its own under OUT (bytes per image, fill time beside
what was estimated), then trains one fixed small branch per attribute and seed, and the linear probe, on what is read
from it. Val and test AUROC are those of the branch as it is deployed, on the trunk's own features (of the arm float32),
so that a compressed cache is judged by what its branch does in production; beside them the AUROC on the stored ones.
One JSON line per cache and training in OUT/lines.jsonl; what is there is skipped, and after --minutes nothing new
begins.
"""

import argparse
import json
import time
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import nn

from branches.branch import Branch
from branches.compression import on_trunk
from branches.measures.metrics import REWARDS
from branches.probe import linear_probe
from branches.settings import FitSettings
from branches.training import fit, predict_scores
from experiments.cache_price_table import table
from graftnet.project.config import FeaturesTable
from graftnet.project.folder import Project, open_project
from graftnet.project.settings import depth_of
from graftnet.searches.features import AttributeData, estimate_cache, fill_cache
from graftnet.trunks.versions import open_trunk
from search_spaces import Architecture, macro_space
from subdatasets.image_files import content_hashes
from subdatasets.subdataset import SubDataset, read_subdataset
from trunk.features.source import LabelledFeatures
from trunk.trunk import Trunk

CROPS = ("flip", "crop1", "flip+crop2", "crop3", "flip+crop4")
ARMS: dict[str, FeaturesTable] = {
    "float32": FeaturesTable(storage="float32"),
    "float16": FeaturesTable(),
    "int8": FeaturesTable(storage="int8"),
    **{f"pca:{count}": FeaturesTable(storage=f"pca:{count}") for count in (64, 32, 16)},
    "flip": FeaturesTable(views=("flip",)),
    "flip and crops": FeaturesTable(views=CROPS),
}
CHOICES = {"head.shortcut": True, "edge1-2": True, "node1.operation": "separable3x3"}
SPLITS = ("val", "test")


def fixed_architecture() -> Architecture:
    """Stem, a separable and a plain 3x3 convolution with a skip, width 32, average pooling, the trunk's averages."""
    space = macro_space(2, widths=(32,), depths=(2,), operations=("conv3x3", "separable3x3"), activations=("relu",))
    indices = [one.choices.index(CHOICES.get(one.name, one.choices[0])) for one in space.decisions]
    return space.architecture(indices)


class Lines:
    """The records so far, by kind, arm, attribute and seed."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.found = [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []

    def has(self, **fields: Any) -> bool:
        return any(all(line.get(key) == value for key, value in fields.items()) for line in self.found)

    def add(self, **fields: Any) -> None:
        self.found.append(fields)
        with open(self.path, "a", encoding="utf-8") as file:
            file.write(json.dumps(fields) + "\n")
        print(json.dumps(fields), flush=True)


class Arm:
    """One way to cache the project's features, in a folder of its own."""

    def __init__(self, project: Project, trunk: Trunk, out: Path, name: str) -> None:
        config = project.config.model_copy(
            update={
                "features": ARMS[name],
                "project": project.config.project.model_copy(update={"runs": str(out / name.replace(":", "-"))}),
            }
        )
        self.name, self.trunk, self.project = name, trunk, replace(project, config=config)

    def filled(self, subdatasets: list[SubDataset]) -> dict[str, Any]:
        """Fill the cache: what was estimated, what it took."""
        estimate = estimate_cache(self.project, self.trunk, subdatasets)
        hashes = content_hashes([example.path for one in subdatasets for example in one.examples])
        started = time.perf_counter()
        record = fill_cache(self.project, self.trunk, subdatasets, hashes=hashes)
        seconds = time.perf_counter() - started
        written = sum(path.stat().st_size for path in self.project.cache.rglob("*") if path.is_file())
        return {
            "images": record["images"],
            "rows": record["computed"],
            "bytes": written,
            "estimated_bytes": estimate.disk_bytes,
            "seconds": round(seconds, 2),
            "estimated_seconds": round(estimate.seconds, 2),
        }

    def splits(self, subdataset: SubDataset, hashes: dict[Path, str]) -> dict[str, LabelledFeatures]:
        """Its features of one attribute."""
        depth = depth_of(self.project.config)
        return AttributeData(self.project, self.trunk, subdataset, hashes, depth, "float32").splits()


def aurocs(module: nn.Module, splits: dict[str, LabelledFeatures]) -> dict[str, float]:
    """AUROC on val and test."""
    return {
        split: round(REWARDS["auroc"](predict_scores(module, part.features), part.labels.numpy()), 5)
        for split, part in splits.items()
        if split in SPLITS
    }


def measure(
    arm: Arm,
    subdataset: SubDataset,
    hashes: dict[Path, str],
    whole: dict[str, LabelledFeatures],
    seeds: Iterable[int],
    epochs: int,
    lines: Lines,
    until: float,
) -> None:
    """The probe and the fixed branch on one attribute, each once per seed (the probe draws nothing)."""
    same = {"arm": arm.name, "attribute": subdataset.attribute.name}
    splits = arm.splits(subdataset, hashes)
    train, val = splits["train"], splits["val"]
    if not lines.has(kind="probe", **same):
        probe = linear_probe(train, val).module
        deployed = on_trunk(probe, train.features)
        lines.add(kind="probe", **same, stored=aurocs(probe, splits), deployed=aurocs(deployed, whole))
    for seed in seeds:
        if lines.has(kind="branch", seed=seed, epochs=epochs, **same) or time.monotonic() > until:
            continue
        generator = torch.Generator().manual_seed(seed)
        branch = Branch(fixed_architecture(), train.features.shape, train.values, generator=generator)
        settings = FitSettings(epochs=epochs, metric="auroc")
        fitted = fit(branch, train, val, settings, seed=seed)
        steps = settings.epochs * (len(train) // settings.batch_size)
        figures = {"seconds": round(fitted.seconds, 2), "steps": steps, "epoch": fitted.epoch}
        deployed = on_trunk(branch, train.features)
        shown = {"stored": aurocs(branch, splits), "deployed": aurocs(deployed, whole)}
        lines.add(kind="branch", **same, seed=seed, epochs=epochs, **figures, **shown)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("project", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--attributes", nargs="+", default=["cat", "bird", "deer"])
    parser.add_argument("--arms", nargs="+", default=list(ARMS), choices=list(ARMS))
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--epochs", type=int, default=6, help="of each training")
    parser.add_argument("--minutes", type=float, default=8)
    parser.add_argument("--table", action="store_true", help="show what is there, do nothing")
    arguments = parser.parse_args()
    until = time.monotonic() + 60 * arguments.minutes
    arguments.out.mkdir(parents=True, exist_ok=True)
    lines = Lines(arguments.out / "lines.jsonl")
    if arguments.table:
        print(table([line for line in lines.found if line.get("epochs", arguments.epochs) == arguments.epochs]))
        return
    project = open_project(arguments.project)
    trunk = open_trunk(project, torch.device("cpu"))
    subdatasets = [read_subdataset(project.source(name), seed=0) for name in arguments.attributes]
    hashes = content_hashes([example.path for one in subdatasets for example in one.examples])
    reference = Arm(project, trunk, arguments.out.resolve(), "float32")
    for name in arguments.arms:
        arm = Arm(project, trunk, arguments.out.resolve(), name)
        if time.monotonic() > until:
            break
        if not lines.has(kind="cache", arm=name):
            lines.add(kind="cache", arm=name, **arm.filled(subdatasets))
        for subdataset in subdatasets:
            if time.monotonic() < until:
                whole = reference.splits(subdataset, hashes)
                measure(arm, subdataset, hashes, whole, arguments.seeds, arguments.epochs, lines, until)


if __name__ == "__main__":
    main()
