"""`verify`: every SHA-256, the shape and type of every graph, fingerprints, and the golden inputs run again."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import onnxruntime

from deployment.errors import BundleError
from deployment.runtime.contents import changed, read_checked, read_golden
from deployment.runtime.sessions import open_session

if TYPE_CHECKING:
    from deployment.runtime.runtime import Runtime

Floats = npt.NDArray[np.float32]
Verdict = dict[str, Any]


def bundle_checks(runtime: "Runtime") -> list[Verdict]:
    """One verdict per branch; of a whole bundle the trunk's before them, those of its joined graphs after them."""
    checks = [
        verdict(name, _branch_problems(runtime, name), partial(_branch_error, runtime, name), contract["tolerance"])
        for name, contract in runtime.contracts.items()
    ]
    if runtime.bundle_folder != runtime.folder:
        return checks
    bundle = runtime.bundle
    trunk = partial(_image_error, runtime)
    checks.insert(0, verdict("trunk", changed(runtime.folder, bundle["files"]), trunk, bundle["tolerance"]))
    if bundle.get("label_graph"):
        part = bundle["label_graph"]
        problems = changed(runtime.folder / part["folder"], part["files"], whole=True)
        checks.append(verdict("label graph", problems, partial(_labels_error, runtime), bundle["tolerance"]))
    if bundle.get("joined"):
        checks.append(graph_check(runtime, "joined", bundle["joined"], bundle["tolerance"]))
    for name, part in bundle.get("variants", {}).items():
        checks.append(graph_check(runtime, name, part, part["tolerance"]))
    return checks


def verdict(name: str, problems: Sequence[str], measure: Callable[[], float], limit: float) -> Verdict:
    """What was found of one part; `measure` is called whatever the problems are, and may fail."""
    error, found = 1.0, list(problems)
    try:
        error = measure()
    except Exception as failure:  # a damaged file fails in whichever way its reader does
        found = found or [f"{name} cannot be run ({failure})"]
    if not error <= limit and not found:
        found = [f"{name} does not give its golden outputs (relative error {error:.2g}, at most {limit:.2g})"]
    return {"branch": name, "max_relative_error": error, "ok": not found, "problem": "; ".join(found) or None}


def relative_error(found: Floats, expected: Floats) -> float:
    """The largest |found - expected| / |expected|; tiny scores are compared absolutely, at 1e-3."""
    if found.shape != expected.shape or not np.isfinite(found).all():
        return 1.0
    return float((np.abs(found - expected) / np.maximum(np.abs(expected), 1e-3)).max())


def golden_scores(runtime: "Runtime", rows: int) -> dict[str, Floats]:
    """{attribute: scores (rows, values)} of a bundle's golden images: what each branch gave for their features."""
    return {name: read_golden(folder / "golden.npz", ["scores"])[0][:rows] for name, folder in runtime.branches.items()}


def graph_check(runtime: "Runtime", name: str, part: Mapping[str, Any], limit: float) -> Verdict:
    """The verdict on one graph that goes from images to every attribute's scores."""
    accepted = [part[key] for key in ("sha256", "replaces") if key in part]
    path = runtime.folder / part["file"]

    def measure() -> float:
        session = open_session(read_checked(path, *accepted), path, threads=runtime.threads, device=runtime.device)
        images = read_golden(runtime.folder / "golden.npz", ["images"])[0]
        expected = _own_golden(part) or golden_scores(runtime, len(images))
        found = session.run(list(expected), {session.get_inputs()[0].name: images})
        return max(relative_error(one, other) for one, other in zip(found, expected.values(), strict=True))

    # A change of the bundle was cut short between its index and this graph: the branches hold, the graph is put aside.
    behind = "replaces" in part and path.is_file() and not changed(path.parent, {path.name: part["replaces"]})
    if behind:
        return {"branch": name, "max_relative_error": 0.0, "ok": True, "problem": None}
    return verdict(name, changed(runtime.folder, {path.name: part["sha256"]}), measure, limit)


