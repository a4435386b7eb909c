"""MNIST and CIFAR-10 as arrays: the small pictures that ML-MNIST-N and ML-CIFAR-10-N are composed of."""

import gzip
from pathlib import Path
from typing import NamedTuple

import numpy as np

from experiments.cifar10_projects import read_archive
from subdatasets.image_files import decode_image


class Labelled(NamedTuple):
    """uint8 pictures (M, H, W) or (M, H, W, 3), and their class numbers (M,), in random order."""

    pictures: np.ndarray
    labels: np.ndarray


def read_mnist(folder: Path, part: str) -> Labelled:
    """`part` ("train" or "test") from the four published IDX files, gzipped."""
    name = {"train": "train", "test": "t10k"}[part]
    pictures = np.frombuffer(gzip.decompress((folder / f"{name}-images-idx3-ubyte.gz").read_bytes()), np.uint8, -1, 16)
    labels = np.frombuffer(gzip.decompress((folder / f"{name}-labels-idx1-ubyte.gz").read_bytes()), np.uint8, -1, 8)
    return shuffled(pictures.reshape(-1, 28, 28), labels)


def read_cifar10(folder: Path, part: str) -> Labelled:
    """`part` ("train" or "test") from the JPEG archive that `experiments.cifar10_projects` reads."""
    files, labels, _ = read_archive(folder / f"{part}.npz")
    return shuffled(np.stack([np.asarray(decode_image(file)) for file in files]), labels)


def shuffled(pictures: np.ndarray, labels: np.ndarray) -> Labelled:
    """In an order that is always the same: archives may be sorted by class."""
    order = np.random.default_rng(0).permutation(len(labels))
    return Labelled(pictures[order], labels[order].astype(np.int64))


READERS = {"mnist": read_mnist, "cifar10": read_cifar10}
CLASS_NAMES = {
    "mnist": tuple("0123456789"),
    "cifar10": ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"),
}
