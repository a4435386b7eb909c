"""Read an exported branch or bundle and run its graphs: files, sessions, scores. Needs numpy and onnxruntime.

What is decided from the scores, and image files, are for `deployment.runtime.runtime`.
"""

import platform
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnxruntime

from deployment.errors import BundleError
from deployment.runtime.files import output_key, read_bundle, read_checked, read_contract, read_golden, read_labels

DEVICES = ("cpu", "cuda", "auto")
Floats = npt.NDArray[np.float32]


class Exported:
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
        self.changing = index is not None
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

    def session(self, path: Path) -> onnxruntime.InferenceSession:
        """The session of one ONNX file of this folder, opened once."""
        if path not in self._sessions:
            data = read_checked(path, *self._listed(path))
            self._sessions[path] = open_session(data, path, threads=self.threads, device=self.device)
        return self._sessions[path]

    def scores(self, features: Mapping[str, npt.ArrayLike]) -> dict[str, Floats]:
        """{attribute: features (N, C, H, W)} -> {attribute: scores (N, values)}."""
        result = {}
        for name, value in features.items():
            self._require(name)
            result[name] = self._run(self.branches[name] / "branch.onnx", np.asarray(value, np.float32), ["scores"])[0]
        return result

    def scores_of_images(self, images: Floats, attributes: Sequence[str] | None = None) -> dict[str, Floats]:
        """Normalised images (N, 3, H, W) -> {attribute: scores (N, values)}: the trunk once, then these branches.

        `attributes` None: all of them. Raises: BundleError for one that the folder does not hold.
        """
        names = tuple(self.branches) if attributes is None else tuple(attributes)
        for name in names:
            self._require(name)
        if not names:
            return {}
        if self.graph != "parts":
            return dict(zip(names, self._run(self._whole(), images, names), strict=True))
        outputs = {name: self.bundle["outputs"][output_key(self.contracts[name])] for name in names}
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
        """Normalised images (N, 3, H, W) -> the label graph's probabilities (N, labels), in its contract's order."""
        folder, contract = self.labels()
        output = self.bundle["outputs"][str(contract["freeze_depth"])]
        (features,) = self._run(self._trunk_file, images, [output])
        return self._run(folder / "label_graph.onnx", features, ["scores"])[0]

    def golden_images(self) -> Floats:
        """A bundle's golden images (N, 3, height, width). Raises: BundleError when they cannot be read."""
        return read_golden(self.folder / "golden.npz", ["images"])[0]

    def golden_scores(self, rows: int) -> dict[str, Floats]:
        """{attribute: scores (rows, values)} of the golden images: what each branch gave for their features."""
        return {name: read_golden(path / "golden.npz", ["scores"])[0][:rows] for name, path in self.branches.items()}

    def _require(self, name: str) -> None:
        if name not in self.branches:
            raise BundleError(f"there is no branch {name!r} in {self.folder}; there are {', '.join(self.branches)}")

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


def open_session(
    data: bytes, path: Path, *, threads: int = 0, device: str = "cpu", quiet: bool = True
) -> onnxruntime.InferenceSession:
    """A session of an ONNX file's bytes; `path` is only named in errors.

    The bytes are whole: weights beside the file are not read. `threads` 0 is onnxruntime's own choice. Raises:
    BundleError when the bytes are no ONNX model that this onnxruntime runs, or there is no such device.
    """
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4 if quiet else 3
    options.intra_op_num_threads = threads
    # A session's threads would go on spinning after a run, on the cores that the next session and the decoders need.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    try:
        session = onnxruntime.InferenceSession(data, options, providers=providers(device))
    except BundleError:
        raise
    except Exception as error:  # onnxruntime has an exception for every kind of broken model
        raise BundleError(f"{path} is no model that onnxruntime {onnxruntime.__version__} runs ({error})") from error
    if device == "cuda" and "CUDAExecutionProvider" not in session.get_providers():
        # onnxruntime only warns when the libraries of CUDA do not load, and computes on the CPU.
        raise BundleError(
            "onnxruntime cannot use its CUDA provider here (CUDA or cuDNN does not load): see its warning"
        )
    return session


def processor() -> str:
    """What this machine computes with, in words."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def providers(device: str) -> list[str]:
    """Execution providers for a device, the CPU last. Raises: BundleError when onnxruntime has no CUDA but must."""
    if device not in DEVICES:
        raise BundleError(f"the device must be one of {', '.join(DEVICES)}, is {device!r}")
    cuda = "CUDAExecutionProvider" in onnxruntime.get_available_providers()
    if device == "cuda" and not cuda:
        raise BundleError(
            "this onnxruntime has no CUDA provider: pip install onnxruntime-gpu in its place, or choose the device cpu"
        )
    return [*(["CUDAExecutionProvider"] if cuda and device != "cpu" else []), "CPUExecutionProvider"]