def _own_golden(part: Mapping[str, Any]) -> dict[str, Floats]:
    """A variant's golden scores are its own: integers give others than the branches do."""
    return {name: np.asarray(scores, np.float32) for name, scores in part.get("golden", {}).items()}


def _branch_problems(runtime: "Runtime", name: str) -> list[str]:
    folder, contract = runtime.branches[name], runtime.contracts[name]
    problems = changed(folder, contract["files"])
    if runtime.bundle_folder is not None:
        listed = runtime.bundle["branches"].get(name)
        if listed is None:
            return [*problems, f"bundle.json does not list {name!r}"]
        problems += [text for text in changed(folder, listed["files"], whole=True) if text not in problems]
        if contract["fingerprint"] != runtime.bundle["fingerprint"]:
            problems.append(f"branch {name!r} belongs to another trunk than the one beside it")
        for key in ("values", "threshold", "freeze_depth"):
            if contract[key] != listed[key]:
                problems.append(f"bundle.json and branch.json of {name!r} do not agree on its {key}")
    return problems


def _branch_error(runtime: "Runtime", name: str) -> float:
    contract = runtime.contracts[name]
    path = runtime.branches[name] / "branch.onnx"
    _require_contract(runtime.session(path), contract, path)
    features, scores = read_golden(runtime.branches[name] / "golden.npz", ["features", "scores"])
    return relative_error(runtime.scores({name: features})[name], scores)


def _labels_error(runtime: "Runtime") -> float:
    """The label graph on its golden features, after its place behind the trunk."""
    folder, contract = runtime.labels()
    if contract["fingerprint"] != runtime.bundle["fingerprint"]:
        raise BundleError("the label graph belongs to another trunk than the one beside it")
    session = runtime.session(folder / "label_graph.onnx")
    _require_contract(session, contract, folder / "label_graph.onnx")
    features, scores = read_golden(folder / "golden.npz", ["features", "scores"])
    return relative_error(session.run(["scores"], {"features": features})[0], scores)


def _require_contract(session: onnxruntime.InferenceSession, contract: Mapping[str, Any], path: Path) -> None:
    """Raises: BundleError where names, types or shapes of the graph are not those of its record."""
    for graph, said in zip(_sides(session), (contract["input"], contract["output"]), strict=True):
        if [graph.name, graph.type, *graph.shape[1:]] != [said["name"], "tensor(float)", *said["shape"][1:]]:
            raise BundleError(f"{path}: {graph.name} is {graph.type} {graph.shape}, its record says {said}")


def _sides(session: onnxruntime.InferenceSession) -> tuple[Any, Any]:
    (given,), (found,) = session.get_inputs(), session.get_outputs()
    return given, found


def _image_error(runtime: "Runtime") -> float:
    """From images to scores by the trunk and each branch, after the trunk's own shapes."""
    session = runtime.session(runtime.folder / "trunk.onnx")
    size, outputs = runtime.bundle["preprocessing"]["size"], {part.name: part for part in session.get_outputs()}
    (given,) = session.get_inputs()
    if [given.type, *given.shape[1:]] != ["tensor(float)", 3, size, size]:
        raise BundleError(f"trunk.onnx reads {given.type} {given.shape}, bundle.json says images of {size} pixels")
    for name, contract in runtime.contracts.items():
        part = outputs[runtime.bundle["outputs"][str(contract["freeze_depth"])]]
        if list(part.shape[1:]) != contract["input"]["shape"][1:]:
            raise BundleError(f"trunk.onnx gives {part.name} {part.shape}, branch {name!r} reads {contract['input']}")
    images = read_golden(runtime.folder / "golden.npz", ["images"])[0]
    found, expected = runtime.scores_of_images(images), golden_scores(runtime, len(images))
    return max(relative_error(found[name], expected[name]) for name in runtime.branches)
