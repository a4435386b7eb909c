"""Input that given weights were trained with (mean, std, interpolation, crop), and who says so."""

from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, NamedTuple

from timm import list_models
from timm.models import get_pretrained_cfg
from torch import Tensor

from foundation.errors import RecordError
from foundation.records import check, read_json
from trunk.backbones.chain import BACKBONES
from trunk.errors import TrunkError
from trunk.preprocessing import Preprocessing
from trunk.records import INTERPOLATIONS, PreprocessingShape
from trunk.weights_file import stated_input

HALF = (0.5, 0.5, 0.5)
NEAREST = {"lanczos": "bicubic"}  # of the ways to resize that we do not have; the others are nearer to bilinear
CLASSES = 1000  # of ImageNet: the rows of torchvision's classifier
Size = int | tuple[int, int]


class OwnInput(NamedTuple):
    """An input, and the words that say where it is from."""

    preprocessing: Preprocessing
    origin: str


def torchvision_input(size: Size) -> OwnInput:
    """That of torchvision's InceptionV3: pixels from -1 to 1, for its ``transform_input`` undoes ImageNet's mean."""
    return OwnInput(Preprocessing(size, HALF, HALF, crop=0.875), "torchvision's configuration of inception_v3")


def timm_input(name: str, size: Size, settings: Mapping[str, Any] | None = None) -> OwnInput:
    """That of a model of timm's, with or without a tag of weights (without one, its default weights').

    settings: its configuration, where a model that was made has one.
    """
    if settings is None:
        found = get_pretrained_cfg(name)
        settings = asdict(found) if found else {}
    usual = Preprocessing(size)
    stated = str(settings.get("interpolation", usual.interpolation))
    taken = stated if stated in INTERPOLATIONS else NEAREST.get(stated, "bilinear")
    mean, std = settings.get("mean", usual.mean), settings.get("std", usual.std)
    own = Preprocessing(size, tuple(mean), tuple(std), taken, crop=settings.get("crop_pct", 1.0))
    note = "" if taken == stated else f" (it resizes by {stated}; {taken} is the nearest here)"
    return OwnInput(own, f"timm's configuration of {name}{note}")


def hub_settings(path: Path, backbone: str) -> Mapping[str, Any] | None:
    """The `pretrained_cfg` of the config.json that timm writes beside weights; None where there is none of this model.

    A model that somebody trained further on other pictures has its own mean and std there.
    """
    try:
        record = read_json(path)
        stated = record.get("pretrained_cfg") if record.get("architecture") == backbone else None
        if not isinstance(stated, dict):
            return None
        check(timm_input(backbone, 32, stated).preprocessing.to_json(), PreprocessingShape, path)
    except (OSError, RecordError, TrunkError, TypeError, ValueError):
        return None
    return stated


def file_input(path: Path, weights: Mapping[str, Tensor], backbone: str, size: Size) -> OwnInput:
    """That of a file of weights: what it says itself, what lies beside it says, or else its backbone's library."""
    if stated := stated_input(path):
        return OwnInput(replace(stated, size=size), "the file itself")
    if backbone in BACKBONES:
        rows = next((value.shape[0] for name, value in weights.items() if name.endswith("fc.weight")), 0)
        if backbone == "inception_v3" and rows == CLASSES:
            own, origin = torchvision_input(size)
            return OwnInput(own, f"{origin}, for the file has a classifier of {CLASSES} classes")
        return OwnInput(Preprocessing(size), "ImageNet's mean and std, as trunks trained here have them")
    if (settings := hub_settings(path.with_name("config.json"), backbone)) is not None:
        return timm_input(backbone, size, settings)._replace(origin="the config.json beside the file")
    offered = list_models(f"{backbone}.*", pretrained=True)
    # A download of timm's has the name of its weights in its path: in its own name, or its folder's.
    named = [name for name in offered if any(name in part for part in path.absolute().parts[-4:])]
    own, origin = timm_input(max(named, key=len, default=backbone), size)
    return OwnInput(own, origin if named else f"{origin}, by trunk.backbone")
