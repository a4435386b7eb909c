"""An exported branch or bundle at work: read, verify, predict. Needs numpy, onnxruntime and Pillow, no torch."""

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnxruntime

from deployment.errors import BundleError
from deployment.images import read_normalised

FORMAT = 1
Floats = npt.NDArray[np.float32]


class Runtime:
    """One exported branch's folder, or a bundle's; a branch's trunk is looked for in the folder around it.

    `threads` per session, 0 for onnxruntime's own choice. Raises: BundleError when the folder is neither of them, or a
    record in it cannot be read.
    """

    def __init__(self, folder: Path | str, *, threads: int = 0) -> None:
        self.folder = Path(folder)
        self.threads = threads
        self._sessions: dict[Path, onnxruntime.InferenceSession] = {}
        if (self.folder / "bundle.json").is_file():
            self.bundle_folder: Path | None = self.folder
            self.branches = {name: self.folder / part["folder"] for name, part in self.bundle["branches"].items()}
        elif (self.folder / "branch.json").is_file():
            above = self.folder.resolve().parent
            self.bundle_folder = above if (above / "bundle.json").is_file() else None
            self.branches = {_read(self.folder / "branch.json")["attribute"]: self.folder}
        else:
            raise BundleError(f"{self.folder} holds no bundle.json and no branch.json: name an exported folder")
        self.contracts = {name: _read(path / "branch.json") for name, path in self.branches.items()}
        for name, contract in self.contracts.items():
            if "input" not in contract:
                raise BundleError(f"{self.branches[name]} is a branch that is not exported: export it first")

    @cached_property
    def bundle(self) -> dict[str, Any]:
        """The record `bundle.json`. Raises: BundleError when a lone branch has no trunk beside it."""
        if self.bundle_folder is None:
            raise BundleError(
                f"{self.folder} has no trunk beside it (no bundle.json in {self.folder.resolve().parent}), so it "
                f"cannot read images: export it as a bundle, or give features to scores()"
            )
        return _read(self.bundle_folder / "bundle.json")

    @property
    def _trunk_file(self) -> Path:
        return (self.bundle_folder or self.folder) / "trunk.onnx"

    def verify(self) -> list[dict[str, Any]]:
        """Check every file's SHA-256 and run the golden inputs again; of a bundle also from images to scores.

        One dict per branch, and before them one named "trunk" for a bundle: `branch`, `max_relative_error` (1.0 when
        nothing could be run), `ok`, and `problem` (a sentence, or None).
        """
        checks = [
            _verdict(name, self._problems(name), partial(self._golden_error, name), contract["tolerance"])
            for name, contract in self.contracts.items()
        ]
        if self.bundle_folder == self.folder:
            problems = _changed(self.folder, self.bundle["files"])
            checks.insert(0, _verdict("trunk", problems, self._golden_image_error, self.bundle["tolerance"]))
        return checks

    def scores(self, features: Mapping[str, npt.ArrayLike]) -> dict[str, Floats]:
        """{attribute: features (N, C, H, W)} -> {attribute: scores (N, values)}."""
        result = {}
        for name, value in features.items():
            self._require(name)
            result[name] = self._run(self.branches[name] / "branch.onnx", np.asarray(value, np.float32), ["scores"])[0]
        return result

    def scores_of_images(self, images: Floats, attributes: Sequence[str] | None = None) -> dict[str, Floats]:
        """Normalised images (N, 3, S, S) -> {attribute: scores (N, values)}: the trunk once, then these branches.

        `attributes` None: all of them. Raises: BundleError for one that the folder does not hold.
        """
        names = tuple(self.branches) if attributes is None else tuple(attributes)
        for name in names:
            self._require(name)
        if not names:
            return {}
        depths = {name: self.contracts[name]["freeze_depth"] for name in names}
        outputs = {name: self.bundle["outputs"][str(depth)] for name, depth in depths.items()}
        wanted = sorted(set(outputs.values()))
        maps = dict(zip(wanted, self._run(self._trunk_file, images, wanted), strict=True))
        return self.scores({name: maps[output] for name, output in outputs.items()})

    def predict(
        self, images: Sequence[Path | str], *, attributes: Sequence[str] | None = None, batch_size: int = 16
    ) -> list[dict[str, Any]]:
        """One dict per image file, in order: `image` (its path) and `attributes`, {name: {value, scores, threshold}}.

        `scores` is {value: probability}; `value` the predicted one: of two values the second when its score reaches the
        threshold, of more the one with the highest score. `attributes` None: all of them. Raises: BundleError naming an
        image that cannot be read, or an attribute that the folder does not hold.
        """
        self._require_trunk()
        rows = []
        for start in range(0, len(images), batch_size):
            paths = [Path(path) for path in images[start : start + batch_size]]
            batch = np.stack([read_normalised(path, self.bundle["preprocessing"]) for path in paths])
            scores = self.scores_of_images(batch, attributes)
            rows += [
                {
                    "image": str(path),
                    "attributes": {name: self.decide(name, table[number]) for name, table in scores.items()},
                }
                for number, path in enumerate(paths)
            ]
        return rows

    def _require(self, name: str) -> None:
        if name not in self.branches:
            raise BundleError(f"there is no branch {name!r} in {self.folder}; there are {', '.join(self.branches)}")

    def _require_trunk(self) -> None:
        for name, contract in self.contracts.items():
            if contract["fingerprint"] != self.bundle["fingerprint"]:
                raise BundleError(
                    f"branch {name!r} belongs to trunk {contract['fingerprint']}, the trunk beside it is "
                    f"{self.bundle['fingerprint']}: export them together again"
                )

    def decide(self, name: str, scores: Floats) -> dict[str, Any]:
        """One image's scores (values,) of an attribute -> `value`, `scores`, `threshold` as in `predict`."""
        values, threshold = self.contracts[name]["values"], self.contracts[name]["threshold"]
        positive = len(values) == 2 and float(scores[1]) >= (0.5 if threshold is None else threshold)
        chosen = int(positive) if len(values) == 2 else int(scores.argmax())
        table = {value: float(score) for value, score in zip(values, scores, strict=True)}
        return {"value": values[chosen], "scores": table, "threshold": threshold}

    def _problems(self, name: str) -> list[str]:
        problems = _changed(self.branches[name], self.contracts[name]["files"])
        if self.bundle_folder is not None:
            listed = self.bundle["branches"].get(name, {}).get("files", {})
            problems += [text for text in _changed(self.branches[name], listed) if text not in problems]
            if not listed:
                problems.append(f"bundle.json does not list {name!r}")
            if self.contracts[name]["fingerprint"] != self.bundle["fingerprint"]:
                problems.append(f"branch {name!r} belongs to another trunk than the one beside it")
        return problems

    def _golden_error(self, name: str) -> float:
        with np.load(self.branches[name] / "golden.npz") as golden:
            return _relative_error(self.scores({name: golden["features"]})[name], golden["scores"])

    def _golden_image_error(self) -> float:
        with np.load(self.folder / "golden.npz") as golden:
            found = self.scores_of_images(golden["images"])
            return max(_relative_error(found[name], golden[f"scores{i}"]) for i, name in enumerate(self.branches))

    def _run(self, path: Path, inputs: Floats, outputs: Sequence[str]) -> list[Floats]:
        if path not in self._sessions:
            if not path.is_file():
                raise BundleError(f"{path} is missing: export the bundle again")
            options = onnxruntime.SessionOptions()
            options.log_severity_level = 3
            options.intra_op_num_threads = self.threads
            self._sessions[path] = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        session = self._sessions[path]
        result: list[Floats] = session.run(list(outputs), {session.get_inputs()[0].name: inputs})
        return result


