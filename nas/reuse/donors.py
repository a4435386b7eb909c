"""Finished stages of an attribute's other jobs, taken over into the folder of one that begins.

A search is copied with its history up to its checkpoint, a training with its record, a trial as its score; so the
folder of a job is whole by itself, the other stays as it is, and a kill at any moment leaves what a kill leaves anyway:
whatever is not taken yet is taken, or done, by the next call.
"""

import os
import shutil
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from torch import Tensor

from foundation.errors import UserError
from foundation.files import read_json_if_whole, replace_atomically, write_json
from foundation.history import read_history
from foundation.records import read_json
from nas.reuse.keys import keys_of
from trunk.checkpoints import load_checkpoint

CHECKPOINT = "search.safetensors"
CANDIDATES = "candidates.json"
LATENCY_MODEL = "latency_model.json"
TAKEN = "taken.json"  # which other job a search was taken from


class Kept(NamedTuple):
    """A training of another job: that job's folder, the tensors of its file, and its record."""

    job: str
    tensors: dict[str, Tensor]
    record: dict[str, Any]


class Donors:
    """Other jobs' folders, the one to ask first at the front, beside the ``config.json`` of the job that asks."""

    def __init__(self, folders: Sequence[Path] = (), config: Mapping[str, Any] | None = None) -> None:
        self.config = config
        self.configs = {folder: read_json_if_whole(folder / "config.json") for folder in folders}

    def of(self, stage: str, strategy: str | None = None) -> Iterator[Path]:
        """Folders in which this very stage was begun, or done; of a search, where its strategy was a rival too."""
        if not self.config:
            return
        wanted = keys_of(self.config, strategy)[stage]
        for folder, config in self.configs.items():
            try:
                own = strategy in (None, config["settings"]["strategy"])
                key = keys_of(config, strategy)[stage]
            except (LookupError, TypeError, AttributeError, ValueError):  # of an older kind, or damaged
                continue
            place = folder if own else folder / "rivals" / str(strategy)
            if key == wanted and place.is_dir():
                yield place

    def named(self) -> list[str]:
        """What there is to take, in words; of candidates and trainings at least some."""
        strategy = self.config["settings"]["strategy"] if self.config else ""
        found = {
            "the search": any((place / CHECKPOINT).exists() for place in self.of("search", strategy)),
            "trials": bool(self.trials()),
            "trainings": any(any(place.glob("trainings/*-[0-9]*.safetensors")) for place in self.of("training")),
            "the probe": any((place / "trainings" / "linear_probe.safetensors").exists() for place in self.of("probe")),
            "the tail": any((place / "trainings" / "tail.safetensors").exists() for place in self.of("tail")),
        }
        return [stage for stage, there in found.items() if there]

    def training(self, stage: str, name: str, fields: Mapping[str, Any]) -> Kept | None:
        """A finished training of this name, of the same architecture and bounds as this one's ``fields`` say."""
        for folder in self.of(stage):
            path = folder / "trainings" / f"{name}.safetensors"
            try:
                tensors, record = load_checkpoint(path) if path.exists() else ({}, {})
            except (UserError, OSError):  # damaged, or deleted meanwhile: it is trained again
                continue
            if tensors and all(record.get(key) == fields.get(key) for key in ("identity", "bounded")):
                return Kept(folder.name, tensors, record)
        return None

    def trials(self) -> dict[tuple[int, str], dict[str, Any]]:
        """(index, identity of the architecture) -> the record of a trial, of all strategies."""
        found: dict[tuple[int, str], dict[str, Any]] = {}
        for folder in self.of("trial"):
            for path in [*sorted(folder.glob("rivals/*/history.jsonl")), folder / "history.jsonl"]:
                try:
                    records = read_history(path)
                except (UserError, OSError):
                    continue
                trials = (record for record in records if record["kind"] == "candidate" and "epoch" in record)
                found |= {(trial["index"], trial["identity"]): {**trial, "taken_from": folder.name} for trial in trials}
        return found

    def take_search(self, folder: Path, strategy: str) -> None:
        """Copy what most was done of this search into ``folder``, unless that has begun by itself."""
        if (folder / CHECKPOINT).exists() or (folder / CANDIDATES).exists():
            return
        begun = []
        for place in self.of("search", strategy):
            try:
                begun.append((int(load_checkpoint(place / CHECKPOINT)[1]["epoch"]), place))
            except (UserError, OSError, LookupError, TypeError, ValueError):
                continue
        if not begun:
            return
        place = max(begun, key=lambda job: job[0])[1]
        ranked = place in set(self.of("candidates", strategy)) and (place / CANDIDATES).exists()
        try:
            copy_search(place, folder, ranked=ranked)
        except (UserError, OSError, LookupError, TypeError, ValueError):
            # It was deleted meanwhile, or its history is damaged: begin anew, from nothing.
            for name in (CHECKPOINT, CANDIDATES):
                (folder / name).unlink(missing_ok=True)


def copy_search(place: Path, folder: Path, *, ranked: bool) -> None:
    """Copy the history of a search, then its checkpoint and, if ``ranked``, its candidates.

    In this order, for a history without a checkpoint is cut off, and without candidates they are ranked anew.
    """
    folder.mkdir(parents=True, exist_ok=True)
    if (place / LATENCY_MODEL).exists():
        copied(place / LATENCY_MODEL, folder / LATENCY_MODEL)
    # The checkpoint first: a search that still runs writes its history ahead of it.
    copied(place / CHECKPOINT, folder / f"{CHECKPOINT}.taken")
    size = int(load_checkpoint(folder / f"{CHECKPOINT}.taken")[1]["history"])
    if ranked:
        size = int(read_json(place / CANDIDATES)["history"])
    history = place / "history.jsonl"
    with open(history, "rb") as file:
        records = file.read(size)
    if len(records) != size or (size and not records.endswith(b"\n")):
        raise ValueError(f"{history} is shorter than its checkpoint says")
    replace_atomically(folder / "history.jsonl", lambda temporary: temporary.write_bytes(records))
    read_history(folder / "history.jsonl")
    job = place.parents[1] if place.parent.name == "rivals" else place
    write_json(folder / TAKEN, {"search": job.name})
    os.replace(folder / f"{CHECKPOINT}.taken", folder / CHECKPOINT)
    if ranked:
        copied(place / CANDIDATES, folder / CANDIDATES)


def copied(source: Path, destination: Path) -> None:
    replace_atomically(destination, lambda temporary: shutil.copyfile(source, temporary))


def taken_over(folder: Path) -> dict[str, Any]:
    """What the job in ``folder`` took from which other one, for ``result.json``; nothing where it did all itself."""
    search = read_json_if_whole(folder / TAKEN).get("search")
    records = read_history(folder / "history.jsonl")
    counts = Counter(str(record["taken_from"]) for record in records if "taken_from" in record)
    taken = {**({"search": search} if search else {}), **({"trainings": dict(counts)} if counts else {})}
    return {"taken_over": taken} if taken else {}
