"""The schema of result.json, field by field; `python -m reports.result_schema` prints it as a JSON schema.

docs/result.schema.json is that text. Fields that are not named here may be there too: a reader leaves alone what it
does not know, and a writer that adds a field breaks nobody.
"""

import json
import sys
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from reports.errors import ReportError

SCHEMA_ID = "https://json-schema.org/draft/2020-12/schema"
Count = Annotated[int, Field(ge=0)]
Share = Annotated[float, Field(ge=0, le=1)]


class Part(BaseModel):
    """A JSON object with at least these fields."""

    model_config = ConfigDict(extra="allow", strict=True, allow_inf_nan=False)


class Metrics(Part):
    """One training on one split; null where a metric has no meaning, such as a threshold of three values."""

    auroc: Share | None = Field(description="area under the ROC curve; of several values the mean, one against all")
    average_precision: Share | None
    accuracy: Share
    balanced_accuracy: Share | None
    f1: Share | None
    threshold: float | None = Field(description="from this score on the second of two values is said; val chose it")
    precision: Share | None
    recall: Share | None
    fpr: Share | None = Field(description="false positive rate")


class ArchitectureRecord(Part):
    """One answer to all decisions of a search space."""

    space: str
    settings: dict[str, Any] = Field(description="what the space was made with")
    choices: dict[str, Any] = Field(description="decision -> choice")


class NamedRecord(Part):
    """What has no architecture: a linear probe, or all of the backbone's own next blocks."""

    linear_probe: bool | None = None
    joined_probe: bool | None = None
    tail: bool | None = None


class ControlRecord(Part):
    """What was trained beside the result: a baseline, or the searched branch where another kind was chosen."""

    parameters: Count
    macs: Count
    val: Metrics
    test: Metrics | None
    architecture: ArchitectureRecord | None
    identity: str | None = Field(None, description="of the architecture, or the kind of what has none")


class GainRecord(Part):
    """The result's mean test score less a control's, with the ends of its 95 % intervals."""

    difference: float
    low: float = Field(description="over training seeds and test images; in records without `over`, over seeds alone")
    high: float
    images_low: float = Field(description="over test images alone, by paired bootstrap")
    images_high: float
    over: str | None = Field(None, description="images and seeds; images, where nothing is known of the seeds")


class RocRecord(Part):
    """Points of a ROC curve, from (0, 0) to (1, 1)."""

    fpr: list[Share]
    tpr: list[Share]
    threshold: list[float | None]


class PrecisionRecallRecord(Part):
    """Points of a precision-recall curve, recall rising."""

    recall: list[Share]
    precision: list[Share]
    threshold: list[float | None]


class DataRecord(Part):
    """The sub-dataset."""

    digest: str = Field(description="over the content of every image, its value and its split")
    counts: dict[str, dict[str, Count]] = Field(description="split -> value -> images")