def _read(path: Path) -> dict[str, Any]:
    try:
        record: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise BundleError(f"{path} cannot be read ({error}): export it again") from error
    if record.get("format", FORMAT) != FORMAT:
        raise BundleError(f"{path} has format {record['format']}, this runtime reads {FORMAT}: use a matching version")
    return record


def _changed(folder: Path, hashes: Mapping[str, str]) -> list[str]:
    """A sentence per file that is missing or whose SHA-256 is another one."""
    problems = []
    for name, expected in hashes.items():
        path = folder / name
        if not path.is_file():
            problems.append(f"{path} is missing")
        elif hashlib.sha256(path.read_bytes()).hexdigest() != expected:
            problems.append(f"{path} changed since it was exported")
    return problems


def _verdict(name: str, problems: list[str], measure: Callable[[], float], limit: float) -> dict[str, Any]:
    error = 1.0
    try:
        error = measure()
    except Exception as failure:  # a damaged file fails in whichever way its reader does
        problems = problems or [f"{name} cannot be run ({failure})"]
    if not error <= limit and not problems:
        problems = [f"{name} does not give its golden outputs (relative error {error:.2g}, at most {limit:.2g})"]
    return {"branch": name, "max_relative_error": error, "ok": not problems, "problem": "; ".join(problems) or None}


def _relative_error(found: Floats, expected: Floats) -> float:
    """The largest |found - expected| / |expected|; tiny scores are compared absolutely, at 1e-3."""
    if found.shape != expected.shape or not np.isfinite(found).all():
        return 1.0
    return float((np.abs(found - expected) / np.maximum(np.abs(expected), 1e-3)).max())
