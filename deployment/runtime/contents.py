"""The files of an exported folder, read with distrust: names, SHA-256, golden arrays.

No name leads out of the folder, no symlink is followed, no array is unpickled.
"""

import hashlib
import re
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from deployment.errors import BundleError

GOLDEN_BYTES = 2**31
SHA256 = re.compile(r"[0-9a-f]{64}")
# Left by whoever imports a branch.py; never read by the runtime.
IGNORED = ("__pycache__",)


def is_plain_name(word: object) -> bool:
    """Whether it names something directly in a folder: no path, nothing hidden, no control characters."""
    return (
        isinstance(word, str)
        and 0 < len(word) <= 200
        and not word.startswith(".")
        and word.isprintable()
        and not set(word) & set('/\\:*?"<>|')
    )


def is_hash(word: object) -> bool:
    """Whether it is 64 hex digits."""
    return isinstance(word, str) and SHA256.fullmatch(word) is not None


def sha256_of(path: Path) -> str:
    """The SHA-256 of a file, 64 hex digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def read_checked(path: Path, *expected: str) -> bytes:
    """The bytes of a file whose SHA-256 is one of those. Raises: BundleError for a missing, linked or changed file."""
    if path.is_symlink() or path.parent.is_symlink():
        raise BundleError(f"{path} is a link, which a bundle has none of: copy the files themselves, or export again")
    try:
        data = path.read_bytes()
    except OSError as error:
        raise BundleError(f"{path} is missing: export the bundle again") from error
    if hashlib.sha256(data).hexdigest() not in expected:
        raise BundleError(f"{path} changed since it was exported: export the bundle again")
    return data


def changed(folder: Path, hashes: Mapping[str, str], *, whole: bool = False) -> list[str]:
    """A sentence per file that is missing, linked or whose SHA-256 is another one; with `whole`, per file unlisted."""
    if folder.is_symlink():
        return [f"{folder} is a link"]
    problems = []
    for name, expected in hashes.items():
        path = folder / name
        if path.is_symlink():
            problems.append(f"{path} is a link")
        elif not path.is_file():
            problems.append(f"{path} is missing")
        elif sha256_of(path) != expected:
            problems.append(f"{path} changed since it was exported")
    if whole and folder.is_dir():
        found = {path.name for path in folder.iterdir()} - hashes.keys() - set(IGNORED)
        problems += [f"{folder / name} is not listed" for name in sorted(found)]
    return problems


def read_golden(path: Path, names: Sequence[str]) -> list[npt.NDArray[np.float32]]:
    """Finite float32 arrays of an `.npz` file. Raises: BundleError for anything else, pickles above all."""
    try:
        with zipfile.ZipFile(path) as archive:
            parts = archive.infolist()
        if sum(part.file_size for part in parts) > GOLDEN_BYTES or any(part.compress_type for part in parts):
            raise ValueError(f"compressed, or more than {GOLDEN_BYTES} bytes")
        with np.load(path, allow_pickle=False) as golden:
            arrays = [golden[name] for name in names]
    except (OSError, ValueError, KeyError, EOFError, MemoryError, zipfile.BadZipFile) as error:
        raise BundleError(f"{path} holds no golden {' and '.join(names)} ({error}): export it again") from error
    for name, array in zip(names, arrays, strict=True):
        if array.dtype != np.float32 or not array.size or not np.isfinite(array).all():
            raise BundleError(f"{path}: {name} must be finite float32 numbers, is {array.dtype} {array.shape}")
    return arrays
