"""The data of the IML-GCN experiment: pooled trunk features and label states of three splits, cached in one file."""

import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor

from experiments.indeed_data import CLASS_NAMES, Labelled, read_cifar10
from label_graph.graph import LabelledPool
from label_graph.pooling import PooledFeatures, pool
from subdatasets.composites import Composites, compose
from subdatasets.contents import read_image
from subdatasets.multilabel import States
from subdatasets.multilabel_csv import read_label_csv
from trunk.checkpoints import replace_atomically
from trunk.preprocessing import Preprocessing
from trunk.trunk import Trunk, load_trunk

NOT_TAGS = ("file", "split", "annotation", "width", "height")
VAL_PICTURES = 5000
SPLITS = ("train", "val", "test")
BATCH = 64

Pixels = Callable[[np.ndarray], np.ndarray]  # rows (n,) -> uint8 (n, S, S, 3)


class Split(NamedTuple):
    """Images of one split, decoded when they are asked for, and their label states (N, L)."""

    pixels: Pixels
    states: States


class ImageSet(NamedTuple):
    """A multi-label set before any trunk has seen it; ``name`` tells it from others in a cache."""

    name: str
    labels: tuple[str, ...]
    splits: dict[str, Split]


class Pools(NamedTuple):
    """A multi-label set as pooled features."""

    labels: tuple[str, ...]
    train: LabelledPool
    val: LabelledPool
    test: LabelledPool


def clothing(labels_csv: Path, photos: Path, size: int) -> ImageSet:
    """The Clothing Co-Parsing photographs with the columns of `labels.csv` (58 tags) or `labels_grouped.csv` (15)."""
    with open(labels_csv, encoding="utf-8") as file:
        columns = [title for title in file.readline().strip().split(",") if title not in NOT_TAGS]
    table = read_label_csv(labels_csv, photos, columns=columns)
    shrink = Preprocessing(size)
    splits = {}
    for name in SPLITS:
        part = table.of_split(name)

        def pixels(rows: np.ndarray, images: tuple[Path, ...] = part.images) -> np.ndarray:
            return np.stack([shrink.pixels(read_image(images[row])) for row in rows])

        splits[name] = Split(pixels, part.states)
    return ImageSet(f"{labels_csv.stem}-{size}", table.labels, splits)


def composites(folder: Path, per_canvas: int, counts: Sequence[int] = (4000, 1000, 2000)) -> ImageSet:
    """ML-CIFAR-10-N: canvases of 96 x 96 with N pictures; those of val and test hold pictures that train's do not.

    Test canvases hold N pictures too (INDeeD's hold one), for what is asked here is which labels stand together.
    """
    train, test = read_cifar10(folder, "train"), read_cifar10(folder, "test")
    parts = {
        "train": Labelled(train.pictures[:-VAL_PICTURES], train.labels[:-VAL_PICTURES]),
        "val": Labelled(train.pictures[-VAL_PICTURES:], train.labels[-VAL_PICTURES:]),
        "test": test,
    }
    labels = CLASS_NAMES["cifar10"]
    canvases: dict[str, Composites] = {
        name: compose(*part, per_canvas, count, classes=len(labels), seed=seed)
        for seed, ((name, part), count) in enumerate(zip(parts.items(), counts, strict=True))
    }
    splits = {name: Split(part.pixels, part.labels) for name, part in canvases.items()}
    return ImageSet(f"ml-cifar10-{per_canvas}-{'-'.join(map(str, counts))}", labels, splits)


def open_trunk(source: Path, backbone: str) -> Trunk:
    """A trunk's folder, or a file of weights of ``backbone``."""
    return Trunk.load(source) if source.is_dir() else load_trunk(source, backbone, Preprocessing(96))


def pooled(images: ImageSet, trunk: Trunk, depth: int, folder: Path) -> Pools:
    """Features after ``depth`` blocks, pooled both ways; computed once and then read from ``folder``.

    The trunk is fully convolutional: images may be larger than those it was trained on.
    """
    key = json.dumps([images.name, images.labels, trunk.fingerprint, depth])
    path = folder / f"{images.name}-{hashlib.sha256(key.encode()).hexdigest()[:12]}.safetensors"
    if not path.is_file():
        found: dict[str, Tensor] = {}
        for name, split in images.splits.items():
            maps = list(feature_maps(split, trunk, depth))
            found[f"{name}.average"] = torch.cat([pool(part, "average") for part in maps])
            found[f"{name}.max"] = torch.cat([pool(part, "max") for part in maps])
        replace_atomically(path, lambda temporary: save_file(found, temporary))
    with safe_open(path, framework="pt") as file:
        parts = {
            name: LabelledPool(
                PooledFeatures(file.get_tensor(f"{name}.average"), file.get_tensor(f"{name}.max")), split.states
            )
            for name, split in images.splits.items()
        }
    return Pools(images.labels, **parts)


@torch.inference_mode()
def feature_maps(split: Split, trunk: Trunk, depth: int) -> Iterator[Tensor]:
    """The trunk's maps of all images, in order, a batch at a time."""
    for rows in np.array_split(np.arange(len(split.states)), max(1, len(split.states) // BATCH)):
        yield trunk(trunk.preprocessing.normalise(torch.from_numpy(split.pixels(rows))), depth)
