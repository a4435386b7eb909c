"""Features of the user's own, from an .npz file, with every mistake in it told in one sentence."""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.lib.npyio import NpzFile

from subdatasets.splits import SPLITS
from trunk.errors import TrunkError
from trunk.features.source import ArrayFeatures, LabelledFeatures

ARRAYS = ("x_train", "y_train", "x_val", "y_val", "x_test", "y_test")


def read_features_file(path: Path) -> tuple[tuple[str, ...], dict[str, LabelledFeatures]]:
    """Arrays of the user's own: ``x_train (N, C, H, W) or (N, C)``, ``y_train (N,)``, the same for val and test.

    Labels may be any whole numbers or strings; sorted, they are the attribute's values.

    Raises:
        TrunkError: one sentence on what is missing or wrong in the file.
    """
    try:
        if path.exists() and not path.is_file():
            raise TrunkError(f"{path} is no file; name an .npz file of arrays.")  # a pipe would be waited for
        archive = np.load(path, allow_pickle=False)
        if not isinstance(archive, NpzFile):
            raise TrunkError(f"{path} is one array without a name; save several with np.savez(path, x_train=..., ...).")
        with archive:
            arrays = {name: archive[name] for name in ARRAYS if name in archive.files}
            unknown = sorted(set(archive.files) - set(ARRAYS))
    except TrunkError:
        raise
    except Exception as error:  # numpy reads headers as Python's literals, zipfile whatever a file says: any of theirs
        raise TrunkError(f"{path} cannot be read as an .npz file of plain arrays ({error}).") from error
    missing = [name for name in ARRAYS[:4] if name not in arrays]
    if missing:
        has = f"; it has {', '.join(unknown)}" if unknown else ""
        raise TrunkError(f"{path} lacks {', '.join(missing)}{has}; save it with np.savez(path, x_train=..., ...).")
    if ("x_test" in arrays) != ("y_test" in arrays):
        raise TrunkError(f"{path} has only one of x_test and y_test; give both or neither.")
    values = np.unique(arrays["y_train"])
    splits = {}
    for split in SPLITS:
        if f"x_{split}" in arrays:
            x, y = arrays[f"x_{split}"], arrays[f"y_{split}"]
            check_arrays(path, split, x, y, arrays["x_train"], values)
            labels = torch.from_numpy(np.searchsorted(values, y).astype(np.int64))
            splits[split] = LabelledFeatures(ArrayFeatures(np.ascontiguousarray(x)), labels, len(values))
    return tuple(str(value) for value in values), splits


def check_arrays(path: Path, split: str, x: Any, y: Any, x_train: Any, values: Any) -> None:
    """Raise TrunkError where a split's arrays do not fit together."""
    where = f"{path}: x_{split}"
    if x.ndim not in (2, 4) or x.dtype.kind != "f":
        raise TrunkError(f"{where} must be floats of shape (N, C, H, W) or (N, C), is {x.dtype} {x.shape}.")
    if x.shape[1:] != x_train.shape[1:]:
        raise TrunkError(
            f"{where} has features of shape {x.shape[1:]}, x_train of {x_train.shape[1:]}; make them agree."
        )
    if y.ndim != 1 or len(y) != len(x):
        raise TrunkError(f"{where} has {len(x)} rows but y_{split} has shape {y.shape}; give one label per row.")
    if y.dtype.kind not in "iubU":
        raise TrunkError(f"{path}: y_{split} must hold whole numbers or strings, is {y.dtype}.")
    if not len(x):
        raise TrunkError(f"{where} is empty; give images, or leave a test split out.")
    bad = np.flatnonzero(~np.isfinite(x).reshape(len(x), -1).all(axis=1))
    if len(bad):
        raise TrunkError(
            f"{where} has NaN or infinity in {len(bad)} of {len(x)} rows (first: row {bad[0]}); remove them."
        )
    if len(values) < 2:
        raise TrunkError(
            f"{path}: y_train has one value only ({values[0] if len(values) else 'none'}); give two or more."
        )
    strange = np.setdiff1d(y, values)
    if len(strange):
        raise TrunkError(f"{path}: y_{split} has the value {strange[0]}, which y_train lacks; use the same values.")
    if len(np.unique(y)) < len(values):
        raise TrunkError(
            f"{path}: y_{split} lacks the value {np.setdiff1d(values, y)[0]}; every split needs all values."
        )
