"""Try a faster form of a bundle's joined graph: kept beside it where it pays on the device at hand, else refused.

What is kept is listed in the index with its figures: milliseconds of both graphs, the largest difference of a score,
and what each attribute's scores lose on labelled images. The trunk, the branches and
`graftnet.onnx` stay as they are.
"""

import statistics
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime

from branches.measures.metrics import measure
from deployment.bundle.change import announce, changing
from deployment.bundle.joined import JOINED
from deployment.bundle.precision import in_integers
from deployment.errors import BundleError
from deployment.runtime.checks import relative_error
from deployment.runtime.exported import Exported, open_session, processor
from deployment.runtime.files import sha256_of
from foundation.files import replace_atomically, write_json

KINDS = ("int8",)
TOLERANCE = 0.1  # of a variant's golden scores, from one machine to another
PAYS = 0.97  # a graph that takes more of the time of the other is not faster: that much is noise
FIGURES = ("auroc", "balanced_accuracy")
WARM_UP = 2
Floats = npt.NDArray[np.float32]
Batches = Callable[[], Iterator[tuple[Floats, npt.NDArray[np.int64]]]]


@dataclass(frozen=True)
class Trial:
    """What a variant is tried with.

    `calibration`: batches of normalised images (N, 3, S, S), the ranges of int8. `labelled`: per attribute
    a function that gives batches of images with the numbers of their values. `loss`: what an attribute's AUROC and
    balanced accuracy may fall by. `batch`, `rounds`, `threads`, `device`: how time is measured.
    """

    calibration: Sequence[Floats] = ()
    labelled: Mapping[str, Batches] = field(default_factory=dict)
    loss: float = 0.005
    batch: int = 1
    rounds: int = 30
    threads: int = 0
    device: str = "cpu"


class Outcome(NamedTuple):
    """Whether the variant was kept, the sentence that says why or why not, and its figures."""

    kept: bool
    sentence: str
    record: dict[str, Any]


def try_variant(bundle: Path, kind: str, trial: Trial) -> Outcome:
    """Make a variant of a bundle, measure it, and keep it in the bundle where it is faster and no score is lost.

    Raises: BundleError for an unknown kind, a bundle without a joined graph, or a trial that lacks what the kind needs.
    """
    if kind not in KINDS:
        raise BundleError(f"there is no variant {kind!r}; known: {', '.join(KINDS)}")
    if not trial.calibration:
        raise BundleError(f"{kind} needs calibration images: give some, of the kind that the trunk was trained on")
    with changing(bundle) as index:
        if "joined" not in index:
            raise BundleError(f"{bundle} has no {JOINED}: export the whole bundle again")
        if not set(index["branches"]) <= set(trial.labelled):
            raise BundleError(
                f"{kind} needs labelled images of every attribute of {bundle}, to say what its score loses"
            )
        outcome, model = _tried(bundle, index, kind, trial)
        old = index.get("variants", {}).get(kind)
        others = {name: part for name, part in index.get("variants", {}).items() if name != kind}
        if outcome.kept and model is not None:
            pending = bundle / f".{JOINED}.{kind}"
            replace_atomically(pending, lambda path: onnx.save(model, str(path)))
            digest = sha256_of(pending)
            # Named by content: the index that is in force never lists a file that is being replaced.
            name = f"graftnet-{kind}-{digest[:8]}.onnx"
            announce(bundle, index, name)
            pending.replace(bundle / name)
            others[kind] = {"file": name, "sha256": digest, **outcome.record}
        elif old:
            announce(bundle, index)
        if outcome.kept or old:
            write_json(bundle / "bundle.json", {**index, "variants": others})
        if old and old["file"] != others.get(kind, {}).get("file"):
            (bundle / old["file"]).unlink(missing_ok=True)
    return outcome


