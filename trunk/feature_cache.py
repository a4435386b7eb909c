"""Trunk features on disk: computed once per image content, trunk and depth; memory-mapped; never half a shard.

A cache folder holds ``cache.json`` (which trunk wrote it) and one folder per depth with shards: ``<id>.npy`` float16
(n, H, W, C) and ``<id>.json`` (content hashes, SHA-256 of the array file). The JSON is written last and makes the shard
count: an array file without it, or of another length or checksum, is not read and its images are done again.
"""

import errno
import hashlib
import json
import mmap
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from trunk.checkpoints import replace_atomically, write_json
from trunk.errors import TrunkError
from trunk.images import DECODING_THREADS, pixel_batches
from trunk.precision import autocast
from trunk.trunk import Trunk

Progress = Callable[[str, int, int, Mapping[str, float]], None]
FORMAT = 1
SHARD_BYTES = 64 * 2**20
BATCH_SIZE = 64


class CachedFeatures:
    """Rows of one depth's shards in the order asked for; nothing is held in memory but the index.

    A :class:`trunk.features.FeatureSource`.
    """

    def __init__(self, shape: tuple[int, int, int], shards: Sequence[NDArray[np.float16]], rows: NDArray[np.int64]):
        self.shape = shape
        self.shards = shards
        self.rows = rows
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "The given NumPy array is not writable")  # nor is it written to
            self.maps = [torch.from_numpy(np.asarray(shard)) for shard in shards]

    def __len__(self) -> int:
        return len(self.rows)

    def gather(self, indices: Tensor) -> Tensor:
        """float32 (n, C, H, W), in channels-last memory order."""
        channels, height, width = self.shape
        return self.gather_into(torch.empty(len(indices), height, width, channels), indices)

    def gather_into(self, held: Tensor, indices: Tensor) -> Tensor:
        """`gather`, as a view of `held`, float32 (n, H, W, C): memory that was used before is filled much faster."""
        for place, shard, row in self._as_they_lie(indices):
            held[place].copy_(self.maps[shard][row])
        return held.permute(0, 3, 1, 2)

    def expect(self, indices: Tensor) -> None:
        """Tell the system which rows are gathered soon, so that it reads them from the disk meanwhile."""
        for _, shard, row in self._as_they_lie(indices):
            array, mapped = self.shards[shard], cast(object, self.shards[shard].base)
            if isinstance(array, np.memmap) and isinstance(mapped, mmap.mmap):
                start, size = array.offset + row * array.strides[0], array.strides[0]
                page = start - start % mmap.PAGESIZE
                advise(mapped, page, start + size - page)

    def _as_they_lie(self, indices: Tensor) -> Iterator[tuple[int, int, int]]:
        """(place among the indices, shard, row in it), in the order of the disk."""
        rows = self.rows[indices.numpy()]
        order = np.lexsort((rows[:, 1], rows[:, 0]))
        for place, (shard, row) in zip(order.tolist(), rows[order].tolist(), strict=True):
            yield place, shard, row

    def part(self, start: int, stop: int) -> "CachedFeatures":
        """Rows ``start`` to ``stop`` of the order asked for."""
        return CachedFeatures(self.shape, self.shards, self.rows[start:stop])


