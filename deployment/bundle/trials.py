"""A variant of a joined graph on trial: how far its scores are from the branches', how long it takes, what it loses."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnxruntime

from branches.metrics import measure
from deployment.bundle.joined import JOINED
from deployment.bundle.timing import medians
from deployment.runtime import Runtime
from deployment.runtime.checks import golden_scores, relative_error
from deployment.runtime.contents import read_golden
from deployment.runtime.sessions import processor

Floats = npt.NDArray[np.float32]
Batches = Callable[[], Iterator[tuple[Floats, npt.NDArray[np.int64]]]]
FIGURES = ("auroc", "balanced_accuracy")


@dataclass(frozen=True)
class Trial:
    """What a variant is tried with.

    `calibration`: batches of normalised images (N, 3, S, S), which int8 takes its ranges from. `labelled`: per attribute a
    function that gives batches of images with the numbers of their values. `loss`: what an attribute's AUROC and balanced accuracy may fall by. `batch`, `rounds`, `threads`, `device`: how time is measured.
    """

    calibration: Sequence[Floats] = ()
    labelled: Mapping[str, Batches] | None = None
    loss: float = 0.005
    batch: int = 1
    rounds: int = 30
    threads: int = 0
    device: str = "cpu"


def differences(bundle: Path, session: onnxruntime.InferenceSession) -> dict[str, Any]:
    """This graph's own golden scores, and how far they are from the branches'."""
    images = read_golden(bundle / "golden.npz", ["images"])[0]
    expected = golden_scores(Runtime(bundle), len(images))
    found = dict(zip(expected, session.run(list(expected), {session.get_inputs()[0].name: images}), strict=True))
    return {
        "golden": {name: scores.tolist() for name, scores in found.items()},
        "largest_difference": max(float(np.abs(found[name] - scores).max()) for name, scores in expected.items()),
        "largest_relative_difference": max(relative_error(found[name], scores) for name, scores in expected.items()),
    }


def times(
    bundle: Path, plain: onnxruntime.InferenceSession, other: onnxruntime.InferenceSession, trial: Trial
) -> dict[str, Any]:
    """Median milliseconds of both on a batch of the golden images, their ratio, and on what it was measured."""
    images = read_golden(bundle / "golden.npz", ["images"])[0]
    batch = images[np.arange(trial.batch) % len(images)]
    found = medians({"plain": plain, "variant": other}, batch, rounds=trial.rounds)
    return {
        "milliseconds": {name: round(value, 3) for name, value in found.items()},
        "ratio": round(found["variant"] / found["plain"], 3),
        "measured": {
            "batch": trial.batch,
            "rounds": trial.rounds,
            "threads": trial.threads,
            "device": trial.device,
            "processor": processor(),
            "onnxruntime": onnxruntime.__version__,
        },
    }


def speed(record: Mapping[str, Any]) -> str:
    """What `times` found, in words."""
    took, where = record["milliseconds"], record["measured"]
    return (
        f"{took['variant']:.2f} ms against {took['plain']:.2f} ms of {JOINED} ({record['ratio']:.2f} x), batch "
        f"{where['batch']}, {where['processor']}"
    )


def loss(
    plain: onnxruntime.InferenceSession,
    other: onnxruntime.InferenceSession,
    name: str,
    threshold: float | None,
    batches: Batches,
) -> dict[str, Any]:
    """What one attribute's figures are by both graphs, and the larger of the falls.

    That of balanced accuracy counts from where one image of the rarest value could not make it.
    """
    scores: tuple[list[Floats], list[Floats]] = ([], [])
    labels = []
    for images, label in batches():
        labels.append(label)
        for found, session in zip(scores, (plain, other), strict=True):
            found.append(session.run([name], {session.get_inputs()[0].name: images})[0])
    label = np.concatenate(labels)
    if not all(np.isfinite(part).all() for found in scores for part in found):
        return {"loss": 1.0, "images": len(label)}
    before, after = (measure(np.concatenate(found), label, threshold=threshold) for found in scores)
    falls = [float(before[key] or 0) - float(after[key] or 0) for key in FIGURES]
    # One image of the rarest value decided otherwise is no finding: what it takes from balanced accuracy is allowed.
    counts = np.bincount(label)
    falls[1] -= 1 / ((counts > 0).sum() * counts[counts > 0].min())
    said = {key: {"float32": before[key], "variant": after[key]} for key in FIGURES}
    return {**said, "loss": round(max(falls), 6), "images": len(label)}
