"""Published weights: torchvision's or timm's, downloaded by those libraries on first use."""

from pathlib import Path
from typing import Any

import timm
from torchvision.models import Inception_V3_Weights

from trunk.errors import TrunkError
from trunk.preprocessing import Preprocessing
from trunk.trunk import Trunk, trunk_from_weights

HALF = (0.5, 0.5, 0.5)


def imagenet_trunk(size: int) -> Trunk:
    """torchvision's InceptionV3, trained on ImageNet.

    Its weights expect pixels scaled to -1..1: torchvision's ``transform_input`` undoes the ImageNet normalisation.
    """
    try:
        weights = Inception_V3_Weights.IMAGENET1K_V1.get_state_dict(check_hash=True)
    except (OSError, RuntimeError) as error:
        raise unreachable("torchvision's ImageNet weights", error) from error
    return trunk_from_weights(weights, "inception_v3", Preprocessing(size, HALF, HALF), source="torchvision")


def timm_trunk(name: str, size: int) -> Trunk:
    """An InceptionV3 of timm's by its name, for example ``inception_v3.tf_in1k``; normalised as timm states it."""
    if name.split(".")[0] != "inception_v3":
        raise TrunkError(f"timm's {name!r} is not an InceptionV3; choose one of {', '.join(timm_names())}.")
    try:
        model = timm.create_model(name, pretrained=True)
    except (OSError, RuntimeError) as error:
        raise unreachable(f"timm's {name}", error) from error
    settings: dict[str, Any] = vars(model)["pretrained_cfg"]
    preprocessing = Preprocessing(size, settings["mean"], settings["std"])
    return trunk_from_weights(model.state_dict(), "inception_v3", preprocessing, source=f"timm {name}")


def timm_names() -> list[str]:
    """The InceptionV3 weights that timm offers."""
    return timm.list_models("inception_v3*", pretrained=True)


def unreachable(what: str, error: Exception) -> TrunkError:
    """The message for a download that failed."""
    cache = Path("~/.cache/torch")
    return TrunkError(
        f"{what} could not be downloaded ({type(error).__name__}); connect to the internet, or put a weights file on "
        f"this machine (torch keeps downloads in {cache}) and call 'graftnet trunk use FILE'."
    )