def _tried(bundle: Path, index: Mapping[str, Any], kind: str, trial: Trial) -> tuple[Outcome, onnx.ModelProto | None]:
    """Refused, or kept with its graph; the branches that lose are left in float32 before it gives up."""
    joined = onnx.load(str(bundle / JOINED))
    plain = open_session((bundle / JOINED).read_bytes(), bundle / JOINED, threads=trial.threads, device=trial.device)
    keep: list[str] = []
    while True:
        record: dict[str, Any] = {"tolerance": TOLERANCE, "in_float32": keep}
        try:
            model = in_integers(joined, trial.calibration, keep=keep)
            data, name = model.SerializeToString(), bundle / f"{kind} graph"
            other = open_session(data, name, threads=trial.threads, device=trial.device)
        except BundleError as error:
            return Outcome(False, f"{kind} is refused: {error}", record), None
        record |= differences(bundle, other)
        if not np.isfinite(record["largest_difference"]):
            return Outcome(False, f"{kind} is refused: some of its scores are no numbers", record), None
        record |= times(bundle, plain, other, trial)
        if record["ratio"] > PAYS:
            return Outcome(False, f"{kind} is refused: {speed(record)}, which is not faster", record), None
        record["scores"] = {
            name: loss(plain, other, name, part["threshold"], trial.labelled[name])
            for name, part in index["branches"].items()
        }
        lost = [name for name, figures in record["scores"].items() if figures["loss"] > trial.loss]
        if not set(lost) <= set(keep):
            keep = sorted({*keep, *lost})
            continue
        if lost:
            most, worst = max((record["scores"][name]["loss"], name) for name in lost)
            sentence = f"{worst} loses {most:.4f}, more than {trial.loss} with its branch in float32 ({speed(record)})"
            return Outcome(False, f"{kind} is refused: {sentence}", record), None
        return Outcome(True, f"{kind} is kept: {speed(record)}", record), model


def differences(bundle: Path, session: onnxruntime.InferenceSession) -> dict[str, Any]:
    """This graph's own golden scores, and how far they are from the branches'."""
    exported = Exported(bundle)
    images = exported.golden_images()
    expected = exported.golden_scores(len(images))
    scores = dict(zip(expected, session.run(list(expected), {session.get_inputs()[0].name: images}), strict=True))
    return {
        "golden": {name: table.tolist() for name, table in scores.items()},
        "largest_difference": max(float(np.abs(scores[name] - known).max()) for name, known in expected.items()),
        "largest_relative_difference": max(relative_error(scores[name], known) for name, known in expected.items()),
    }


def times(
    bundle: Path, plain: onnxruntime.InferenceSession, other: onnxruntime.InferenceSession, trial: Trial
) -> dict[str, Any]:
    """Median milliseconds of both on a batch of the golden images, their ratio, and on what it was measured."""
    images = Exported(bundle).golden_images()
    batch = images[np.arange(trial.batch) % len(images)]
    took = medians({"plain": plain, "variant": other}, batch, rounds=trial.rounds)
    return {
        "milliseconds": {name: round(value, 3) for name, value in took.items()},
        "ratio": round(took["variant"] / took["plain"], 3),
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
        for tables, session in zip(scores, (plain, other), strict=True):
            tables.append(session.run([name], {session.get_inputs()[0].name: images})[0])
    label = np.concatenate(labels)
    if not all(np.isfinite(table).all() for tables in scores for table in tables):
        return {"loss": 1.0, "images": len(label)}
    before, after = (measure(np.concatenate(tables), label, threshold=threshold) for tables in scores)
    falls = [float(before[key] or 0) - float(after[key] or 0) for key in FIGURES]
    # One image of the rarest value decided otherwise is no finding: what it takes from balanced accuracy is allowed.
    counts = np.bincount(label)
    falls[1] -= 1 / ((counts > 0).sum() * counts[counts > 0].min())
    figures = {key: {"float32": before[key], "variant": after[key]} for key in FIGURES}
    return {**figures, "loss": round(max(falls), 6), "images": len(label)}


def medians(
    sessions: Mapping[str, onnxruntime.InferenceSession], images: npt.NDArray[np.float32], *, rounds: int
) -> dict[str, float]:
    """Median milliseconds of one run of each session on `images` (N, 3, S, S), all outputs asked for.

    The machine drifts, so they take turns.
    """
    milliseconds: dict[str, list[float]] = {name: [] for name in sessions}
    for turn in range(WARM_UP + rounds):
        for name in list(sessions)[:: 1 if turn % 2 else -1]:
            session = sessions[name]
            started = time.perf_counter()
            session.run(None, {session.get_inputs()[0].name: images})
            if turn >= WARM_UP:
                milliseconds[name].append(1000 * (time.perf_counter() - started))
    return {name: statistics.median(taken) for name, taken in milliseconds.items()}
