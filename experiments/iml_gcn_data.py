"""The data of the IML-GCN experiment: pooled trunk features and label states of three splits, cached in one file."""

import hashlib
import json
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from experiments.composites import Composites, compose
from experiments.indeed_data import CLASS_NAMES, Labelled, read_cifar10
from foundation.files import replace_atomically
from label_graph.building import LabelledPool
from label_graph.classifier import POOLINGS, PooledFeatures, pool
from subdatasets.image_files import read_image
from subdatasets.labels.read import read_label_csv
from subdatasets.labels.table import LabelTable, States
from trunk.preprocessing import Preprocessing
from trunk.trunk import Trunk, load_trunk

NOT_TAGS = ("file", "split", "annotation", "width", "height")
VAL_PICTURES = 5000
SPLITS = ("train", "val", "test")
BATCH = 64
PART = 500  # images whose features are kept at a time

Pixels = Callable[[np.ndarray], np.ndarray]  # rows (n,) -> uint8 (n, S, S, 3)


class Split(NamedTuple):
    """Images of one split, decoded when they are asked for, and their label states (N, L)."""

    pixels: Pixels
    states: States


class ImageSet(NamedTuple):
    """A multi-label set before any trunk has seen it; equal ``pixels`` (any text) mean equal images in equal order."""

    name: str
    pixels: str
    labels: tuple[str, ...]
    splits: dict[str, Split]


class Pools(NamedTuple):
    """A multi-label set as pooled features."""

    labels: tuple[str, ...]
    train: LabelledPool
    val: LabelledPool
    test: LabelledPool


def clothing_table(labels_csv: Path, photos: Path) -> LabelTable:
    """The Clothing Co-Parsing photographs with the columns of `labels.csv` (58 tags) or `labels_grouped.csv` (15)."""
    with open(labels_csv, encoding="utf-8") as file:
        columns = [title for title in file.readline().strip().split(",") if title not in NOT_TAGS]
    return read_label_csv(labels_csv, photos, columns=columns)


def clothing(labels_csv: Path, photos: Path, size: int) -> ImageSet:
    """The same as images of ``size`` pixels, their sides squeezed."""
    table = clothing_table(labels_csv, photos)
    shrink = Preprocessing(size)
    splits = {}
    for name in SPLITS:
        part = table.of_split(name)

        def pixels(rows: np.ndarray, images: tuple[Path, ...] = part.images) -> np.ndarray:
            return np.stack([shrink.pixels(read_image(images[row])) for row in rows])

        splits[name] = Split(pixels, part.states)
    files = hashlib.sha256(json.dumps([[path.name for path in table.images], table.splits]).encode()).hexdigest()
    return ImageSet(f"{labels_csv.stem}-{size}", f"clothing-{size}-{files}", table.labels, splits)


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
    name = f"ml-cifar10-{per_canvas}-{'-'.join(map(str, counts))}"
    return ImageSet(name, name, labels, splits)


def open_trunk(source: Path, backbone: str) -> Trunk:
    """A trunk's folder, or a file of weights of ``backbone``."""
    return Trunk.load(source) if source.is_dir() else load_trunk(source, backbone, Preprocessing(96))


def pooled(images: ImageSet, trunk: Trunk, depth: int, folder: Path) -> Pools:
    """Features after ``depth`` blocks, pooled both ways; computed once, in parts that are kept in ``folder``.

    The trunk is fully convolutional: images may be larger than those it was trained on.
    """
    key = json.dumps([images.pixels, trunk.fingerprint, depth])
    place = folder / hashlib.sha256(key.encode()).hexdigest()[:16]
    pools = {}
    for name, split in images.splits.items():
        parts = []
        for rows in np.array_split(np.arange(len(split.states)), max(1, len(split.states) // PART)):
            path = place / f"{name}-{rows[0]:06}.safetensors"
            if not path.is_file():
                maps = feature_maps(split, rows, trunk, depth)
                found = {pooling: torch.cat([pool(part, pooling) for part in maps]) for pooling in POOLINGS}
                replace_atomically(path, partial(save_file, found))
            parts.append(load_file(path))
        features = PooledFeatures(*(torch.cat([part[pooling] for part in parts]) for pooling in POOLINGS))
        pools[name] = LabelledPool(features, split.states)
    return Pools(images.labels, **pools)


@torch.inference_mode()
def feature_maps(split: Split, rows: np.ndarray, trunk: Trunk, depth: int) -> list[Tensor]:
    """The trunk's maps of these images, in order, a batch at a time."""
    return [
        trunk(trunk.preprocessing.normalise(torch.from_numpy(split.pixels(batch))), depth)
        for batch in np.array_split(rows, max(1, len(rows) // BATCH))
    ]
