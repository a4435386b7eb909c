"""Splits of a project's sub-datasets that say none: by each image's content, or as the project drew them once.

They were drawn from the whole list once. What a project has searched or trained on so keeps that draw, or test images
would become train images under its results; every other attribute is split by content, and what was drawn is noted
below ``runs/splits`` whenever the attribute is used, so that it stays when images are added.
"""

import contextlib
from pathlib import Path
from typing import Any

from foundation.files import read_json_if_whole, write_json
from foundation.provenance import timestamp
from subdatasets.files.memory import memory_in
from subdatasets.reading.draws import Notes


def notes_of(runs: Path, attribute: str, *, keep: bool = True) -> Notes | None:
    """Where the splits of an attribute that says none are noted; None where they are drawn from the whole list.

    keep: whether this call is a use of it; what only looks notes nothing.
    """
    note = runs / "splits" / f"{attribute}.json"
    record = read_json_if_whole(note) if note.is_file() else {}
    if not note.is_file() and learnt_from(runs, attribute):
        return None

    def write(splits: dict[str, list[str]]) -> None:
        with contextlib.suppress(OSError):  # where nothing can be written, nothing is learnt either
            write_json(note, {**record, "splits": splits, "changed": timestamp()})

    return Notes(record, write if keep else None, memory_in(runs))


def learnt_from(runs: Path, attribute: str) -> bool:
    """Whether a search, a trunk, a label graph or a study below ``runs`` has learnt from an attribute."""
    searches = runs / "searches" / attribute
    if any(searches.glob("*/config.json")) or any(searches.glob("*/history.jsonl")):
        return True
    records = [*runs.glob("trunk/*/trunk.json"), *runs.glob("label_graph/*/result.json")]
    records += runs.glob("end_to_end/*/result.json")
    return any(_names(read_json_if_whole(record).get("data"), attribute) for record in records) or any(
        read_json_if_whole(record).get("attribute") == attribute for record in runs.glob("studies/*/study.json")
    )


def _names(data: Any, attribute: str) -> bool:
    return isinstance(data, dict) and attribute in data
