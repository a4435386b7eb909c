"""Say what defines a job and where its features come from, and keep two jobs out of one folder."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from typing_extensions import TypedDict

from foundation.bounds import recorded
from foundation.files import jsonable
from foundation.records import Depth, Digest, Text, Whole, read_record
from nas.errors import SearchError
from nas.job.predictions import ImageFile
from nas.settings import JobData, JobSettings


class DataShape(TypedDict):
    """What is told of a sub-dataset."""

    digest: Digest


class ConfigShape(TypedDict):
    """``config.json`` of a search: what its reader asks of it."""

    attribute: Text
    values: list[Text]
    data: DataShape
    seed: Whole
    device: Text
    settings: dict[str, Any]
    fingerprint: Digest | None
    freeze_depth: Depth | None


@dataclass(frozen=True)
class Origin:
    """Where a job's features come from, as its records say it.

    identity: what defines the job, ``fingerprint`` and ``freeze_depth`` of a trunk (or None) among it. about: the
    records ``data`` and ``trunk``, and what else is known of both. files: the images of each split in the order of the
    features; pictures: whether small ones of them may be kept. command: what asked for the job. seconds: that the
    features took.
    """

    identity: Mapping[str, Any]
    about: Mapping[str, Any]
    files: Mapping[str, Sequence[ImageFile]] | None = None
    pictures: bool = True
    command: str = ""
    seconds: float = 0.0


def origin_of(data: JobData, settings: JobSettings, *, digest: str, seed: int, device: torch.device) -> Origin:
    """The origin of features that no trunk of ours gave; ``digest`` tells them from others."""
    identity = {
        "attribute": data.attribute,
        "values": list(data.values),
        "data": digest,
        "fingerprint": None,
        "freeze_depth": None,
        "seed": seed,
        "device": device.type,
        **settings_record(settings),
    }
    parts = {"train": data.train, "val": data.val} | ({} if data.test is None else {"test": data.test})
    counts = {
        split: {value: int((part.labels == index).sum()) for index, value in enumerate(data.values)}
        for split, part in parts.items()
    }
    return Origin(identity, {"data": {"digest": digest, "counts": counts}, "trunk": None})


def features_digest(data: JobData) -> str:
    """12 hex digits over the labels and features of every split."""
    digest = hashlib.sha256()
    for part in (data.train, data.val, data.test):
        if part is not None:
            digest.update(part.labels.cpu().numpy().tobytes())
            for first in range(0, len(part), 1024):
                rows = torch.arange(first, min(first + 1024, len(part)))
                digest.update(part.features.gather(rows).cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()[:12]


def settings_record(settings: JobSettings) -> dict[str, Any]:
    """A job's settings as plain values: what names its folder, and what ``config.json`` shows."""
    values = {key: value for key, value in recorded(settings).items() if key != "space"}
    space = {"name": settings.space.name, "settings": jsonable(settings.space.settings)}
    return {"settings": {**values, "space": space}}


def require_same(folder: Path, config: Mapping[str, Any]) -> None:
    """Refuse to continue another job than the one that began in this folder.

    Raises:
        SearchError: it has other settings or data, or the features' cache was deleted and fitted again since.
    """
    if not (folder / "config.json").exists():
        return
    before = read_record(folder / "config.json", ConfigShape)
    if before.get("codec") != config.get("codec"):
        raise SearchError(
            f"The search {folder} began on features that codec {before.get('codec')} stored, but the cache was fitted "
            f"again since (codec {config.get('codec')}); delete {folder} and call again to begin anew."
        )
    named = ("attribute", "values", "seed", "device", "settings")
    changed = [key for key in named if before.get(key) != config[key]]
    if before["data"]["digest"] != config["data"]["digest"]:
        changed.append("data")
    if changed and (folder / "history.jsonl").exists():
        raise SearchError(
            f"{folder} holds a search with another {' and '.join(changed)}; name another folder, or delete it and call "
            f"again to begin anew."
        )
