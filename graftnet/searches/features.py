"""Labelled features of a project's sub-datasets: hash images, run the trunk on what is new, open the cache."""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import torch

from foundation.history import Progress
from graftnet.project.config import project_of
from graftnet.project.folder import Project
from graftnet.terminal.output import if_long
from graftnet.trunks.advice import attribute_depth
from graftnet.trunks.precision import feature_precision
from subdatasets.errors import DataError
from subdatasets.image_files import content_hashes
from subdatasets.splits import SPLITS
from subdatasets.subdataset import SubDataset, image_hashes
from trunk.features.averages import AverageCache
from trunk.features.cache import FeatureCache, Missing
from trunk.features.context import FeaturesWithContext
from trunk.features.estimate import Estimate, estimate_fill, joined_estimates, require_room, shown_bytes
from trunk.features.source import LabelledFeatures
from trunk.features.views import key_of
from trunk.trunk import Trunk

Announce = Callable[[Estimate], None]


def cache_of(project: Project, trunk: Trunk, precision: str | None = None) -> FeatureCache:
    """The cache of this trunk; what is cached depends on the number format too, by default the configured one."""
    if precision is None:
        precision = feature_precision(project, trunk, device_of(trunk))
    folder = project.cache / f"{trunk.fingerprint[:16]}-{precision}"
    return FeatureCache(folder, trunk, precision=precision, storage=project.config.features.storage)


def wanted(
    project: Project, subdatasets: Sequence[SubDataset], hashes: Mapping[Path, str]
) -> tuple[dict[str, Path], list[str]]:
    """The keys of all features that these sub-datasets need, with their images, and the content of training images.

    Of training images all views are needed, side by side, of others the plain one.
    """
    views = project.config.features.views
    training = {
        hashes[example.path]: None
        for subdataset in subdatasets
        for example in subdataset.examples
        if example.split == "train"
    }
    keys: dict[str, Path] = {}
    for subdataset in subdatasets:
        for example in subdataset.examples:
            content = hashes[example.path]
            keys[content] = example.path
            if content in training:
                keys |= {key_of(content, view): example.path for view in views}
    return keys, list(training)


class Portion(NamedTuple):
    """Keys with their images that are needed at the same depths, and the content of the training images among them."""

    depths: list[int]
    keys: dict[str, Path]
    training: list[str]


def portions(
    project: Project, subdatasets: Sequence[SubDataset], hashes: Mapping[Path, str], depths_of: Mapping[str, int]
) -> list[Portion]:
    """What these sub-datasets need, each at its attribute's depth; an image of several is in one portion."""
    keys, training = wanted(project, subdatasets, hashes)
    cuts = [depths_of[subdataset.attribute.name] for subdataset in subdatasets]
    if len(set(cuts)) == 1:
        return [Portion(cuts[:1], keys, training)]
    depths: dict[str, set[int]] = {key: set() for key in keys}
    for subdataset, depth in zip(subdatasets, cuts, strict=True):
        for key in wanted(project, [subdataset], hashes)[0]:
            depths[key].add(depth)
    grouped: dict[tuple[int, ...], dict[str, Path]] = {}
    for key, path in keys.items():
        grouped.setdefault(tuple(sorted(depths[key])), {})[key] = path
    return [Portion(list(at), of, [key for key in training if key in of]) for at, of in grouped.items()]


def new_depths(project: Project, trunk: Trunk, subdatasets: Sequence[SubDataset]) -> dict[str, int]:
    """The freeze depth of a new search of each attribute."""
    names = [subdataset.attribute.name for subdataset in subdatasets]
    return {name: attribute_depth(project, trunk.fingerprint, name) for name in names}


def fill(
    cache: FeatureCache, portion: Portion, *, announce: Announce | None = None, progress: Progress | None = None
) -> int:
    """Fill the cache with a portion, all depths in one pass; ``announce`` hears what it takes, before it is done.

    Raises:
        TrunkError: the disk has not the room for it.
    """
    depths, keys, training = portion

    def before(missing: Missing) -> None:
        estimate = estimate_fill(cache, keys, depths, missing, fit_on=len(training))
        require_room(estimate)
        if announce:
            announce(estimate)
        elif progress:
            figures = {"gigabytes": estimate.disk_bytes / 1e9, "estimated_seconds": estimate.seconds}
            progress("features", 0, estimate.rows, figures)

    return cache.fill(keys, depths, fit_on=training, before=before, progress=progress)


