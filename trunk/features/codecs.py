"""Features as the numbers that lie on disk: half or full precision, 8-bit integers, or principal components.

Int8 and PCA are fitted once per cache and depth, on training features; what was fitted is kept beside the shards
(``codec.safetensors``), and every shard names the codec that wrote it. PCA over channels: each position of each map is
one observation of C numbers, as in Principal Component Analysis (Jolliffe, 2002), chapter 1.
"""

import hashlib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from trunk.checkpoints import load_checkpoint, save_checkpoint
from trunk.errors import TrunkError
from trunk.features.settings import Storage


class Moments:
    """Over all positions of all maps seen so far; each is one observation of C numbers. Sums are float64.

    products: False leaves out what mean and covariance are made of, and most of the time.
    """

    def __init__(self, channels: int, *, products: bool = True) -> None:
        self.with_products = products
        self.count = 0
        self.lowest = torch.full((channels,), torch.inf)
        self.highest = torch.full((channels,), -torch.inf)
        self.sums = torch.zeros(channels, dtype=torch.float64)
        self.products = torch.zeros(channels, channels, dtype=torch.float64)

    def add(self, features: Tensor) -> None:
        """Take in features, float32 (N, H, W, C)."""
        seen = features.reshape(-1, features.shape[-1]).cpu()
        self.count += len(seen)
        self.lowest = torch.minimum(self.lowest, seen.amin(0))
        self.highest = torch.maximum(self.highest, seen.amax(0))
        if not self.with_products:
            return
        wide = seen.double()
        self.sums += wide.sum(0)
        self.products += wide.T @ wide

    @property
    def mean(self) -> Tensor:
        """float64 (C,)."""
        return self.sums / self.count

    @property
    def covariance(self) -> Tensor:
        """float64 (C, C), of the whole (divided by the count)."""
        return self.products / self.count - torch.outer(self.mean, self.mean)


LEVELS = 255


class Codec(Protocol):
    """One way to store features; `key` names what was fitted (None where nothing is), `channels` what was projected."""

    key: str | None
    dtype: np.dtype[Any]
    channels: int | None

    def encode(self, features: Tensor) -> NDArray[Any]:
        """float32 (N, H, W, C) -> what is stored, (N, H, W, stored channels)."""
        ...

    def restore(self, held: Tensor) -> None:
        """Turn stored numbers, read as float32 (n, H, W, stored channels), into features, in place."""
        ...


class Plain:
    """float16 (values beyond its range are cut off) or float32, nothing fitted."""

    key: str | None = None
    channels: int | None = None
    dtype: np.dtype[Any]

    def __init__(self, kind: str) -> None:
        self.dtype = np.dtype(kind)

    def encode(self, features: Tensor) -> NDArray[Any]:
        return (half(features) if self.dtype == np.float16 else features).contiguous().cpu().numpy()

    def restore(self, held: Tensor) -> None:
        """Nothing is to be done."""


class Int8:
    """Per channel, 255 equal steps from the lowest to the highest training value: feature = number * scale + zero."""

    key: str | None
    channels: int | None = None
    dtype: np.dtype[Any] = np.dtype(np.int8)

    def __init__(self, tensors: Mapping[str, Tensor], key: str) -> None:
        self.scale, self.zero, self.key = tensors["scale"], tensors["zero"], key

    @staticmethod
    def fit(moments: Moments) -> dict[str, Tensor]:
        """`scale` and `zero`, float32 (C,); a channel that never changes gets a scale of 1."""
        scale = (moments.highest - moments.lowest) / LEVELS
        scale = torch.where(scale > 0, scale, torch.ones_like(scale))
        return {"scale": scale, "zero": moments.lowest + 128 * scale}

    def encode(self, features: Tensor) -> NDArray[Any]:
        scale, zero = self.scale.to(features.device), self.zero.to(features.device)
        return ((features - zero) / scale).round().clamp(-128, 127).to(torch.int8).contiguous().cpu().numpy()

    def restore(self, held: Tensor) -> None:
        held.mul_(self.scale).add_(self.zero)


class Pca:
    """The first principal components of the channels, float16; `components` (K, C) and `mean` (C,), float32.

    What is read are the K components: a branch on them becomes one on the trunk's features by folding the projection
    into its first 1x1 convolution (`branches.compression`).
    """

    key: str | None
    channels: int | None
    dtype: np.dtype[Any] = np.dtype(np.float16)

    def __init__(self, tensors: Mapping[str, Tensor], key: str) -> None:
        self.components, self.mean, self.key = tensors["components"], tensors["mean"], key
        self.channels = self.components.shape[1]

    @staticmethod
    def fit(moments: Moments, count: int) -> tuple[dict[str, Tensor], float]:
        """`components` and `mean`, and the share of the variance that they keep.

        An eigenvector's sign is free: its largest entry is made positive, so that the same data give the same codec.
        """
        values, vectors = torch.linalg.eigh(moments.covariance)  # ascending
        components = vectors.flip(1)[:, :count].T
        largest = components.gather(1, components.abs().argmax(1, keepdim=True))
        kept = float(values.flip(0)[:count].sum() / values.sum().clamp(min=1e-30))
        return {"components": (components * largest.sign()).float(), "mean": moments.mean.float()}, kept

    def encode(self, features: Tensor) -> NDArray[Any]:
        components, mean = self.components.to(features.device), self.mean.to(features.device)
        return half((features - mean) @ components.T).contiguous().cpu().numpy()

    def restore(self, held: Tensor) -> None:
        """Nothing is to be done: branches read the components."""


def half(features: Tensor) -> Tensor:
    """float16, cut off at its largest number."""
    limit = torch.finfo(torch.float16).max
    return features.clamp(-limit, limit).half()


def stored_channels(storage: Storage, channels: int) -> int:
    """How many numbers per position are stored.

    Raises:
        TrunkError: there are fewer channels than components.
    """
    if storage.components > channels:
        raise TrunkError(
            f"features.storage is {storage.name!r}, but the trunk's features have {channels} channels at this depth; "
            f"choose {channels} components or fewer."
        )
    return storage.components or channels


def fit_codec(storage: Storage, moments: Moments, path: Path, *, images: int) -> None:
    """Fit on the moments of training features and write ``codec.safetensors``."""
    record: dict[str, Any] = {"storage": storage.name, "images": images}
    if storage.kind == "pca":
        tensors, record["variance"] = Pca.fit(moments, storage.components)
    else:
        tensors = Int8.fit(moments)
    digest = hashlib.sha256(storage.name.encode())
    for name, tensor in sorted(tensors.items()):
        digest.update(name.encode() + tensor.contiguous().numpy().tobytes())
    key = digest.hexdigest()[:16]
    written = path.with_name(f".{key}-{os.getpid()}-{path.name}")
    save_checkpoint(written, tensors, {**record, "key": key})
    try:
        os.link(written, path)  # of two processes that fit at once, both go on with what the first one wrote
    except FileExistsError:
        written.unlink()
    except OSError:  # a file system without links
        os.replace(written, path)
    else:
        written.unlink()


def read_codec(storage: Storage, path: Path) -> Codec | None:
    """The codec of a storage; None where it is to be fitted first.

    Raises:
        TrunkError: the file is damaged.
    """
    if storage.kind in ("float16", "float32"):
        return Plain(storage.kind)
    if not path.exists():
        return None
    tensors, record = load_checkpoint(path)
    try:
        return (Pca if storage.kind == "pca" else Int8)(tensors, record["key"])
    except KeyError as error:
        raise TrunkError(f"{path} lacks {error}; delete it to fit {storage.name} anew.") from error
