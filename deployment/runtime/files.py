"""The records of an exported folder, `bundle.json` and `branch.json`, read with distrust.

A bundle may come from anywhere. No name in a record leads out of the folder, and no number is taken that could not be
one; what lies in the files is for `deployment.runtime.contents`.
"""

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from deployment.errors import BundleError
from deployment.runtime.contents import is_hash, is_plain_name

FORMAT = 1
RECORD_BYTES = 2**24
LARGEST_SIDE = 8192
LOOSEST = 0.1
LABEL_GRAPH = "label_graph"


def read_record(path: Path) -> dict[str, Any]:
    """A JSON object of this format. Raises: BundleError for another one, a symlink, or a file that cannot be read."""
    try:
        if path.is_symlink() or path.stat().st_size > RECORD_BYTES:
            raise ValueError(f"a link, or more than {RECORD_BYTES} bytes")
        record = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(record, dict):
            raise ValueError("not a JSON object")
    except (OSError, ValueError, RecursionError) as error:
        raise BundleError(f"{path} cannot be read ({error}): export it again") from error
    if record.get("format", FORMAT) != FORMAT:
        raise BundleError(f"{path} has format {record['format']}, this runtime reads {FORMAT}: use a matching version")
    return record


def read_bundle(folder: Path) -> dict[str, Any]:
    """`bundle.json`, checked. Raises: BundleError naming the entry that cannot be."""
    path = folder / "bundle.json"
    record = read_record(path)
    try:
        _require(isinstance(record["fingerprint"], str), "fingerprint", record["fingerprint"])
        _require_preprocessing(record["preprocessing"])
        for depth, output in record["outputs"].items():
            _require(depth.isdecimal() and isinstance(output, str), "outputs", depth)
        _require_shared(record)
        for name, part in record["branches"].items():
            for word in (name, part["folder"]):
                _require(is_plain_name(word), "branch or folder", word)
            _require_question(part)
            _require_hashes(part["files"])
            _require(str(part["freeze_depth"]) in record["outputs"], "freeze_depth", part["freeze_depth"])
        for graph in _graphs(record):
            _require(is_plain_name(graph["file"]), "file", graph["file"])
            _require(is_hash(graph["sha256"]) and is_hash(graph.get("replaces", graph["sha256"])), "sha256", graph)
        if record.get("label_graph") is not None:
            _require(is_plain_name(record["label_graph"]["folder"]), "folder", record["label_graph"]["folder"])
            _require_hashes(record["label_graph"]["files"])
    except (KeyError, TypeError, AttributeError, ValueError, OverflowError) as error:
        raise BundleError(f"{path} is no record of a bundle ({error!s}): export it again") from error
    return record


def read_contract(folder: Path) -> dict[str, Any]:
    """An exported `branch.json`, checked. Raises: BundleError naming the entry that cannot be."""
    path = folder / "branch.json"
    record = read_record(path)
    if "input" not in record:
        raise BundleError(f"{folder} is a branch that is not exported: export it first")
    try:
        _require(is_plain_name(record["attribute"]), "attribute", record["attribute"])
        _require(isinstance(record["fingerprint"], str), "fingerprint", record["fingerprint"])
        _require_question(record)
        _require_shared(record)
        shape = record["input"]["shape"]
        _require(len(shape) == 4 and all(_is_size(side) for side in shape[1:]), "input shape", shape)
        _require(record["output"]["shape"][1:] == [len(record["values"])], "output shape", record["output"]["shape"])
    except (KeyError, TypeError, AttributeError, ValueError, OverflowError) as error:
        raise BundleError(f"{path} is no record of a branch ({error!s}): export it again") from error
    return record


def read_labels(folder: Path) -> dict[str, Any]:
    """An exported `label_graph.json`, checked. Raises: BundleError naming the entry that cannot be."""
    path = folder / f"{LABEL_GRAPH}.json"
    record = read_record(path)
    try:
        _require(isinstance(record["fingerprint"], str), "fingerprint", record["fingerprint"])
        _require(_is_size(record["freeze_depth"]), "freeze_depth", record["freeze_depth"])
        _require_shared(record)
        labels = record["labels"]
        _require(bool(labels) and all(isinstance(label["name"], str) for label in labels), "labels", labels)
        _require(all(is_finite(one) and 0 <= one <= 1 for one in record["thresholds"]), "threshold", "of a label")
        _require(len(record["thresholds"]) == len(labels), "number of thresholds", len(record["thresholds"]))
        _require(record["output"]["shape"][1:] == [len(labels)], "output shape", record["output"]["shape"])
        _require(len(record["input"]["shape"]) == 4, "input shape", record["input"]["shape"])
    except (KeyError, TypeError, AttributeError, ValueError, OverflowError) as error:
        raise BundleError(f"{path} is no record of a label graph ({error!s}): export it again") from error
    return record


def _require(holds: bool, what: str, value: object) -> None:
    if not holds:
        raise ValueError(f"{what} cannot be {str(value)[:80]!r}")


def _require_shared(record: Mapping[str, Any]) -> None:
    _require(is_finite(record["tolerance"]) and 0 < record["tolerance"] <= LOOSEST, "tolerance", record["tolerance"])
    _require_hashes(record["files"])


def _require_hashes(files: Mapping[str, str]) -> None:
    for name, expected in files.items():
        _require(is_plain_name(name) and is_hash(expected), "file", name)


def _require_question(part: Mapping[str, Any]) -> None:
    """Values, threshold and place of a branch."""
    values, threshold = part["values"], part["threshold"]
    _require(isinstance(values, list) and all(isinstance(value, str) for value in values), "values", values)
    _require(len(values) == len(set(values)) >= 2, "values", values)
    _require(threshold is None or (is_finite(threshold) and 0 <= threshold <= 1), "threshold", threshold)
    _require(_is_size(part["freeze_depth"]), "freeze_depth", part["freeze_depth"])


def _require_preprocessing(record: Mapping[str, Any]) -> None:
    _require(_is_size(record["size"]), "image size", record["size"])
    _require(record["interpolation"] in ("bilinear", "bicubic"), "interpolation", record["interpolation"])
    for key, lowest in (("mean", -math.inf), ("std", 0.0)):
        numbers = record[key]
        _require(len(numbers) == 3 and all(is_finite(one) and one > lowest for one in numbers), key, numbers)


def _graphs(record: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    joined = record.get("joined")
    return [*([joined] if joined else []), *record.get("variants", {}).values()]


def is_finite(value: object) -> bool:
    """Whether it is a finite number (true and false are none)."""
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _is_size(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 < value <= LARGEST_SIDE
