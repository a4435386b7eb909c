"""Trunk features on disk: computed once per image content, view, trunk and depth; memory-mapped; never half a shard.

A cache folder holds ``cache.json`` (which trunk wrote it) and one folder per depth and storage with shards:
``<id>.npy`` (n, H, W, C) and ``<id>.json`` (the rows' keys, SHA-256 of the array file). The JSON is written last and
makes the shard count: an array file without it, or of another length or checksum, is not read and its images are done
again. A row's key is the image's content hash, for other views than the plain one with the view
(`trunk.features.views`). What was found whole is remembered with the rows' places (`trunk.features.index`), and is read
again where its files have changed, or when `FeatureCache.verify` is asked for.
"""

import hashlib
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from foundation.files import DISK_FULL, read_json, replace_atomically, write_json
from foundation.history import Progress
from foundation.locks import sweep
from trunk.errors import TrunkError
from trunk.features.cached import CachedFeatures
from trunk.features.codecs import Codec, Moments, fit_codec, read_codec, stored_channels
from trunk.features.index import INDEX, Index, Reader, State, Verified, Words, digests, state_of
from trunk.features.settings import PLAIN, parse_storage
from trunk.features.transfer import lane_to, transferred
from trunk.features.views import decode_views, view_of
from trunk.images import DECODING_THREADS, ahead
from trunk.precision import autocast
from trunk.trunk import Trunk

Missing = Mapping[str, Sequence[int]]  # key -> the depths at which it is missing
FORMAT = 1
SHARD_BYTES = 64 * 2**20
BATCH_SIZE = 64
FITTED_IMAGES = 2048


