"""Read the files of an exported folder with distrust: records, names, SHA-256, golden arrays.

A bundle may come from anywhere. No name in a record leads out of the folder, no symlink is followed, no number is taken
that could not be one, no array is unpickled.
"""

import hashlib
import json
import math
import re
import zipfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from deployment.calibration import require_calibration
from deployment.errors import BundleError

FORMAT = 1
RECORD_BYTES = 2**24
GOLDEN_BYTES = 2**31
LARGEST_SIDE = 8192
LOOSEST = 0.1
LABEL_GRAPH = "label_graph"
CARD = "card.md"
SHA256 = re.compile(r"[0-9a-f]{64}")
# Left by whoever imports a branch.py, where Python may write there.
PYCACHE = "__pycache__"
# What a change of the bundle writes beside the files it lists, and leaves when it is killed: the next one clears it.
LEFTOVERS = (".*.part", ".graftnet.onnx.*")
# Names what a change under way may leave unlisted; gone when it has ended.
CHANGE = ".graftnet.change"
# All that the folder of an exported branch may hold.
BRANCH_FILES = ("branch.json", "branch.py", "weights.safetensors", "branch.onnx", "golden.npz", CARD)


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
    with _of_a("bundle", path):
        _require(isinstance(record["fingerprint"], str), "fingerprint", record["fingerprint"])
        _require_preprocessing(record["preprocessing"])
        for depth, output in record["outputs"].items():
            _require(all(map(str.isdecimal, depth.split("+"))) and isinstance(output, str), "outputs", depth)
        _require_shared(record)
        for name, part in record["branches"].items():
            for word in (name, part["folder"]):
                _require(is_plain_name(word), "branch or folder", word)
            _require_question(part)
            _require_hashes(part["files"])
            _require(output_key(part) in record["outputs"], "freeze_depth", part["freeze_depth"])
        for graph in _graphs(record):
            _require(is_plain_name(graph["file"]), "file", graph["file"])
            _require(is_hash(graph["sha256"]) and is_hash(graph.get("replaces", graph["sha256"])), "sha256", graph)
        if record.get("label_graph") is not None:
            _require(is_plain_name(record["label_graph"]["folder"]), "folder", record["label_graph"]["folder"])
            _require_hashes(record["label_graph"]["files"])
    return record


def read_contract(folder: Path) -> dict[str, Any]:
    """An exported `branch.json`, checked. Raises: BundleError naming the entry that cannot be."""
    path = folder / "branch.json"
    record = read_record(path)
    if "input" not in record:
        raise BundleError(f"{folder} is a branch that is not exported: export it first")
    with _of_a("branch", path):
        _require(is_plain_name(record["attribute"]), "attribute", record["attribute"])
        _require(isinstance(record["fingerprint"], str), "fingerprint", record["fingerprint"])
        _require_question(record)
        _require_shared(record)
        shape = record["input"]["shape"]
        _require(len(shape) == 4 and all(_is_size(side) for side in shape[1:]), "input shape", shape)
        _require(record["output"]["shape"][1:] == [len(record["values"])], "output shape", record["output"]["shape"])
        if record.get("calibration") is not None:
            require_calibration(record["calibration"], len(record["values"]))
    return record


def read_labels(folder: Path) -> dict[str, Any]:
    """An exported `label_graph.json`, checked. Raises: BundleError naming the entry that cannot be."""
    path = folder / f"{LABEL_GRAPH}.json"
    record = read_record(path)
    with _of_a("label graph", path):
        _require(isinstance(record["fingerprint"], str), "fingerprint", record["fingerprint"])
        _require(_is_size(record["freeze_depth"]), "freeze_depth", record["freeze_depth"])
        _require_shared(record)
        labels = record["labels"]
        _require(bool(labels) and all(isinstance(label["name"], str) for label in labels), "labels", labels)
        limits = record["thresholds"]
        _require(all(is_finite(limit) and 0 <= limit <= 1 for limit in limits), "threshold", "of a label")
        _require(len(limits) == len(labels), "number of thresholds", len(limits))
        _require(record["output"]["shape"][1:] == [len(labels)], "output shape", record["output"]["shape"])
        _require(len(record["input"]["shape"]) == 4, "input shape", record["input"]["shape"])
    return record


@contextmanager
def _of_a(kind: str, path: Path) -> Iterator[None]:
    """What a record lacks, or cannot be, as one sentence."""
    try:
        yield
    except (KeyError, TypeError, AttributeError, ValueError, OverflowError) as error:
        raise BundleError(f"{path} is no record of a {kind} ({error!s}): export it again") from error


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
    sources = part.get("sources", [])
    _require(isinstance(sources, list) and all(map(_is_size, sources)), "sources", sources)


def output_key(part: Mapping[str, Any]) -> str:
    """The trunk's output that a branch reads, by its key in `outputs`: its depth, and behind it its sources.

    >>> output_key({"freeze_depth": 6}), output_key({"freeze_depth": 3, "sources": [1, 2]})
    ('6', '3+1+2')
    """
    return "+".join(map(str, [part["freeze_depth"], *part.get("sources", [])]))


