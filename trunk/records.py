"""Shapes of a trunk's records: `trunk.json` and what a checkpoint says, both of which may be somebody else's."""

from typing import Annotated, Any, NotRequired

from annotated_types import Ge, Gt, Le, Len
from typing_extensions import TypedDict

from foundation.bounds import OneOf
from foundation.records import Depth, Digest, Name, Shape, Text, Whole

LARGEST_SIDE = 8192  # pixels; as of a bundle
INTERPOLATIONS = ("bilinear", "bicubic")
FITS = ("squash", "crop", "pad")
DECODINGS = ("full", "scaled")

Side = Annotated[int, Ge(1), Le(LARGEST_SIDE)]
Mean = Annotated[float, Ge(-1e6), Le(1e6)]
Deviation = Annotated[float, Gt(0), Le(1e6)]


class PreprocessingShape(TypedDict):
    """What a trunk's images go through."""

    size: Side | Annotated[list[Side], Len(2, 2)]
    mean: Annotated[list[Mean], Len(3, 3)]
    std: Annotated[list[Deviation], Len(3, 3)]
    interpolation: Annotated[str, OneOf(INTERPOLATIONS)]
    white: NotRequired[Annotated[int, Ge(1), Le(2**31 - 1)]]
    fit: NotRequired[Annotated[str, OneOf(FITS)]]
    crop: NotRequired[Annotated[float, Gt(0), Le(1)]]
    decoding: NotRequired[Annotated[str, OneOf(DECODINGS)]]


class StartShape(TypedDict):
    """The weights that a training began from: which version of the project, and its fingerprint."""

    version: Name
    fingerprint: Digest


class TrunkShape(TypedDict):
    """`trunk.json`; `settings` and `data` are there where it was trained here."""

    backbone: Text
    fingerprint: Digest
    preprocessing: PreprocessingShape
    created: NotRequired[Text]
    source: NotRequired[Text]
    input_from: NotRequired[Text]
    notes: NotRequired[list[Text]]
    attributes: NotRequired[list[Text]]
    start: NotRequired[StartShape]
    blocks: NotRequired[Depth]
    shapes: NotRequired[list[Shape]]
    val_auroc: NotRequired[dict[str, float | None]]


class CheckpointShape(TypedDict):
    """What every checkpoint says beside its tensors, where it says it; the rest is its own loop's."""

    epoch: NotRequired[Annotated[int, Ge(0), Le(2**40)]]
    step: NotRequired[Annotated[int, Ge(0), Le(2**40)]]
    history: NotRequired[Annotated[int, Ge(0), Le(2**50)] | list[Any]]  # bytes of the file, or its records
    reinforce: NotRequired[dict[str, Any]]
    seconds: NotRequired[float]
    seed: NotRequired[Whole]