def verified_cache(project: Project, trunk: Trunk) -> str:
    """What a full check of the project's cache found, in a sentence per depth; damaged shards are deleted."""
    cache = cache_of(project, trunk)
    lines = []
    for depth in cache.trunk.depths:
        found = cache.verify(depth)
        if found.shards or found.damaged:
            gone = (
                f"; {found.damaged} damaged ones were deleted, their images are computed again" if found.damaged else ""
            )
            whole = f"{found.shards} shards with {found.rows:,} rows ({shown_bytes(found.bytes)}) are whole"
            lines.append(f"Depth {depth}: {whole}{gone}.")
    return "\n".join(lines) or "Nothing is cached."


def hashes_of(project: Project, subdatasets: Sequence[SubDataset], progress: Progress | None = None) -> dict[Path, str]:
    """The content hash of every image of these sub-datasets; the project's memory of files spares reading them."""
    return image_hashes(subdatasets, progress=if_long(progress) if progress else None, memory=project.memory)


def estimate_cache(project: Project, trunk: Trunk, subdatasets: Sequence[SubDataset]) -> Estimate:
    """What :func:`fill_cache` would take; the trunk runs on a few images, and no feature is written.

    Raises:
        TrunkError: the disk has not the room for it.
    """
    hashes = hashes_of(project, subdatasets)
    cache = cache_of(project, trunk)
    estimate = joined_estimates(
        [
            estimate_fill(cache, keys, depths, cache.missing(keys, depths), fit_on=len(training))
            for depths, keys, training in portions(
                project, subdatasets, hashes, new_depths(project, trunk, subdatasets)
            )
        ]
    )
    require_room(estimate)
    return estimate