class FeatureCache:
    """The features of one trunk in one folder; several searches and several processes may fill and read it.

    storage: as what numbers they lie on disk (`trunk.features.settings`).
    """

    def __init__(self, folder: Path, trunk: Trunk, *, precision: str = "float32", storage: str = "float16") -> None:
        self.folder = folder
        self.trunk = trunk
        self.precision = precision
        self.storage = parse_storage(storage)
        self.readers: dict[int, Reader] = {}  # of each depth's index
        self.written: dict[Path, tuple[State, str | None, Words]] = {}  # this object's shards: files, codec, keys
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
            origin = read_json(path)
            theirs = str(origin["fingerprint"])
        except (KeyError, ValueError) as error:
            raise TrunkError(f"{path} cannot be read ({error}); delete {self.folder} to compute it anew.") from error
        if origin != self.origin:
            raise TrunkError(
                f"The feature cache {self.folder} was written by trunk {theirs[:12]} ({origin.get('precision')}), this "
                f"is trunk {self.trunk.fingerprint[:12]} ({self.precision}); use another folder or delete this one."
            )

    def depth_folder(self, depth: int) -> Path:
        """Where a depth's shards lie: ``depth08``, or ``depth08-pca64`` for a storage other than float16."""
        storage = "" if self.storage.name == "float16" else f"-{self.storage.name.replace(':', '')}"
        return self.folder / f"depth{self.trunk.check_depth(depth):02d}{storage}"

    def codec_file(self, depth: int) -> Path:
        """What int8 and PCA fitted, and when."""
        return self.depth_folder(depth) / "codec.safetensors"

    def codec(self, depth: int) -> Codec | None:
        """How this depth is stored; None where that is to be fitted first."""
        return read_codec(self.storage, self.codec_file(depth))

    def row_shape(self, depth: int) -> tuple[int, int, int]:
        """(H, W, C): one image's features as they lie on disk."""
        channels, height, width = self.trunk.feature_shape(depth)
        return height, width, stored_channels(self.storage, channels)

    def row_bytes(self, depth: int) -> int:
        """Bytes of one row on disk."""
        item = np.dtype("float16" if self.storage.components else self.storage.kind).itemsize
        return item * int(np.prod(self.row_shape(depth)))

    def read_index(self, depth: int) -> tuple[list[Path], Index]:
        """The whole shards of a depth, and where the row of each key lies; damaged shards are deleted."""
        folder, codec, shape = self.depth_folder(depth), self.codec(depth), self.row_shape(depth)
        if not folder.is_dir():
            return [], Index.empty()
        key = codec.key if codec else "none yet"
        of = {"shape": list(shape), "codec": key}
        reader = self.readers.get(depth)
        if reader is None or reader.of != of:
            reader = self.readers[depth] = Reader(folder, of)
        index = reader.read(partial(self.digests_of, shape=shape, codec=key))
        return [folder / f"{shard.name}.npy" for shard in index.shards], index

    def digests_of(self, record: Path, state: State, *, shape: tuple[int, int, int], codec: str | None) -> Words | None:
        """Those of a shard's keys where it is whole; one that this object wrote is, as long as it is as it was."""
        before = self.written.get(record)
        if before is not None and before[:2] == (state, codec):
            return before[2]
        keys = read_shard_record(record, shape, codec)
        return None if keys is None else digests(keys)

    def verify(self, depth: int) -> Verified:
        """Read every shard of a depth, whatever is remembered, against its checksum; damaged ones are deleted."""
        folder = self.depth_folder(depth)
        (folder / INDEX).unlink(missing_ok=True)
        self.readers.pop(depth, None)
        self.written.clear()
        before = len(list(folder.glob("*.json")))
        shards, index = self.read_index(depth)
        return Verified(len(shards), len(index), sum(path.stat().st_size for path in shards), before - len(shards))

    def missing(self, images: Iterable[str], depths: Sequence[int]) -> Missing:
        """The keys that are not cached at all of ``depths``."""
        keys = list(images)
        lacking = [self.read_index(depth)[1].find(keys)[:, 0] < 0 for depth in depths]
        table = np.stack(lacking, 1) if lacking else np.zeros((len(keys), 0), dtype=bool)
        return {
            keys[row]: [depth for depth, absent in zip(depths, table[row], strict=True) if absent]
            for row in np.flatnonzero(table.any(1)).tolist()
        }

    def fill(
        self,
        images: Mapping[str, Path],
        depths: Sequence[int],
        *,
        fit_on: Collection[str] = (),
        before: Callable[[Missing], None] | None = None,
        progress: Progress | None = None,
    ) -> int:
        """Compute what is missing of ``images`` (key -> file) at ``depths``, in one pass of the trunk.

        Args:
            images: views of one image side by side, so that it is decoded once.
            fit_on: the keys that int8 and PCA are fitted on, where that is not done yet; by default all plain ones.
            before: called with what is missing before anything is computed; not where everything is there.

        Returns:
            How many rows went through the trunk; 0 when everything was there.
        """
        missing = self.missing(images, depths)
        if not missing:
            return 0
        if before:
            before(missing)
        sweep(self.folder)
        codecs = self.fitted(images, depths, fit_on)
        keys, done = list(missing), 0
        waiting: dict[int, list[tuple[str, NDArray[Any]]]] = {depth: [] for depth in depths}
        for captured in self.captured([(key, images[key]) for key in keys], depths):
            count = len(captured[depths[0]])
            batch = keys[done : done + count]
            for depth, features in captured.items():
                rows = zip(batch, codecs[depth].encode(features), strict=True)
                waiting[depth] += [(key, row) for key, row in rows if depth in missing[key]]
                if len(waiting[depth]) * self.row_bytes(depth) >= SHARD_BYTES:
                    self.write(depth, waiting[depth], codecs[depth])
                    waiting[depth] = []
            done += count
            if progress:
                progress("features", done, len(keys), {})
        for depth, rows_left in waiting.items():
            if rows_left:
                self.write(depth, rows_left, codecs[depth])
            self.read_index(depth)  # which remembers what was written
        return len(keys)

    def unfitted(self, depths: Sequence[int]) -> list[int]:
        """The depths at which int8 or PCA has nothing fitted yet."""
        return [depth for depth in depths if self.codec(depth) is None]

    def fitted(self, images: Mapping[str, Path], depths: Sequence[int], fit_on: Collection[str]) -> dict[int, Codec]:
        """The codec of each depth, fitted where that is not done yet, on at most `FITTED_IMAGES` images.

        Those whose hashes come first: a choice as good as random, that does not depend on the order of the images.
        """
        if lacking := self.unfitted(depths):
            chosen = sorted(fit_on or [key for key in images if view_of(key)[1] == PLAIN] or images)[:FITTED_IMAGES]
            products = self.storage.kind == "pca"
            moments = {depth: Moments(self.trunk.feature_shape(depth)[0], products=products) for depth in lacking}
            for captured in self.captured([(key, images[key]) for key in chosen], lacking):
                for depth, features in captured.items():
                    moments[depth].add(features)
            for depth in lacking:
                fit = partial(fit_codec, self.storage, moments[depth], self.codec_file(depth), images=len(chosen))
                self.guarded(fit)
        codecs = {depth: self.codec(depth) for depth in depths}
        return {depth: codec for depth, codec in codecs.items() if codec is not None}

    def captured(self, rows: Sequence[tuple[str, Path]], depths: Sequence[int]) -> Iterator[dict[int, Tensor]]:
        """The features of (key, image file), batch by batch in this order; images are decoded ahead, in threads."""
        batches = [rows[start : start + BATCH_SIZE] for start in range(0, len(rows), BATCH_SIZE)]
        lane = lane_to(next(self.trunk.chain.parameters()).device)

        def decode(batch: Sequence[tuple[str, Path]]) -> Tensor:
            return lane.prepare(torch.from_numpy(decode_views(batch, self.trunk.preprocessing)))

        moved = transferred(ahead(decode, batches, threads=DECODING_THREADS, depth=4), lane)
        for number, pixels in enumerate(moved):
            features = self.compute(pixels, depths)
            if number == 0:
                self.require_numbers(features)
            yield features

    def require_numbers(self, captured: Mapping[int, Tensor]) -> None:
        """Refuse a trunk whose features are no numbers: every training on them would diverge, and be blamed for it.

        Raises:
            TrunkError: which trunk, from which depth on, and what to do.
        """
        odd = [depth for depth, features in sorted(captured.items()) if not bool(features.isfinite().all())]
        if odd:
            exact = f" in {self.precision} (trunk.feature_precision)" if self.precision != "float32" else ""
            raise TrunkError(
                f"Trunk {self.trunk.fingerprint[:12]} ({self.trunk.backbone}) gives features that are no numbers at "
                f"depth {odd[0]}{exact}: its weights are damaged; choose others with `graftnet trunk use`, or train it "
                f"anew."
            )

    def compute(self, pixels: Tensor, depths: Sequence[int]) -> dict[int, Tensor]:
        """uint8 (N, height, width, 3) -> features per depth, float32 (N, H, W, C), that do not depend on the batch.

        The last bits of a convolution depend on the size of its batch, so a small batch is filled up with repetitions:
        an image has the same features whichever others are computed with it.
        """
        count = len(pixels)
        full = pixels if count >= BATCH_SIZE else pixels[torch.arange(BATCH_SIZE) % count]
        return {depth: features[:count] for depth, features in self.run_trunk(full, depths).items()}

    @torch.inference_mode()
    def run_trunk(self, pixels: Tensor, depths: Sequence[int]) -> dict[int, Tensor]:
        """uint8 pixels -> features per depth, float32 (N, H, W, C): the order that convolutions read fastest."""
        device = next(self.trunk.chain.parameters()).device
        images = self.trunk.preprocessing.normalise(pixels.to(device))
        with autocast(self.precision, device):
            captured = self.trunk.capture(images, depths)
        return {depth: features.float().permute(0, 2, 3, 1) for depth, features in captured.items()}

    def write(self, depth: int, rows: Sequence[tuple[str, NDArray[Any]]], codec: Codec) -> None:
        """Commit rows as one shard."""
        array, keys, folder = np.stack([row for _, row in rows]), [key for key, _ in rows], self.depth_folder(depth)
        self.guarded(partial(write_shard, folder, keys, array, codec.key))
        record = folder / f"{shard_name(keys)}.json"
        self.written[record] = state_of(record), codec.key, digests(keys)

    def guarded(self, write: Callable[[], None]) -> None:
        """Run ``write``; a full disk becomes one sentence instead of a traceback."""
        try:
            write()
        except OSError as error:
            if error.errno not in DISK_FULL:
                raise
            raise TrunkError(
                f"The disk is full while writing features to {self.folder}; free some space or set project.runs to a "
                f"larger disk, then call again: what is cached is kept."
            ) from error

    def open(self, keys: Iterable[str], depth: int) -> CachedFeatures:
        """The features of these keys, in this order, memory-mapped.

        Raises:
            TrunkError: some are not cached.
        """
        _, index = self.read_index(depth)
        wanted, folder, shape = list(keys), self.depth_folder(depth), self.row_shape(depth)
        rows = index.find(wanted)
        if missing := int((rows[:, 0] < 0).sum()):
            raise TrunkError(
                f"{missing} of {len(wanted)} images are not in the feature cache {folder}; call 'graftnet cache' first."
            )
        numbers, rows[:, 0] = np.unique(rows[:, 0], return_inverse=True)
        maps = [open_rows(folder / f"{index.shards[number].name}.npy", shape) for number in numbers]
        lengths = np.array([0 if array is None else len(array) for array in maps], dtype=np.int64)
        if (rows[:, 1] >= lengths[rows[:, 0]]).any():  # somebody else's index, that tells of other files
            (folder / INDEX).unlink(missing_ok=True)
            raise TrunkError(f"{folder / INDEX} did not fit the shards beside it and was deleted; call again.")
        height, width, channels = shape
        return CachedFeatures(
            (channels, height, width), [array for array in maps if array is not None], rows, codec=self.codec(depth)
        )


