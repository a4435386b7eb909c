"""A branch on disk as this toolkit keeps it: `weights.safetensors` and `branch.json`, from which it is built again."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, NotRequired

import torch
from annotated_types import Len
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from typing_extensions import TypedDict

from branches.branch import Branch
from branches.errors import BranchError
from branches.probe import LinearProbe
from branches.tails import empty_tail
from foundation.errors import RecordError
from foundation.files import write_json
from foundation.folders import replaced_folder
from foundation.records import Depth, Digest, Name, Shape, Share, Text, check, read_json, require_no_links
from search_spaces import Architecture, SpaceError
from trunk.errors import TrunkError

RECORD = "branch.json"
WEIGHTS = "weights.safetensors"
KINDS = ("branch", "tail", "linear_probe")


class Metrics(TypedDict):
    """What was measured, by split; what is in it only pages read, and they read anything."""

    val: NotRequired[dict[str, Any] | None]
    test: NotRequired[dict[str, Any] | None]


class BranchShape(TypedDict):
    """What `branch.json` must be: it may be somebody else's, and a branch is written as source from it."""

    attribute: Name
    values: Annotated[list[Text], Len(2, 1000)]
    threshold: Share | None
    feature_shape: Shape
    freeze_depth: Depth
    fingerprint: Digest
    backbone: Text | None
    architecture: dict[str, Any]
    metrics: Metrics
    calibration: NotRequired[dict[str, Any] | None]
    sources: NotRequired[Annotated[list[Depth], Len(1, 1000)]]