def fill_cache(
    project: Project,
    trunk: Trunk,
    subdatasets: Sequence[SubDataset],
    *,
    hashes: Mapping[Path, str] | None = None,
    depths: Mapping[str, int] | None = None,
    announce: Announce | None = None,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Run the trunk on every image of ``subdatasets`` that it has not seen; an image in several passes it once.

    ``hashes``: the content hash of every image, where it is known. ``depths``: of each attribute; by default those that
    new searches read.
    """
    if hashes is None:
        hashes = hashes_of(project, subdatasets, progress)
    cache = cache_of(project, trunk)
    parts = portions(project, subdatasets, hashes, depths or new_depths(project, trunk, subdatasets))
    computed = sum(fill(cache, part, announce=announce, progress=progress) for part in parts)
    record = {"images": len(set(hashes.values())), "computed": computed, "folder": str(cache.folder)}
    return record | {"views": ["plain", *project.config.features.views], "storage": cache.storage.name}


@dataclass(frozen=True)
class AttributeData:
    """The data of one attribute on one trunk at one freeze depth.

    project: as the attribute has it. hashes: the content hash of every image. precision: of the trunk's computation.
    """

    project: Project
    trunk: Trunk
    subdataset: SubDataset
    hashes: Mapping[Path, str]
    depth: int
    precision: str

    @property
    def device(self) -> torch.device:
        return device_of(self.trunk)

    @property
    def contents(self) -> list[str]:
        """The content hash of each example: train, val, test, in the sub-dataset's order."""
        return [self.hashes[example.path] for split in SPLITS for example in self.subdataset.split(split)]

    @property
    def identity(self) -> dict[str, Any]:
        """What tells this data from other data; ``order`` is a hash over the images in theirs, which sets the batches.

        It is a part of what names a search, a study and a renewal.
        """
        return {
            "attribute": self.subdataset.attribute.name,
            "values": list(self.subdataset.attribute.values),
            "data": self.subdataset.digest(self.hashes),
            "order": hashlib.sha256("\n".join(self.contents).encode()).hexdigest(),
            "feature_precision": self.precision,
            "fingerprint": self.trunk.fingerprint,
            "freeze_depth": self.depth,
        }

    def splits(
        self, *, sources: bool = False, announce: Announce | None = None, progress: Progress | None = None
    ) -> dict[str, LabelledFeatures]:
        """The labelled features of each split, computed where they are missing; ``announce`` hears what that takes.

        With ``sources`` the averages of all earlier depths lie behind the map (:mod:`trunk.features.context`).
        """
        splits = self.splits_at([self.depth], announce=announce, progress=progress)[self.depth]
        return self.with_sources(splits, progress) if sources and self.depth > 1 else splits

    def with_sources(
        self, splits: Mapping[str, LabelledFeatures], progress: Progress | None
    ) -> dict[str, LabelledFeatures]:
        """The splits with the averages of the earlier depths, which are those of `graftnet trunk probe`."""
        averages = AverageCache(cache_of(self.project, self.trunk, self.precision))
        averages.fill(wanted(self.project, [self.subdataset], self.hashes)[0], progress=progress)
        columns = sum(averages.widths[: self.depth - 1])

        def read(keys: Sequence[str]) -> torch.Tensor:
            return torch.from_numpy(averages.read(keys)[:, :columns].copy())

        made, start, views = {}, 0, self.project.config.features.views
        for split in SPLITS:
            part = splits[split]
            contents = self.contents[start : start + len(part)]
            start += len(part)
            others = [read([key_of(content, view) for content in contents]) for view in views if split == "train"]
            features = FeaturesWithContext(part.features, read(contents), torch.stack(others) if others else None)
            made[split] = replace(part, features=features)
        return made

    def splits_at(
        self, depths: Sequence[int], *, announce: Announce | None = None, progress: Progress | None = None
    ) -> dict[int, dict[str, LabelledFeatures]]:
        """:meth:`splits` at several depths, whose missing features are computed in one pass of the trunk."""
        cache = cache_of(self.project, self.trunk, self.precision)
        portion = Portion(list(depths), *wanted(self.project, [self.subdataset], self.hashes))
        fill(cache, portion, announce=announce, progress=progress)
        return {depth: self.labelled(cache, depth) for depth in depths}

    def labelled(self, cache: FeatureCache, depth: int) -> dict[str, LabelledFeatures]:
        """The cached features of one depth with their labels, split by split."""
        views, subdataset = self.project.config.features.views, self.subdataset
        contents, counts = self.contents, [len(subdataset.split(split)) for split in SPLITS]
        training = contents[: counts[0]]
        keys = contents + [key_of(content, view) for view in views for content in training]
        features, start = cache.open(keys, depth), 0
        splits = {}
        for split, count in zip(SPLITS, counts, strict=True):
            labels = torch.tensor([example.value for example in subdataset.split(split)], dtype=torch.int64)
            part = features.part(start, start + count)
            if split == "train":
                firsts = [len(contents) + number * count for number in range(len(views))]
                part = part.with_views([features.part(first, first + count) for first in firsts])
            splits[split] = LabelledFeatures(part, labels, len(subdataset.attribute.values))
            start += count
        return splits


def attribute_data(
    project: Project,
    trunk: Trunk,
    attribute: str,
    depth: int,
    *,
    device: torch.device,
    hashes: Mapping[Path, str] | None = None,
    progress: Progress | None = None,
) -> AttributeData:
    """Read the attribute's sub-dataset as it is today and hash its images; no image passes the trunk.

    Args:
        project: as the attribute has it (:func:`graftnet.project.config.project_of`).
        device: that the trunk will compute on.
        hashes: content hashes that are known already; only other images are looked for.
        progress: hears the stage "images".

    Raises:
        ConfigError, DataError: it is gone, or cannot be used. TrunkError: the trunk cannot be cut there.
    """
    depth = trunk.check_depth(depth)
    subdataset = project.read(attribute)
    check_values(subdataset)
    known = hashes or {}
    paths = [example.path for example in subdataset.examples]
    fresh = content_hashes([path for path in paths if path not in known], progress=progress, memory=project.memory)
    used = {path: known[path] if path in known else fresh[path] for path in paths}
    precision = feature_precision(project, trunk, device)
    return AttributeData(project, trunk, subdataset, used, depth, precision)


def whole_data(project: Project, trunk: Trunk, attribute: str, depth: int) -> AttributeData:
    """:func:`attribute_data` whose features are as the trunk gives them, whatever `features.storage` says."""
    view = project_of(project, attribute).uncompressed
    return attribute_data(view, trunk, attribute, depth, device=device_of(trunk))


def device_of(trunk: Trunk) -> torch.device:
    """Where the trunk lies."""
    return next(trunk.parameters()).device


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
