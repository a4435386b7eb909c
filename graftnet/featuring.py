"""From a project's sub-datasets to labelled features: hash, run the trunk on what is new, open the cache."""

import hashlib
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
import torch
from numpy.lib.npyio import NpzFile

from graftnet.errors import ConfigError
from graftnet.project import Project
from subdatasets.contents import content_hashes
from subdatasets.errors import DataError
from subdatasets.splits import SPLITS
from subdatasets.subdataset import SubDataset
from trunk.feature_cache import FeatureCache, Progress
from trunk.features import ArrayFeatures, LabelledFeatures
from trunk.precision import resolve_precision
from trunk.trunk import Trunk

ARRAYS = ("x_train", "y_train", "x_val", "y_val", "x_test", "y_test")


def cache_of(project: Project, trunk: Trunk, precision: str | None = None) -> FeatureCache:
    """The cache of this trunk; what is cached depends on the number format too, by default the configured one."""
    if precision is None:
        device = next(trunk.parameters()).device
        precision = resolve_precision(project.config.trunk.feature_precision, device)
    return FeatureCache(project.cache / f"{trunk.fingerprint[:16]}-{precision}", trunk, precision=precision)


def fill_cache(
    project: Project,
    trunk: Trunk,
    subdatasets: Sequence[SubDataset],
    *,
    hashes: Mapping[Path, str] | None = None,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Run the trunk on every image of ``subdatasets`` that it has not seen; an image in several passes it once.

    ``hashes``: the content hash of every image, where it is known.
    """
    if hashes is None:
        hashes = content_hashes([example.path for subdataset in subdatasets for example in subdataset.examples])
    by_content = {content: path for path, content in hashes.items()}
    cache = cache_of(project, trunk)
    computed = cache.fill(by_content, [project.config.trunk.freeze_depth], progress=progress)
    return {"images": len(by_content), "computed": computed, "folder": str(cache.folder)}


def featured(
    project: Project,
    trunk: Trunk,
    subdataset: SubDataset,
    *,
    hashes: Mapping[Path, str],
    precision: str,
    progress: Progress | None = None,
) -> dict[str, LabelledFeatures]:
    """The labelled features of each split of a sub-dataset, computed where they are missing.

    Args:
        hashes: the content hash of every image. precision: of the trunk's computation, resolved.
    """
    depth = project.config.trunk.freeze_depth
    cache = cache_of(project, trunk, precision)
    by_content = {content: path for path, content in hashes.items()}
    cache.fill(by_content, [depth], progress=progress)
    contents = contents_in_order(subdataset, hashes)
    features, start = cache.open(contents, depth), 0
    splits = {}
    for split in SPLITS:
        examples = subdataset.split(split)
        labels = torch.tensor([example.value for example in examples], dtype=torch.int64)
        part = features.part(start, start + len(examples))
        splits[split] = LabelledFeatures(part, labels, len(subdataset.attribute.values))
        start += len(examples)
    return splits


def contents_in_order(subdataset: SubDataset, hashes: Mapping[Path, str]) -> list[str]:
    """The content hash of each example: train, val, test, in the sub-dataset's order."""
    return [hashes[example.path] for split in SPLITS for example in subdataset.split(split)]


def order_of(contents: Sequence[str]) -> str:
    """A hash over the images in their order, which decides the batches."""
    return hashlib.sha256("\n".join(contents).encode()).hexdigest()


def check_values(subdataset: SubDataset) -> None:
    """Raise DataError where a split that a search needs lacks a value."""
    for split in ("train", "val"):
        counts = subdataset.counts()[split]
        empty = [value for value, count in counts.items() if not count]
        if empty:
            raise DataError(
                f"{subdataset.source}: the {split} split has no image of value {empty[0]!r}; add some, or leave the "
                f"split column out to have them split anew."
            )


def read_features_file(path: Path) -> tuple[tuple[str, ...], dict[str, LabelledFeatures]]:
    """Arrays of the user's own: ``x_train (N, C, H, W) or (N, C)``, ``y_train (N,)``, the same for val and test.

    Labels may be any whole numbers or strings; sorted, they are the attribute's values.

    Raises:
        ConfigError: one sentence on what is missing or wrong in the file.
    """
    try:
        archive = np.load(path, allow_pickle=False)
        if not isinstance(archive, NpzFile):
            raise ConfigError(
                f"{path} is one array without a name; save several with np.savez(path, x_train=..., ...)."
            )
        with archive:
            arrays = {name: archive[name] for name in ARRAYS if name in archive.files}
            unknown = sorted(set(archive.files) - set(ARRAYS))
    except ConfigError:
        raise
    except (OSError, ValueError, EOFError, BadZipFile, zlib.error) as error:
        raise ConfigError(f"{path} cannot be read as an .npz file of plain arrays ({error}).") from error
    missing = [name for name in ARRAYS[:4] if name not in arrays]
    if missing:
        has = f"; it has {', '.join(unknown)}" if unknown else ""
        raise ConfigError(f"{path} lacks {', '.join(missing)}{has}; save it with np.savez(path, x_train=..., ...).")
    if ("x_test" in arrays) != ("y_test" in arrays):
        raise ConfigError(f"{path} has only one of x_test and y_test; give both or neither.")
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
    """Raise ConfigError where a split's arrays do not fit together."""
    where = f"{path}: x_{split}"
    if x.ndim not in (2, 4) or x.dtype.kind != "f":
        raise ConfigError(f"{where} must be floats of shape (N, C, H, W) or (N, C), is {x.dtype} {x.shape}.")
    if x.shape[1:] != x_train.shape[1:]:
        raise ConfigError(
            f"{where} has features of shape {x.shape[1:]}, x_train of {x_train.shape[1:]}; make them agree."
        )
    if y.ndim != 1 or len(y) != len(x):
        raise ConfigError(f"{where} has {len(x)} rows but y_{split} has shape {y.shape}; give one label per row.")
    if y.dtype.kind not in "iubU":
        raise ConfigError(f"{path}: y_{split} must hold whole numbers or strings, is {y.dtype}.")
    if not len(x):
        raise ConfigError(f"{where} is empty; give images, or leave a test split out.")
    bad = np.flatnonzero(~np.isfinite(x).reshape(len(x), -1).all(axis=1))
    if len(bad):
        raise ConfigError(
            f"{where} has NaN or infinity in {len(bad)} of {len(x)} rows (first: row {bad[0]}); remove them."
        )
    if len(values) < 2:
        raise ConfigError(
            f"{path}: y_train has one value only ({values[0] if len(values) else 'none'}); give two or more."
        )
    strange = np.setdiff1d(y, values)
    if len(strange):
        raise ConfigError(f"{path}: y_{split} has the value {strange[0]}, which y_train lacks; use the same values.")
    if len(np.unique(y)) < len(values):
        raise ConfigError(
            f"{path}: y_{split} lacks the value {np.setdiff1d(values, y)[0]}; every split needs all values."
        )