@dataclass(frozen=True)
class BranchRecord:
    """What a branch is: the question it answers, the trunk it was trained on, how it is built and how good it is.

    `kind` is "branch" (built from `architecture`), "tail" (blocks of `backbone`: those that `architecture`, of the tail
    space, names, or without one all that follow) or "linear_probe";
    `feature_shape` (C, H, W) after `freeze_depth` blocks of the trunk with this `fingerprint`; `threshold` on the score
    of `values[1]`, None for more than two values; `metrics` {"val": {...}, "test": {...}}; `calibration` of the scores,
    as `branches.measures.calibration` fits it, None where there is none. `sources`: the earlier depths whose averages
    are the last channels of the features that it reads (`trunk.features.context`), in their order.
    """

    attribute: str
    values: tuple[str, ...]
    feature_shape: tuple[int, int, int]
    freeze_depth: int
    fingerprint: str
    threshold: float | None = None
    kind: str = "branch"
    architecture: Architecture | None = None
    backbone: str | None = None
    metrics: Mapping[str, Any] = field(default_factory=dict)
    calibration: Mapping[str, Any] | None = None
    sources: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise BranchError(f"the kind of branch {self.attribute!r} must be one of {', '.join(KINDS)}: {self.kind!r}")
        if len(self.values) < 2 or len(set(self.values)) < len(self.values):
            raise BranchError(f"branch {self.attribute!r} needs two or more different values, got {self.values}")
        if self.kind == "branch" and self.architecture is None:
            raise BranchError(f"branch {self.attribute!r} needs its architecture: without it, it cannot be built again")
        if self.kind == "tail" and self.backbone is None:
            raise BranchError(f"tail {self.attribute!r} needs its backbone: without it, it cannot be built again")
        if any(not 1 <= depth < self.freeze_depth for depth in self.sources):
            raise BranchError(
                f"branch {self.attribute!r} after {self.freeze_depth} blocks cannot read averages of depths "
                f"{', '.join(map(str, self.sources))}: they must lie before it"
            )

    def to_json(self) -> dict[str, Any]:
        """Plain values; `architecture` is {"tail": true} or {"linear_probe": true} where there is none."""
        return {
            "attribute": self.attribute,
            "values": list(self.values),
            "threshold": self.threshold,
            "feature_shape": list(self.feature_shape),
            "freeze_depth": self.freeze_depth,
            "fingerprint": self.fingerprint,
            "backbone": self.backbone,
            "architecture": self.architecture.to_json() if self.architecture else {self.kind: True},
            "metrics": dict(self.metrics),
            **({"calibration": dict(self.calibration)} if self.calibration is not None else {}),
            **({"sources": list(self.sources)} if self.sources else {}),
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> "BranchRecord":
        """Read what `to_json` gave, once it is seen to be of that shape.

        Raises: RecordError naming the value that cannot be; SpaceError for one that is no architecture.
        """
        check(value, BranchShape, Path(RECORD))
        architecture = value["architecture"]
        kind = next(
            (kind for kind in KINDS if architecture.get(kind) is True or architecture.get("space") == kind), "branch"
        )
        channels, height, width = value["feature_shape"]
        return cls(
            attribute=value["attribute"],
            values=tuple(value["values"]),
            feature_shape=(channels, height, width),
            freeze_depth=value["freeze_depth"],
            fingerprint=value["fingerprint"],
            threshold=value["threshold"],
            kind=kind,
            architecture=Architecture.from_json(architecture) if "space" in architecture else None,
            backbone=value["backbone"],
            metrics=value["metrics"],
            calibration=value.get("calibration"),
            sources=tuple(value.get("sources", ())),
        )


def save_branch(folder: Path, module: nn.Module, record: BranchRecord) -> None:
    """Write the folder as a whole. Raises: BranchError when it holds something else than a branch."""
    with replaced_folder(folder, RECORD, error=BranchError) as written:
        save_file(plain_state(module), written / WEIGHTS)
        write_json(written / RECORD, record.to_json())


def load_branch(folder: Path) -> tuple[nn.Module, BranchRecord]:
    """The module in evaluation mode, and its record. Raises: BranchError naming the file and what is wrong with it."""
    path = folder / RECORD
    try:
        require_no_links(folder)
        content = read_json(path)
        check(content, BranchShape, path)
        record = BranchRecord.from_json(content)
        weights = load_file(folder / WEIGHTS)
    except FileNotFoundError as error:
        raise BranchError(f"{folder} holds no saved branch ({error.filename} is missing): name another") from error
    except RecordError as error:
        raise BranchError(str(error)) from error
    except (BranchError, SpaceError) as error:
        raise BranchError(f"{path} describes no branch that can be built ({error}): search the branch again") from error
    except (SafetensorError, OSError, ValueError) as error:
        raise BranchError(f"{folder / WEIGHTS} cannot be read ({error}): save or search the branch again") from error
    module = _build(record, folder)
    expected = {name: (value.shape, value.dtype) for name, value in module.state_dict().items()}
    held = {name: (value.shape, value.dtype) for name, value in weights.items()}
    wrong = sorted(name for name in expected.keys() | held.keys() if expected.get(name) != held.get(name))
    if wrong:
        raise BranchError(
            f"{folder / WEIGHTS} does not fit its {RECORD}: {wrong[0]} is {_shape_text(held.get(wrong[0]))}, must be "
            f"{_shape_text(expected.get(wrong[0]))} ({len(wrong)} such weights): save or search the branch again"
        )
    if any(buffer.is_meta and name not in expected for name, buffer in module.named_buffers()):
        # Constants that are no weights, such as the filter of a blur: made anew.
        with torch.random.fork_rng(devices=[]):
            module = _build(record, folder, "cpu")
    module.load_state_dict(weights, assign=True)
    if record.kind == "tail":
        # The layout in which the trunk, and so the tail in training, computes: results are the same to the bit.
        module.to(memory_format=torch.channels_last)
    return module.eval(), record


def plain_state(module: nn.Module) -> dict[str, Tensor]:
    """The module's state as tensors of their own, in plain memory order, on the CPU: what safetensors can write."""
    return {name: value.detach().cpu().contiguous().clone() for name, value in module.state_dict().items()}


def _build(record: BranchRecord, folder: Path, device: str = "meta") -> nn.Module:
    """The module without its weights."""
    try:
        with torch.device(device):
            if record.kind == "linear_probe":
                return LinearProbe(record.feature_shape[0], len(record.values))
            if record.kind == "tail":
                depth, shape, values = record.freeze_depth, record.feature_shape, len(record.values)
                return empty_tail(str(record.backbone), depth, shape, values, record.architecture)
            assert record.architecture is not None
            # The generator belongs to the CPU; on the meta device nothing is drawn.
            return Branch(record.architecture, record.feature_shape, len(record.values))
    except (SpaceError, TrunkError) as error:
        raise BranchError(f"{folder / RECORD} describes no branch that can be built: {error}") from error
    except (RuntimeError, MemoryError, ValueError, TypeError, ArithmeticError, RecursionError) as error:
        # Of a size that no tensor has.
        first = (str(error).splitlines() or [type(error).__name__])[0]
        raise BranchError(
            f"{folder / RECORD} describes no branch that can be built ({first}): search the branch again"
        ) from error


def _shape_text(part: tuple[torch.Size, torch.dtype] | None) -> str:
    return "absent" if part is None else f"{part[1]} {tuple(part[0])}"