class FeatureCache:
    """The features of one trunk in one folder; several searches and several processes may fill and read it."""

    def __init__(self, folder: Path, trunk: Trunk, *, precision: str = "float32") -> None:
        self.folder = folder
        self.trunk = trunk
        self.precision = precision
        self.check_origin()

    @property
    def origin(self) -> dict[str, Any]:
        """What the cached numbers depend on beside the image."""
        return {"format": FORMAT, "fingerprint": self.trunk.fingerprint, "precision": self.precision}

    def check_origin(self) -> None:
        """Refuse a folder that another trunk wrote."""
        path = self.folder / "cache.json"
        if not path.exists():
            if self.folder.is_dir() and any(self.folder.glob("depth*/*.npy")):
                raise TrunkError(f"{self.folder} holds features of an unknown trunk (no cache.json); delete it.")
            self.guarded(lambda: write_json(path, self.origin))
            return
        try:
            found = json.loads(path.read_text(encoding="utf-8"))
            theirs = str(found["fingerprint"])
        except (json.JSONDecodeError, KeyError, TypeError) as error:
            raise TrunkError(f"{path} cannot be read ({error}); delete {self.folder} to compute it anew.") from error
        if found != self.origin:
            raise TrunkError(
                f"The feature cache {self.folder} was written by trunk {theirs[:12]} ({found.get('precision')}), this "
                f"is trunk {self.trunk.fingerprint[:12]} ({self.precision}); use another folder or delete this one."
            )

    def depth_folder(self, depth: int) -> Path:
        return self.folder / f"depth{self.trunk.check_depth(depth):02d}"

    def row_shape(self, depth: int) -> tuple[int, int, int]:
        """(H, W, C): one image's features as they lie on disk."""
        channels, height, width = self.trunk.feature_shape(depth)
        return height, width, channels

    def read_index(self, depth: int) -> tuple[list[Path], dict[str, tuple[int, int]]]:
        """The whole shards of a depth, and (shard, row) per content hash; damaged shards are deleted."""
        folder = self.depth_folder(depth)
        if not folder.is_dir():
            return [], {}
        records = sorted(folder.glob("*.json"))
        with ThreadPoolExecutor(DECODING_THREADS) as pool:
            contents = list(pool.map(lambda record: read_shard_record(record, self.row_shape(depth)), records))
        shards: list[Path] = []
        index: dict[str, tuple[int, int]] = {}
        for record, hashes in zip(records, contents, strict=True):
            if hashes is None:
                record.unlink(missing_ok=True)
                record.with_suffix(".npy").unlink(missing_ok=True)
                continue
            for row, content in enumerate(hashes):
                index.setdefault(content, (len(shards), row))
            shards.append(record.with_suffix(".npy"))
        return shards, index

    def fill(self, images: Mapping[str, Path], depths: Sequence[int], *, progress: Progress | None = None) -> int:
        """Compute what is missing of ``images`` (content hash -> file) at ``depths``, in one pass of the trunk.

        Returns:
            How many images went through the trunk; 0 when everything was there.
        """
        known = {depth: self.read_index(depth)[1] for depth in depths}
        missing = {
            content: [depth for depth in depths if content not in known[depth]]
            for content in images
            if any(content not in index for index in known.values())
        }
        if not missing:
            return 0
        device = next(self.trunk.chain.parameters()).device
        contents, done = list(missing), 0
        waiting: dict[int, list[tuple[str, NDArray[np.float16]]]] = {depth: [] for depth in depths}
        batches = pixel_batches([images[content] for content in contents], self.trunk.preprocessing, BATCH_SIZE)
        for pixels in batches:
            batch = contents[done : done + len(pixels)]
            for depth, features in self.compute(pixels, depths, device).items():
                rows = zip(batch, features, strict=True)
                waiting[depth] += [(content, row) for content, row in rows if depth in missing[content]]
                if len(waiting[depth]) * features[0].nbytes >= SHARD_BYTES:
                    self.write_shard(depth, waiting[depth])
                    waiting[depth] = []
            done += len(pixels)
            if progress:
                progress("features", done, len(contents), {})
        for depth, rows_left in waiting.items():
            if rows_left:
                self.write_shard(depth, rows_left)
        return len(contents)

    @torch.inference_mode()
    def compute(self, pixels: Tensor, depths: Sequence[int], device: torch.device) -> dict[int, NDArray[np.float16]]:
        """uint8 (N, S, S, 3) -> features per depth, float16 (N, H, W, C): the order that convolutions read fastest.

        The last bits of a convolution depend on the size of its batch, so a small batch is filled up with repetitions:
        an image has the same features whichever others are computed with it.
        """
        count = len(pixels)
        full = pixels if count >= BATCH_SIZE else pixels[torch.arange(BATCH_SIZE) % count]
        images = self.trunk.preprocessing.normalise(full.to(device))
        with autocast(self.precision, device):
            captured = self.trunk.capture(images, depths)
        limit = torch.finfo(torch.float16).max
        return {
            depth: features[:count].float().clamp(-limit, limit).half().permute(0, 2, 3, 1).contiguous().cpu().numpy()
            for depth, features in captured.items()
        }

    def write_shard(self, depth: int, rows: Sequence[tuple[str, NDArray[np.float16]]]) -> None:
        """Commit rows as one shard; its name depends on its contents, so that two writers cannot clash."""
        hashes = [content for content, _ in rows]
        array = np.stack([row for _, row in rows])
        path = self.depth_folder(depth) / f"{hashlib.sha256(''.join(hashes).encode()).hexdigest()[:16]}.npy"

        def write() -> None:
            def write_array(temporary: Path) -> None:
                with open(temporary, "wb") as file:
                    np.save(file, array, allow_pickle=False)

            replace_atomically(path, write_array)
            record = {"hashes": hashes, "shape": list(array.shape[1:]), "sha256": file_checksum(path)}
            write_json(path.with_suffix(".json"), record)

        self.guarded(write)

    def guarded(self, write: Callable[[], None]) -> None:
        """Run ``write``; a full disk becomes one sentence instead of a traceback."""
        try:
            write()
        except OSError as error:
            if error.errno not in (errno.ENOSPC, errno.EDQUOT):
                raise
            raise TrunkError(
                f"The disk is full while writing features to {self.folder}; free some space or set project.runs to a "
                f"larger disk, then call again: what is cached is kept."
            ) from error

    def open(self, hashes: Iterable[str], depth: int) -> CachedFeatures:
        """The features of these images (content hashes, in this order), memory-mapped.

        Raises:
            TrunkError: some are not cached.
        """
        shards, index = self.read_index(depth)
        wanted = list(hashes)
        missing = [content for content in wanted if content not in index]
        if missing:
            raise TrunkError(
                f"{len(missing)} of {len(wanted)} images are not in the feature cache {self.depth_folder(depth)}; call "
                f"'graftnet cache' first."
            )
        maps = [np.load(path, mmap_mode="r", allow_pickle=False) for path in shards]
        rows = np.array([index[content] for content in wanted], dtype=np.int64).reshape(-1, 2)
        return CachedFeatures(self.trunk.feature_shape(depth), maps, rows)


def advise(mapped: mmap.mmap, start: int, length: int) -> None:
    """Have the system read these bytes ahead; where it knows no such advice, nothing."""
    if hasattr(mmap, "MADV_WILLNEED"):
        mapped.madvise(mmap.MADV_WILLNEED, start, length)


def read_shard_record(record: Path, shape: tuple[int, int, int]) -> list[str] | None:
    """The content hashes of a shard that is whole; None for one that is damaged."""
    try:
        found = json.loads(record.read_text(encoding="utf-8"))
        hashes: list[str] = found["hashes"]
        whole = tuple(found["shape"]) == shape and file_checksum(record.with_suffix(".npy")) == found["sha256"]
    except (OSError, json.JSONDecodeError, KeyError, TypeError):
        return None
    return hashes if whole else None


def file_checksum(path: Path) -> str:
    """SHA-256 of a file's bytes."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
