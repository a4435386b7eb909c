"""Verify an exported folder: every SHA-256, every graph's shapes and types, fingerprints, golden inputs run again."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnxruntime

from deployment.errors import BundleError
from deployment.runtime.exported import Exported, open_session
from deployment.runtime.files import (
    CARD,
    changed,
    listed_in,
    not_listed,
    output_key,
    read_checked,
    read_golden,
    shape_of,
    unlisted,
)

Floats = npt.NDArray[np.float32]
Verdict = dict[str, Any]


def bundle_checks(exported: Exported) -> list[Verdict]:
    """One verdict per branch; of a whole bundle the trunk's before them, those of its joined graphs after them.

    One more, named "bundle", says where it holds what its index does not list.
    """
    checks = [
        verdict(name, _branch_problems(exported, name), partial(_branch_error, exported, name), contract["tolerance"])
        for name, contract in exported.contracts.items()
    ]
    if exported.bundle_folder != exported.folder:
        return checks
    if extra := [] if exported.changing else unlisted(exported.folder, listed_in(exported.bundle)):
        checks.append({"branch": "bundle", "max_relative_error": 0.0, "ok": False, "problem": "; ".join(extra)})
    bundle = exported.bundle
    trunk = partial(_image_error, exported)
    checks.insert(0, verdict("trunk", changed(exported.folder, bundle["files"]), trunk, bundle["tolerance"]))
    if bundle.get("label_graph"):
        part = bundle["label_graph"]
        problems = changed(exported.folder / part["folder"], part["files"], whole=True)
        checks.append(verdict("label graph", problems, partial(_labels_error, exported), bundle["tolerance"]))
    if bundle.get("joined"):
        checks.append(graph_check(exported, "joined", bundle["joined"], bundle["tolerance"]))
    for name, part in bundle.get("variants", {}).items():
        checks.append(graph_check(exported, name, part, part["tolerance"]))
    return checks


def verdict(name: str, problems: Sequence[str], measure: Callable[[], float], limit: float) -> Verdict:
    """The verdict on one part; `measure` is called whatever the problems are, and may fail."""
    error, problems = 1.0, list(problems)
    try:
        error = measure()
    except Exception as failure:  # a damaged file fails in whichever way its reader does
        problems = problems or [f"{name} cannot be run ({failure})"]
    if not error <= limit and not problems:
        problems = [f"{name} does not give its golden outputs (relative error {error:.2g}, at most {limit:.2g})"]
    return {"branch": name, "max_relative_error": error, "ok": not problems, "problem": "; ".join(problems) or None}


def relative_error(scores: Floats, expected: Floats) -> float:
    """The largest |scores - expected| / |expected|; tiny scores are compared absolutely, at 1e-3."""
    if scores.shape != expected.shape or not np.isfinite(scores).all():
        return 1.0
    return float((np.abs(scores - expected) / np.maximum(np.abs(expected), 1e-3)).max())


def golden_error(exported: Exported, scores: Mapping[str, Floats]) -> float:
    """The largest relative error of a bundle's scores {attribute: (N, values)} on its golden images."""
    expected = exported.golden_scores(len(next(iter(scores.values()))))
    return max(relative_error(scores[name], known) for name, known in expected.items())


def problems_of(exported: Exported) -> list[str]:
    """A sentence per part that is not as it was exported."""
    return [check["problem"] for check in bundle_checks(exported) if not check["ok"]]


def graph_check(exported: Exported, name: str, part: Mapping[str, Any], limit: float) -> Verdict:
    """The verdict on one graph that goes from images to every attribute's scores."""
    accepted = [part[key] for key in ("sha256", "replaces") if key in part]
    path = exported.folder / part["file"]

    def measure() -> float:
        session = open_session(read_checked(path, *accepted), path, threads=exported.threads, device=exported.device)
        images = exported.golden_images()
        expected = _own_golden(part) or exported.golden_scores(len(images))
        scores = session.run(list(expected), {session.get_inputs()[0].name: images})
        return max(relative_error(table, known) for table, known in zip(scores, expected.values(), strict=True))

    # A change of the bundle was cut short between its index and this graph: the branches hold, the graph is put aside.
    behind = "replaces" in part and path.is_file() and not changed(path.parent, {path.name: part["replaces"]})
    if behind:
        return {"branch": name, "max_relative_error": 0.0, "ok": True, "problem": None}
    return verdict(name, changed(exported.folder, {path.name: part["sha256"]}), measure, limit)


