"""One shard of a feature cache: ``<id>.npy``, and ``<id>.json``, written last, which makes it count."""

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from foundation.files import read_json, replace_atomically, write_json


def write_shard(folder: Path, keys: Sequence[str], array: NDArray[Any], codec: str | None) -> None:
    """Commit rows (n, H, W, C) under their keys; the name depends on the keys, so that two writers cannot clash."""
    path = folder / f"{hashlib.sha256(''.join(keys).encode()).hexdigest()[:16]}.npy"

    def write_array(temporary: Path) -> None:
        with open(temporary, "wb") as file:
            np.save(file, array, allow_pickle=False)

    replace_atomically(path, write_array)
    record = {"hashes": list(keys), "shape": list(array.shape[1:]), "sha256": file_checksum(path)}
    write_json(path.with_suffix(".json"), record | ({"codec": codec} if codec else {}))


def read_shard_record(record: Path, shape: tuple[int, int, int], codec: str | None) -> list[str] | None:
    """The keys of a shard that is whole; None for one that is damaged, or that another codec wrote."""
    try:
        found = read_json(record)
        keys: list[str] = found["hashes"]
        fits = tuple(found["shape"]) == shape and found.get("codec") == codec
        whole = fits and file_checksum(record.with_suffix(".npy")) == found["sha256"]
    except (OSError, json.JSONDecodeError, KeyError, TypeError):
        return None
    return keys if whole else None


def file_checksum(path: Path) -> str:
    """SHA-256 of a file's bytes."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
