"""torchvision's Mask R-CNN as a segmenter: Mask R-CNN (He, Gkioxari, Dollar, Girshick, 2017), arXiv:1703.06870.

The weights are COCO's, downloaded by torchvision, or a local file. torch is imported when a network is made, not
before: this room works without it.
"""

import hashlib
import pickle
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from subdatasets.errors import DataError
from subdatasets.image_files import content_hash
from subdatasets.persons.crops import Instance, Pixels

if TYPE_CHECKING:
    from torch import nn

PERSON = 1  # COCO's number of the class
CLASSES = 91
SURE = 0.5  # from which probability on a pixel belongs to a mask
CANDIDATES = 0.05  # scores below it are not even looked at; `CropSettings.score` decides


class MaskRcnn:
    """A detection network of torchvision that gives boxes, labels, scores and masks; `load_mask_rcnn` makes one.

    `identity` names its weights.
    """

    def __init__(self, network: "nn.Module", weights: str, *, device: str = "cpu") -> None:
        self.network, self.weights, self.device = network.to(device).eval(), weights, device

    def __call__(self, image: Pixels, path: Path | None = None) -> Sequence[Instance]:
        """As `Segmenter`; the path is not looked at."""
        import torch

        pixels = torch.from_numpy(np.ascontiguousarray(image.transpose(2, 0, 1))).to(self.device).float() / 255
        with torch.inference_mode():
            detected = {name: part.cpu().numpy() for name, part in self.network([pixels])[0].items()}
        persons = []
        for row in np.flatnonzero(detected["labels"] == PERSON):
            mask = detected["masks"][row, 0] >= SURE
            left, top = np.floor(detected["boxes"][row, :2]).astype(int).tolist()
            right, bottom = np.ceil(detected["boxes"][row, 2:]).astype(int).tolist()
            if mask.any():
                persons.append(Instance(mask, (left, top, right, bottom), float(detected["scores"][row])))
        return persons

    def identity(self, path: Path) -> str:
        """The same for every file."""
        return f"mask r-cnn {self.weights}"


def load_mask_rcnn(weights: Path | None = None, *, device: str = "cpu") -> MaskRcnn:
    """Mask R-CNN with a ResNet-50 and feature pyramid.

    weights: a state dict of torchvision's `maskrcnn_resnet50_fpn` or `..._v2` (.pth, read with `weights_only`, or
    .safetensors); None: COCO's for the second, which torchvision downloads once (180 MB).

    Raises: DataError when the file cannot be read or is of another network, or the download fails.
    """
    if weights is None:
        network = _downloaded()
        return MaskRcnn(network, _fingerprint(network.state_dict()), device=device)
    state = _read(weights)
    network = _empty(second="backbone.fpn.inner_blocks.0.1.weight" in state)
    try:
        network.load_state_dict(state)
    except (RuntimeError, AttributeError, TypeError) as error:
        raise DataError(
            f"{weights} holds no weights of torchvision's maskrcnn_resnet50_fpn or its second version "
            f"({str(error).splitlines()[0]}): name another file"
        ) from error
    return MaskRcnn(network, content_hash(weights), device=device)


def _downloaded() -> "nn.Module":
    from torchvision.models.detection import MaskRCNN_ResNet50_FPN_V2_Weights, maskrcnn_resnet50_fpn_v2

    try:
        network: nn.Module = maskrcnn_resnet50_fpn_v2(
            weights=MaskRCNN_ResNet50_FPN_V2_Weights.COCO_V1, box_score_thresh=CANDIDATES
        )
    except (OSError, RuntimeError) as error:
        raise DataError(
            f"the weights of Mask R-CNN could not be downloaded ({error}): name a local file of them, or masks on disk"
        ) from error
    return network


def _empty(*, second: bool) -> "nn.Module":
    from torchvision.models import detection

    build = detection.maskrcnn_resnet50_fpn_v2 if second else detection.maskrcnn_resnet50_fpn
    network: nn.Module = build(weights=None, weights_backbone=None, num_classes=CLASSES, box_score_thresh=CANDIDATES)
    return network


def _read(weights: Path) -> dict[str, Any]:
    import torch
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    if not weights.is_file():
        raise DataError(f"there is no file of weights {weights}: check the path")
    try:
        state: dict[str, Any]
        if weights.suffix == ".safetensors":
            state = load_file(weights)
        else:
            state = torch.load(weights, map_location="cpu", weights_only=True)
    except (
        SafetensorError,
        RuntimeError,
        ValueError,
        EOFError,
        OSError,
        pickle.UnpicklingError,
    ) as error:
        raise DataError(f"{weights} cannot be read as weights ({str(error).splitlines()[0]}): name another") from error
    if not isinstance(state, dict):
        raise DataError(f"{weights} holds no table of weights but a {type(state).__name__}: save a state dict")
    return state


def _fingerprint(state: dict[str, Any]) -> str:
    digest = hashlib.sha256()
    for name, value in sorted(state.items()):
        digest.update(name.encode())
        digest.update(value.numpy().tobytes())
    return digest.hexdigest()