def _own_golden(part: Mapping[str, Any]) -> dict[str, Floats]:
    """A variant's golden scores are its own: integers give others than the branches do."""
    return {name: np.asarray(scores, np.float32) for name, scores in part.get("golden", {}).items()}


def _branch_problems(exported: Exported, name: str) -> list[str]:
    folder, contract = exported.branches[name], exported.contracts[name]
    problems = changed(folder, contract["files"])
    if exported.bundle_folder is None:
        card = folder / CARD  # which is written beside the contract, and is whatever its reader takes it for
        beside = [CARD] if card.is_file() and not card.is_symlink() else []
        problems += not_listed(folder, [*contract["files"], "branch.json", *beside])
    else:
        listed = exported.bundle["branches"].get(name)
        if listed is None:
            return [*problems, f"bundle.json does not list {name!r}"]
        problems += [text for text in changed(folder, listed["files"], whole=True) if text not in problems]
        if contract["fingerprint"] != exported.bundle["fingerprint"]:
            problems.append(f"branch {name!r} belongs to another trunk than the one beside it")
        for key in ("values", "threshold", "freeze_depth", "sources"):
            if contract.get(key) != listed.get(key):
                problems.append(f"bundle.json and branch.json of {name!r} do not agree on its {key}")
    return problems


def _branch_error(exported: Exported, name: str) -> float:
    contract = exported.contracts[name]
    path = exported.branches[name] / "branch.onnx"
    _require_contract(exported.session(path), contract, path)
    features, scores = read_golden(exported.branches[name] / "golden.npz", ["features", "scores"])
    return relative_error(exported.scores({name: features})[name], scores)


def _labels_error(exported: Exported) -> float:
    """The label graph on its golden features, after its place behind the trunk."""
    folder, contract = exported.labels()
    if contract["fingerprint"] != exported.bundle["fingerprint"]:
        raise BundleError("the label graph belongs to another trunk than the one beside it")
    session = exported.session(folder / "label_graph.onnx")
    _require_contract(session, contract, folder / "label_graph.onnx")
    features, scores = read_golden(folder / "golden.npz", ["features", "scores"])
    return relative_error(session.run(["scores"], {"features": features})[0], scores)


def _require_contract(session: onnxruntime.InferenceSession, contract: Mapping[str, Any], path: Path) -> None:
    """Raises: BundleError where names, types or shapes of the graph are not those of its record."""
    for graph, said in zip(_sides(session), (contract["input"], contract["output"]), strict=True):
        if [graph.name, graph.type, *graph.shape[1:]] != [said["name"], "tensor(float)", *said["shape"][1:]]:
            raise BundleError(f"{path}: {graph.name} is {graph.type} {graph.shape}, its record says {said}")


def _sides(session: onnxruntime.InferenceSession) -> tuple[Any, Any]:
    (given,), (scores,) = session.get_inputs(), session.get_outputs()
    return given, scores


def _image_error(exported: Exported) -> float:
    """From images to scores by the trunk and each branch, after the trunk's own shapes."""
    session = exported.session(exported.folder / "trunk.onnx")
    shape, outputs = shape_of(exported.bundle["preprocessing"]), {part.name: part for part in session.get_outputs()}
    (given,) = session.get_inputs()
    if [given.type, *given.shape[1:]] != ["tensor(float)", 3, *shape]:
        raise BundleError(f"trunk.onnx reads {given.type} {given.shape}, bundle.json says images of {shape} pixels")
    for name, contract in exported.contracts.items():
        part = outputs[exported.bundle["outputs"][output_key(contract)]]
        if list(part.shape[1:]) != contract["input"]["shape"][1:]:
            raise BundleError(f"trunk.onnx gives {part.name} {part.shape}, branch {name!r} reads {contract['input']}")
    return golden_error(exported, exported.scores_of_images(exported.golden_images()))
