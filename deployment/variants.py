"""A faster form of a bundle's joined graph, kept beside it where it pays on the device at hand, else refused.

What is kept is listed in the index with its figures: milliseconds of both graphs, the largest difference of a score,
and, for other numbers than float32, what each attribute's scores lose on labelled images. The trunk, the branches and
`graftnet.onnx` stay as they are.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import onnx

from deployment.changes import changing
from deployment.contents import sha256_of
from deployment.errors import BundleError
from deployment.fusion import fused
from deployment.joined import JOINED
from deployment.precision import FLOATS, in_floats, in_integers
from deployment.sessions import open_session
from deployment.trials import Trial, differences, loss, speed, times
from foundation.files import replace_atomically, write_json

KINDS = ("fused", *FLOATS, "int8")
TOLERANCES = {"fused": 1e-4, "float16": 0.02, "bfloat16": 0.1, "int8": 0.1}
PAYS = 0.97  # a graph that takes more of the time of the other is not faster: that much is noise


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
    if kind == "int8" and not trial.calibration:
        raise BundleError("int8 needs calibration images: give some, of the kind that the trunk was trained on")
    with changing(bundle) as index:
        if "joined" not in index:
            raise BundleError(f"{bundle} has no {JOINED}: export the whole bundle again")
        if kind != "fused" and not set(index["branches"]) <= set(trial.labelled or {}):
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
            pending.replace(bundle / name)
            others[kind] = {"file": name, "sha256": digest, **outcome.record}
        if outcome.kept or old:
            write_json(bundle / "bundle.json", {**index, "variants": others})
        if old and old["file"] != others.get(kind, {}).get("file"):
            (bundle / old["file"]).unlink(missing_ok=True)
    return outcome


def _tried(bundle: Path, index: Mapping[str, Any], kind: str, trial: Trial) -> tuple[Outcome, onnx.ModelProto | None]:
    """Refused, or kept with its graph; int8 leaves the branches that lose in float32 before it gives up."""
    joined = onnx.load(str(bundle / JOINED))
    plain = open_session((bundle / JOINED).read_bytes(), bundle / JOINED, threads=trial.threads, device=trial.device)
    keep: list[str] = []
    while True:
        record: dict[str, Any] = {"tolerance": TOLERANCES[kind], **({"in_float32": keep} if kind == "int8" else {})}
        try:
            model = _made(joined, kind, trial, keep, record)
            other = open_session(
                model.SerializeToString(), bundle / f"{kind} graph", threads=trial.threads, device=trial.device
            )
        except BundleError as error:
            return Outcome(False, f"{kind} is refused: {error}", record), None
        record |= differences(bundle, other)
        if not np.isfinite(record["largest_difference"]):
            return Outcome(False, f"{kind} is refused: some of its scores are no numbers", record), None
        record |= times(bundle, plain, other, trial)
        if kind == "fused" and record["largest_relative_difference"] > TOLERANCES[kind]:
            return Outcome(
                False, f"fused is refused: scores differ by {record['largest_relative_difference']:.1e}", record
            ), None
        if record["ratio"] > PAYS:
            return Outcome(False, f"{kind} is refused: {speed(record)}, which is not faster", record), None
        if kind != "fused":
            record["scores"] = {
                name: loss(plain, other, name, part["threshold"], (trial.labelled or {})[name])
                for name, part in index["branches"].items()
            }
            lost = [name for name, said in record["scores"].items() if said["loss"] > trial.loss]
            if lost and kind == "int8" and not set(lost) <= set(keep):
                keep = sorted({*keep, *lost})
                continue
            if lost:
                worst = max(lost, key=lambda name: record["scores"][name]["loss"])
                sentence = (
                    f"{kind} is refused: {worst} loses {record['scores'][worst]['loss']:.4f}, more than {trial.loss}"
                    f"{' with its branch in float32' if worst in keep else ''} ({speed(record)})"
                )
                return Outcome(False, sentence, record), None
        return Outcome(True, f"{kind} is kept: {speed(record)}", record), model


def _made(
    joined: onnx.ModelProto, kind: str, trial: Trial, keep: Sequence[str], record: dict[str, Any]
) -> onnx.ModelProto:
    if kind == "fused":
        model, record["fusion"] = fused(joined)
        return model
    return in_integers(joined, trial.calibration, keep=keep) if kind == "int8" else in_floats(joined, kind)
