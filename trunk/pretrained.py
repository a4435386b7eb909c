"""Published weights: torchvision's or timm's, downloaded by those libraries on first use."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from timm import create_model, list_models
from torchvision.models import Inception_V3_Weights

from trunk.backbones.find import find_backbone
from trunk.errors import TrunkError
from trunk.preprocessing import Preprocessing
from trunk.records import INTERPOLATIONS
from trunk.trunk import Trunk, trunk_from_weights

HALF = (0.5, 0.5, 0.5)
Shaped = Callable[[Preprocessing], Preprocessing]


def unchanged(own: Preprocessing) -> Preprocessing:
    """The input that the weights were trained with, as it is."""
    return own


def imagenet_trunk(size: int | tuple[int, int], shaped: Shaped = unchanged) -> Trunk:
    """torchvision's InceptionV3, trained on ImageNet.

    shaped: the input of its weights -> that of the trunk.


    Its weights expect pixels scaled to -1..1: torchvision's ``transform_input`` undoes the ImageNet normalisation.
    """
    try:
        weights = Inception_V3_Weights.IMAGENET1K_V1.get_state_dict(check_hash=True)
    except (OSError, RuntimeError) as error:
        raise unreachable("torchvision's ImageNet weights", error) from error
    own = Preprocessing(size, HALF, HALF, crop=0.875)
    return trunk_from_weights(weights, "inception_v3", shaped(own), source="torchvision")


def timm_trunk(name: str, size: int | tuple[int, int], shaped: Shaped = unchanged) -> Trunk:
    """A convolutional model of timm's by its name, for example ``resnet50.a1_in1k``; normalised as timm states it.

    Raises:
        TrunkError: it is not timm's, it cannot be cut into blocks, or its weights cannot be had.
    """
    backbone = name.split(".")[0]
    find_backbone(backbone)
    offered = list_models(f"{backbone}.*", pretrained=True)
    if not offered or name not in (backbone, *offered):
        raise TrunkError(f"timm has no weights {name!r}; of {backbone} it offers: {', '.join(offered) or 'none'}.")
    try:
        model = create_model(name, pretrained=True)
    except (OSError, RuntimeError) as error:
        raise unreachable(f"timm's {name}", error) from error
    settings: dict[str, Any] = vars(model)["pretrained_cfg"]
    stated = settings.get("interpolation")
    interpolation = stated if stated in INTERPOLATIONS else "bilinear"
    own = Preprocessing(size, settings["mean"], settings["std"], interpolation, crop=settings.get("crop_pct", 1.0))
    return trunk_from_weights(model.state_dict(), backbone, shaped(own), source=f"timm {name}")


def available(backbone: str) -> str | None:
    """The best published weights of a backbone that need no download, as `graftnet trunk use` names them."""
    return None


def unreachable(what: str, error: Exception) -> TrunkError:
    """The message for a download that failed."""
    cache = Path("~/.cache/torch")
    return TrunkError(
        f"{what} could not be downloaded ({type(error).__name__}); connect to the internet, or put a weights file on "
        f"this machine (torch keeps downloads in {cache}) and call 'graftnet trunk use FILE'."
    )