class Hashed:
    """A file that is written, and hashed meanwhile: what was just written need not be read for its checksum."""

    def __init__(self, file: BinaryIO, digest: Any) -> None:
        self.file, self.digest = file, digest

    def write(self, data: bytes) -> int:
        """Write and hash."""
        self.digest.update(data)
        return self.file.write(data)


def shard_name(keys: Sequence[str]) -> str:
    """The name of the files of a shard with these keys."""
    return hashlib.sha256("".join(keys).encode()).hexdigest()[:16]


def write_shard(folder: Path, keys: Sequence[str], array: NDArray[Any], codec: str | None) -> None:
    """Commit rows (n, ...) under their keys; the name depends on the keys, so that two writers cannot clash."""
    path, digest = folder / f"{shard_name(keys)}.npy", hashlib.sha256()

    def write_array(temporary: Path) -> None:
        with open(temporary, "wb") as file:
            np.save(Hashed(file, digest), array, allow_pickle=False)

    replace_atomically(path, write_array)
    record = {"hashes": list(keys), "shape": list(array.shape[1:]), "sha256": digest.hexdigest()}
    write_json(path.with_suffix(".json"), record | ({"codec": codec} if codec else {}))


def index_of(shards: Iterable[tuple[Path, list[str] | None]]) -> tuple[list[Path], dict[str, tuple[int, int]]]:
    """Records of shards with their keys -> the arrays of whole shards, and (shard, row) per key.

    Keys that are None are a damaged shard's, which is deleted. A key that is there twice counts once.
    """
    arrays: list[Path] = []
    index: dict[str, tuple[int, int]] = {}
    for record, keys in shards:
        if keys is None:
            record.unlink(missing_ok=True)
            record.with_suffix(".npy").unlink(missing_ok=True)
            continue
        for row, key in enumerate(keys):
            index.setdefault(key, (len(arrays), row))
        arrays.append(record.with_suffix(".npy"))
    return arrays, index