class ResultRecord(Part):
    """A finished search of one attribute: `runs/searches/<attribute>/<id>/result.json`."""

    attribute: str
    values: list[str] = Field(min_length=2, description="the attribute's values; the second of two is the positive one")
    seed: int
    fingerprint: str | None = Field(description="of the trunk, 64 hex digits; null for features from a file")
    freeze_depth: Count | None = Field(description="blocks of the trunk that the branch reads")
    feature_shape: list[Count] = Field(min_length=3, max_length=3, description="channels, height, width")
    space: str = Field(description="macro, micro or tail")
    decisions: list[tuple[str, list[Any], str]] = Field(description="name, choices and kind of each decision")
    strategy: str = Field(description="how it was searched: enas, another strategy, or by-hand")
    reward: str = Field(description="the metric that was maximised, a key of `val`")
    kind: str | None = Field(
        None, description="of the result: searched, random, probe, tail, by-hand, or a rival strategy; null: searched"
    )
    choice: dict[str, Any] | None = Field(
        None, description="how val chose between the kinds: rule, tolerance, reason, and each kind's standing on val"
    )
    architecture: ArchitectureRecord | NamedRecord = Field(description="the result's")
    identity: str = Field(description="of the architecture, 12 hex digits; the kind of what has none")
    parameters: Count = Field(description="trainable weights of the branch")
    macs: Count = Field(description="multiply-accumulates of the branch, for one image")
    latency_ms: float | None = Field(None, description="milliseconds of the branch, as `latency` says")
    latency_spread: float | None = Field(
        None, description="by what share the median round took longer than the fastest"
    )
    tail_parameters: Count | None = Field(description="of the backbone's blocks that the branch replaces")
    tail_macs: Count | None
    tail_latency_ms: float | None = None
    tail_latency_spread: float | None = None
    parameter_reduction: float | None = Field(description="1 - parameters / tail_parameters")
    val: Metrics = Field(description="by which everything was chosen")
    test: Metrics | None = Field(description="measured once, at the end; null without a test split")
    controls: dict[str, ControlRecord] = Field(
        description="what else was trained: searched, random, linear_probe, joined_probe, tail, and rival strategies"
    )
    repeats: dict[str, dict[str, Any]] = Field(description="per side: seeds, val_<reward> and test_<reward> of each")
    gain: dict[str, GainRecord] = Field(description="over_<control> -> gain; empty without a test split")
    search_gain: GainRecord | None = Field(None, description="of the searched branch over the best random one")
    test_interval: dict[str, Any] | None = Field(
        None, description="mean, low, high of the result on test; over images and seeds, as `over` says"
    )
    roc: dict[str, dict[str, RocRecord | dict[str, RocRecord]]] = Field(
        description="split -> side -> curve; of more than two values the winner's alone, value -> curve"
    )
    precision_recall: dict[str, dict[str, PrecisionRecallRecord | dict[str, PrecisionRecallRecord]]] | None = Field(
        None, description="as `roc`"
    )
    parts: dict[str, Count] | None = Field(None, description="parameters by part: stem, node1 (or cell1) ..., head")
    bytes: Count | None = Field(None, description="of the branch's weights as they are stored")
    tail_bytes: Count | None = Field(None, description="of the tail's")
    calibration: dict[str, Any] | None = Field(
        None, description="method, and per split the expected calibration error and bins, raw and calibrated"
    )
    verdict: str = Field(description="what to ship, its figure, interval and cost, the next best, and the reason")
    advice: dict[str, Any] | None = Field(
        None, description="action (ship; ship, and label more; label more), what, next, reason"
    )
    too_few: dict[str, Any] | None = Field(None, description="value, images: so few of it in test that nothing is told")
    selection: str = Field(description="how the winner was picked, in a sentence")
    seconds: dict[str, float] = Field(description="of each stage, and `total`")
    val_shrunk: dict[str, Any] | None = Field(
        None,
        description="score: val's, shrunk for having been picked of so many, with the error of one; picked: unshrunk",
    )
    learning_curve: dict[str, Any] | None = Field(
        None, description="images of parts and of all, scores of probe and winner on them, and at twice as many"
    )
    taken_over: dict[str, Any] | None = Field(
        None,
        description="what other searches of the attribute had done: search, its folder; trainings, folder -> count",
    )
    data: DataRecord
    trunk: dict[str, Any] | None = Field(
        description="backbone, size (pixels), blocks, shapes after each, name (the version)"
    )
    command: str
    versions: dict[str, str]
    machine: str
    sequence: Count | None = Field(None, description="of the attribute's searches the one with the highest is newest")
    created: str = Field(description="local time, ISO 8601")
    status: Literal["complete"]


def result_schema() -> dict[str, Any]:
    """The JSON schema of result.json."""
    return {"$schema": SCHEMA_ID, **ResultRecord.model_json_schema()}


def schema_text() -> str:
    """The schema as docs/result.schema.json has it."""
    return json.dumps(result_schema(), indent=2, ensure_ascii=False) + "\n"


def check_result(path: Path) -> ResultRecord:
    """The record of a file, checked. Raises ReportError naming the first field that is not as it should be."""
    try:
        return ResultRecord.model_validate_json(path.read_bytes())
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(map(str, first["loc"])) or "the whole"
        raise ReportError(f"{path}, {field}: {first['msg']}; write it again with `graftnet search`.") from error


if __name__ == "__main__":
    sys.stdout.write(schema_text())