def _require_preprocessing(record: Mapping[str, Any]) -> None:
    size = record["size"]
    sides = size if isinstance(size, list) and len(size) == 2 else [size]
    _require(all(_is_size(side) for side in sides), "image size", size)
    _require(record.get("fit", "squash") in ("squash", "crop", "pad"), "fit", record.get("fit"))
    crop = record.get("crop", 1.0)
    _require(is_finite(crop) and 0 < crop <= 1, "crop", crop)
    _require(record.get("decoding", "full") in ("full", "scaled"), "decoding", record.get("decoding"))
    _require(record["interpolation"] in ("bilinear", "bicubic"), "interpolation", record["interpolation"])
    for key, lowest in (("mean", -math.inf), ("std", 0.0)):
        numbers = record[key]
        _require(len(numbers) == 3 and all(is_finite(number) and number > lowest for number in numbers), key, numbers)
    white = record.get("white")
    _require(white is None or (type(white) is int and 0 < white < 2**31), "white", white)


def shape_of(preprocessing: Mapping[str, Any]) -> tuple[int, int]:
    """(height, width) that the trunk reads."""
    size = preprocessing["size"]
    return (size, size) if isinstance(size, int) else (size[0], size[1])


def _graphs(record: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    joined = record.get("joined")
    return [*([joined] if joined else []), *record.get("variants", {}).values()]


def is_finite(value: object) -> bool:
    """Whether it is a finite number (true and false are none)."""
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _is_size(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 < value <= LARGEST_SIDE


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
        problems += not_listed(folder, hashes.keys())
    return problems


def not_listed(folder: Path, known: Iterable[str]) -> list[str]:
    """A sentence per file, folder or link that is none of these."""
    extra = sorted({path.name for path in folder.iterdir()} - set(known))
    why = {PYCACHE: " (Python makes it where a branch.py is imported without -B: delete it)"}
    return [f"{folder / name} is not listed{why.get(name, '')}" for name in extra]


def listed_in(index: Mapping[str, Any]) -> set[str]:
    """The names of all files and folders of a bundle, by its index."""
    parts = [*index["branches"].values(), *([index["label_graph"]] if index.get("label_graph") else [])]
    folders, graphs = (part["folder"] for part in parts), (graph["file"] for graph in _graphs(index))
    return {"bundle.json", *index["files"], *folders, *graphs}


def left_by_change(bundle: Path) -> set[str]:
    """Names that a change which was cut short may have left unlisted; none where no change is under way."""
    path = bundle / CHANGE
    if path.is_symlink() or not path.is_file():
        return set()
    names = read_record(path).get("names")
    if not isinstance(names, list) or not all(map(is_plain_name, names)):
        raise BundleError(f"{path} lists no names: delete it")
    return set(names)


def unlisted(bundle: Path, known: Iterable[str]) -> list[str]:
    """A sentence per file or folder of a bundle that is none of these, nor left by a change that was cut short."""
    left = {path.name for path in bundle.iterdir() if _may_be_left(path, left_by_change(bundle))}
    return not_listed(bundle, {*known, *left})


def _may_be_left(path: Path, announced: set[str]) -> bool:
    """Whether a killed change may have left it: its note, or while that is there what it names, as it writes it.

    A note may be anybody's: it covers graphs and the files of branches, and nothing that could be something else.
    """
    if path.is_symlink():
        return False
    if path.name == CHANGE or fnmatchcase(path.name, f".{CHANGE}.*.part"):
        return path.is_file()
    if not announced or not (path.name in announced or any(fnmatchcase(path.name, pattern) for pattern in LEFTOVERS)):
        return False
    if path.is_file():
        return path.suffix in (".onnx", ".part") or path.name.startswith(".graftnet.onnx.")
    files = [part for part in path.rglob("*") if part.is_symlink() or not part.is_dir()]
    patterns = [form for name in BRANCH_FILES for form in (name, f".{name}.*.part")]
    return all(
        file.is_file() and not file.is_symlink() and any(fnmatchcase(file.name, pattern) for pattern in patterns)
        for file in files
    )


def read_golden(path: Path, names: Sequence[str]) -> list[npt.NDArray[np.float32]]:
    """Finite float32 arrays of an `.npz` file. Raises: BundleError for anything else, pickles above all."""
    try:
        with zipfile.ZipFile(path) as archive:
            parts = archive.infolist()
        if sum(part.file_size for part in parts) > GOLDEN_BYTES or any(part.compress_type for part in parts):
            raise ValueError(f"compressed, or more than {GOLDEN_BYTES} bytes")
        with np.load(path, allow_pickle=False) as golden:
            arrays = [golden[name] for name in names]
    except Exception as error:  # numpy reads headers as Python's literals, zipfile whatever a file says: any of theirs
        raise BundleError(f"{path} holds no golden {' and '.join(names)} ({error}): export it again") from error
    for name, array in zip(names, arrays, strict=True):
        if array.dtype != np.float32 or not array.size or not np.isfinite(array).all():
            raise BundleError(f"{path}: {name} must be finite float32 numbers, is {array.dtype} {array.shape}")
    return arrays
