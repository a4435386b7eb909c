"""A label graph at work on disk: the constant classifiers and what is known of them, no graph any more."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal, NotRequired

from annotated_types import Len
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from typing_extensions import TypedDict

from foundation.errors import RecordError
from foundation.files import replace_atomically, write_json
from foundation.records import Depth, Digest, Name, Shape, Share, Text, read_record, require_no_links
from label_graph.classifier import ConstantClassifier
from label_graph.errors import LabelGraphError

RECORD = "label_graph.json"
WEIGHTS = "classifiers.safetensors"


class LabelShape(TypedDict):
    """One output, as a record has it."""

    name: Text
    attribute: Name
    value: Text


class ClassifierShape(TypedDict):
    """What `label_graph.json` must be."""

    labels: Annotated[list[LabelShape], Len(1)]
    thresholds: list[Share]
    pooling: Literal["average", "max"]
    feature_shape: Shape
    freeze_depth: Depth
    fingerprint: Digest
    metrics: NotRequired[dict[str, Any]]


@dataclass(frozen=True)
class Label:
    """One output: its name, and of which attribute it says which value is present."""

    name: str
    attribute: str
    value: str


@dataclass(frozen=True)
class ClassifierRecord:
    """What the classifiers read and say.

    thresholds: on each label's probability (its logit's sigmoid). feature_shape: (C, H, W) of the trunk with this
    ``fingerprint`` after ``freeze_depth`` blocks. metrics: {"val": {...}, "test": {...}}.
    """

    labels: tuple[Label, ...]
    thresholds: tuple[float, ...]
    pooling: str
    feature_shape: tuple[int, int, int]
    freeze_depth: int
    fingerprint: str
    metrics: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if len(self.labels) != len(self.thresholds) or not self.labels:
            raise LabelGraphError(
                f"Classifiers need a threshold per label, got {len(self.labels)} labels and {len(self.thresholds)} "
                f"thresholds."
            )

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return {
            "labels": [asdict(label) for label in self.labels],
            "thresholds": list(self.thresholds),
            "pooling": self.pooling,
            "feature_shape": list(self.feature_shape),
            "freeze_depth": self.freeze_depth,
            "fingerprint": self.fingerprint,
            "metrics": dict(self.metrics),
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> "ClassifierRecord":
        """Read what `to_json` gave. Raises: KeyError, TypeError or ValueError for a record that lacks parts."""
        channels, height, width = value["feature_shape"]
        return cls(
            tuple(Label(**entry) for entry in value["labels"]),
            tuple(float(entry) for entry in value["thresholds"]),
            value["pooling"],
            (channels, height, width),
            value["freeze_depth"],
            value["fingerprint"],
            value.get("metrics", {}),
        )


def save_classifiers(folder: Path, module: ConstantClassifier, record: ClassifierRecord) -> None:
    """Write ``classifiers.safetensors``, then ``label_graph.json``, which makes them whole."""
    state = {name: value.detach().cpu().contiguous().clone() for name, value in module.state_dict().items()}
    replace_atomically(folder / WEIGHTS, lambda path: save_file(state, path))
    write_json(folder / RECORD, record.to_json())


def load_classifiers(folder: Path) -> tuple[ConstantClassifier, ClassifierRecord]:
    """The module in evaluation mode, and its record.

    Raises:
        LabelGraphError: the folder holds none, or its files do not fit each other.
    """
    try:
        require_no_links(folder)
        record = ClassifierRecord.from_json(read_record(folder / RECORD, ClassifierShape))
        state = load_file(folder / WEIGHTS)
        weight, bias = state["linear.weight"], state["linear.bias"]
    except RecordError as error:
        raise LabelGraphError(str(error)) from error
    except FileNotFoundError as error:
        raise LabelGraphError(f"{folder} holds no label graph ({error.filename} is missing); name another.") from error
    except (OSError, KeyError, TypeError, ValueError, SafetensorError) as error:
        raise LabelGraphError(f"The label graph in {folder} cannot be read ({error}); train it again.") from error
    if weight.shape != (len(record.labels), record.feature_shape[0]) or bias.shape != weight.shape[:1]:
        raise LabelGraphError(
            f"{folder / WEIGHTS} has classifiers of shape {tuple(weight.shape)}, {RECORD} describes "
            f"{len(record.labels)} labels on {record.feature_shape[0]} channels; train the label graph again."
        )
    return ConstantClassifier(weight, bias, pooling=record.pooling).eval(), record