def read_shard_record(record: Path, shape: tuple[int, ...], codec: str | None) -> list[str] | None:
    """The keys of a shard that is whole; None for one that is damaged, or that another codec wrote."""
    try:
        contents = read_json(record)
        keys: list[str] = contents["hashes"]
        fits = tuple(contents["shape"]) == shape and contents.get("codec") == codec
        told = isinstance(keys, list) and all(isinstance(key, str) for key in keys)
        if not (fits and told and file_checksum(record.with_suffix(".npy")) == contents["sha256"]):
            return None
        # The checksum is the record's own, which may be somebody else's: the rows are counted too.
        array = open_rows(record.with_suffix(".npy"), shape)
        return keys if array is not None and len(array) == len(keys) else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def open_rows(path: Path, shape: tuple[int, ...]) -> NDArray[Any] | None:
    """The numbers (n, *shape) of an array file, memory-mapped; None where it holds no such."""
    try:
        array = np.load(path, mmap_mode="r", allow_pickle=False)
    except Exception:  # numpy reads a header as Python's literals: any of theirs
        return None
    fits = isinstance(array, np.ndarray) and array.shape[1:] == shape and array.ndim > 0 and array.dtype.kind in "fi"
    return array if fits else None


def file_checksum(path: Path) -> str:
    """SHA-256 of a file's bytes."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
