"""An exported branch or bundle at work: images or features in, scores out. Needs numpy and onnxruntime, no torch.

Reading image files needs Pillow beside them.
"""

from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnxruntime

from deployment.errors import BundleError
from deployment.runtime.calibrated import calibrated
from deployment.runtime.checks import bundle_checks
from deployment.runtime.contents import read_checked
from deployment.runtime.files import read_bundle, read_contract, read_labels
from deployment.runtime.sessions import open_session

Floats = npt.NDArray[np.float32]


class Runtime:
    """One exported branch's folder, or a bundle's; a branch's trunk is looked for in the folder around it.

    `threads` per session, 0 for onnxruntime's own choice; `device` "cpu", "cuda", or "auto", the latter when there is
    one. `graph`: "parts" runs the trunk and then the branches that are asked for, "joined" or the name of a variant one
    graph of all of them. `index` stands for the bundle.json that is there. A file is read when it is first needed, and
    never run when its SHA-256 is not the one listed. Raises: BundleError when the folder is neither of them, a record
    in it cannot be read, or there is no such device.
    """

    def __init__(
        self,
        folder: Path | str,
        *,
        threads: int = 0,
        device: str = "cpu",
        graph: str = "parts",
        index: dict[str, Any] | None = None,
    ) -> None:
        self.graph = graph
        self.folder = Path(folder)
        self._index = index
        self.threads = threads
        self.device = device
        self._sessions: dict[Path, onnxruntime.InferenceSession] = {}
        if (self.folder / "bundle.json").is_file():
            self.bundle_folder: Path | None = self.folder
            self.branches = {name: self.folder / part["folder"] for name, part in self.bundle["branches"].items()}
        elif (self.folder / "branch.json").is_file():
            above = self.folder.resolve().parent
            self.bundle_folder = above if (above / "bundle.json").is_file() else None
            self.branches = {read_contract(self.folder)["attribute"]: self.folder}
        else:
            raise BundleError(f"{self.folder} holds no bundle.json and no branch.json: name an exported folder")
        self.contracts = {name: read_contract(path) for name, path in self.branches.items()}
        for name, contract in self.contracts.items():
            if contract["attribute"] != name:
                raise BundleError(
                    f"{self.branches[name]} is branch {contract['attribute']!r}, not {name!r}: export again"
                )

    @cached_property
    def bundle(self) -> dict[str, Any]:
        """The record `bundle.json`. Raises: BundleError when a lone branch has no trunk beside it."""
        if self.bundle_folder is None:
            raise BundleError(
                f"{self.folder} has no trunk beside it (no bundle.json in {self.folder.resolve().parent}), so it "
                f"cannot read images: export it as a bundle, or give features to scores()"
            )
        return read_bundle(self.bundle_folder) if self._index is None else self._index

    def verify(self) -> list[dict[str, Any]]:
        """Check every file's SHA-256 and run the golden inputs again; of a bundle also from images to scores.

        One dict per branch, and before them one named "trunk" for a bundle, after them one per joined graph: `branch`,
        `max_relative_error` (1.0 when nothing could be run), `ok`, and `problem` (a sentence, or None).
        """
        return bundle_checks(self)

    def load(self, attributes: Sequence[str] | None = None) -> None:
        """Read what `scores_of_images` needs for these attributes (None: all) now rather than at first use."""
        if self.graph != "parts":
            self.session(self._whole())
            return
        if self.bundle_folder is not None:
            self.session(self.bundle_folder / "trunk.onnx")
        for name in self.branches if attributes is None else attributes:
            self._require(name)
            self.session(self.branches[name] / "branch.onnx")

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
        if self.graph != "parts":
            found = self._run(self._whole(), images, names)
            return dict(zip(names, found, strict=True))
        depths = {name: self.contracts[name]["freeze_depth"] for name in names}
        outputs = {name: self.bundle["outputs"][str(depth)] for name, depth in depths.items()}
        wanted = sorted(set(outputs.values()))
        maps = dict(zip(wanted, self._run(self._trunk_file, images, wanted), strict=True))
        return self.scores({name: maps[output] for name, output in outputs.items()})

    def labels(self) -> tuple[Path, dict[str, Any]]:
        """The bundle's label graph: its folder and its contract. Raises: BundleError when it has none."""
        if not self.bundle.get("label_graph"):
            raise BundleError(f"{self.folder} has no label graph: put one in with graftnet bundle labels")
        folder = (self.bundle_folder or self.folder) / self.bundle["label_graph"]["folder"]
        return folder, read_labels(folder)

    def label_scores_of_images(self, images: Floats) -> Floats:
        """Normalised images (N, 3, S, S) -> the label graph's probabilities (N, labels), in its contract's order."""
        folder, contract = self.labels()
        output = self.bundle["outputs"][str(contract["freeze_depth"])]
        (features,) = self._run(self._trunk_file, images, [output])
        return self._run(folder / "label_graph.onnx", features, ["scores"])[0]

    def predict(
        self, images: Sequence[Path | str], *, attributes: Sequence[str] | None = None, batch_size: int = 16
    ) -> list[dict[str, Any]]:
        """One dict per image file: `image` (its path), `attributes`: {name: {value, scores, threshold, calibrated}}.

        `scores` is {value: probability}, and so is `calibrated`, None for a branch without a calibration; `value` is
        the predicted one: of two values the second when its score reaches the threshold, of more the one with the
        highest score. `attributes` None: all of them. Raises: BundleError naming an image that cannot be read, or an
        attribute that the folder does not hold.
        """
        try:
            from deployment.runtime.images import read_normalised
        except ImportError as error:
            raise BundleError("reading image files needs Pillow: pip install pillow") from error

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
        """Scores (values,) of one image -> `value`, `scores`, `threshold` and `calibrated`, as in `predict`."""
        values, threshold = self.contracts[name]["values"], self.contracts[name]["threshold"]
        positive = len(values) == 2 and float(scores[1]) >= (0.5 if threshold is None else threshold)
        chosen = int(positive) if len(values) == 2 else int(scores.argmax())
        table = dict(zip(values, map(float, scores), strict=True))
        found = calibrated(self.contracts[name].get("calibration"), scores[None])
        shown = None if found is None else dict(zip(values, found[0].tolist(), strict=True))
        return {"value": values[chosen], "scores": table, "threshold": threshold, "calibrated": shown}

    @property
    def _trunk_file(self) -> Path:
        assert self.bundle_folder is not None
        return self.bundle_folder / "trunk.onnx"

    def _wholes(self) -> dict[str, dict[str, Any]]:
        """The graphs from images to all scores that the index lists, by name."""
        joined = self.bundle.get("joined")
        return {**({"joined": joined} if joined else {}), **self.bundle.get("variants", {})}

    def _whole(self) -> Path:
        wholes = self._wholes()
        if self.graph not in wholes:
            raise BundleError(
                f"{self.folder} has no graph {self.graph!r} but {', '.join(['parts', *wholes])}: name one of those"
            )
        return (self.bundle_folder or self.folder) / str(wholes[self.graph]["file"])

    def _run(self, path: Path, inputs: Floats, outputs: Sequence[str]) -> list[Floats]:
        session = self.session(path)
        result: list[Floats] = session.run(list(outputs), {session.get_inputs()[0].name: inputs})
        return result

    def session(self, path: Path) -> onnxruntime.InferenceSession:
        """The session of one ONNX file of this folder, opened once."""
        if path not in self._sessions:
            data = read_checked(path, *self._listed(path))
            self._sessions[path] = open_session(data, path, threads=self.threads, device=self.device)
        return self._sessions[path]

    def _listed(self, path: Path) -> list[str]:
        """The SHA-256 that this file may have."""
        for name, folder in self.branches.items():
            if path.parent == folder:
                files = self.contracts[name]["files"]
                break
        else:
            if path.parent == self.bundle_folder:
                files = self.bundle["files"] | {part["file"]: part["sha256"] for part in self._wholes().values()}
            else:
                files = self.bundle["label_graph"]["files"]
        if path.name not in files:
            raise BundleError(f"{path} is not listed in the record beside it: export the bundle again")
        return [files[path.name]]
