"""Activation maps: where in an image a branch sees a value, by CAM, or Grad-CAM behind a bilinear head.

Learning Deep Features for Discriminative Localization (Zhou et al., 2016), arXiv:1512.04150, eq. 2, where pooling
averages: then the logit is a mean over positions, and the map is what each position adds to it. Grad-CAM (Selvaraju et
al., 2017), arXiv:1610.02391, eq. 1 and 2, for any other pooling.

Both papers explain one logit. A softmax sees only differences of logits, so we explain the value's logit minus the mean
of the others': of two values, one's map is the other's with its sign turned (where pooling averages).
"""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from branches.branch import FOLLOW, Branch
from branches.compression import MapOnly, Restored
from branches.errors import BranchError
from branches.layers import Head
from branches.probe import LinearProbe
from trunk.trunk import Tail

CAM, GRAD_CAM = "CAM", "Grad-CAM"


class ActivationMaps(NamedTuple):
    """`maps` (N, H, W) float32: positive where the image speaks for the value; Grad-CAM shows only that side.

    method: `CAM` or `GRAD_CAM`.
    """

    method: str
    maps: Tensor


class Reading(NamedTuple):
    """What pooling reads, (N, C, H, W), and how logits (N, V) follow from it.

    parts: where the logits are linear in averaged maps: each such map (N, C', H, W) with its weights (V, C').
    """

    maps: Tensor
    logits: Callable[[Tensor], Tensor]
    parts: tuple[tuple[Tensor, Tensor], ...] = ()


def activation_maps(module: nn.Module, features: Tensor, values: Tensor) -> ActivationMaps:
    """The map of each image's value; `module` is one that a search trains, in evaluation mode, and stays as it is.

    features: (N, C, H, W) as the module reads them. values: int64 (N,), the value that each image is asked about.
    Raises: BranchError where the features have a single position, or the module is none that is known here.
    """
    if features.shape[2] * features.shape[3] < 2:
        raise BranchError("features of one position hold no map: there is no activation map of them")
    with torch.no_grad():
        reading = read(module, features)
        if reading.parts:
            sides = tuple(max(part.shape[axis] for part, _ in reading.parts) for axis in (2, 3))
            evidence_map = sum(_weighted(maps, weights, values, sides) for maps, weights in reading.parts)
            assert isinstance(evidence_map, Tensor)
            return ActivationMaps(CAM, evidence_map)
    maps = reading.maps.detach().requires_grad_()
    with torch.enable_grad():
        (slope,) = torch.autograd.grad(evidence(reading.logits(maps), values).sum(), maps)
    weights = slope.mean((2, 3), keepdim=True)  # eq. 1
    return ActivationMaps(GRAD_CAM, (weights * maps.detach()).sum(1).relu())  # eq. 2


def evidence(logits: Tensor, values: Tensor) -> Tensor:
    """Logits (N, V), values (N,) -> (N,): the value's logit minus the mean of the others'."""
    own = logits.gather(1, values[:, None])[:, 0]
    return own - (logits.sum(1) - own) / (logits.shape[1] - 1)


def read(module: nn.Module, features: Tensor) -> Reading:
    """Run a module up to its pooling. Raises: BranchError for a module that is none of those a search trains."""
    match module:
        case MapOnly():
            return read(module.module, features[:, : module.channels])
        case Restored():
            return read(module.module, functional.conv2d(features, module.projection, module.mean))
        case Branch():
            features = features.contiguous(memory_format=torch.channels_last)
            graph, head = module.plan, module.head
            seen = features[:, : -graph.context] if graph.context else features
            maps = FOLLOW[type(graph)](graph, list(module.parts), module.stem(seen))
            parts = _head_parts(head, maps, features, averages=graph.pooling == "average")
            return Reading(maps, lambda held: head(held, features), parts)
        case Tail():
            maps, pool = module.blocks(features.contiguous(memory_format=torch.channels_last)), module.pool
            if pool is None:
                return Reading(maps, lambda held: module.linear(held.mean((2, 3))), ((maps, module.linear.weight),))
            return Reading(maps, lambda held: module.linear(pool(held)))
        case LinearProbe():
            return Reading(features, module.forward, ((features, module.linear.weight),))
    raise BranchError(f"no activation map is known of a {type(module).__name__}")


def _head_parts(head: Head, maps: Tensor, features: Tensor, *, averages: bool) -> tuple[tuple[Tensor, Tensor], ...]:
    """The maps that a head averages, and the trunk's features where it reads them too: past their norm and scale.

    averages: whether its pooling does. Of any other, a branch that is still the probe it began at adds nothing to the
    trunk's features, and its logits are linear in them; else there are no such parts.
    """
    norm, weight, count = head.shortcut_norm, head.linear.weight, features.shape[1]
    if norm is None:
        return ((maps, weight),) if averages else ()
    assert isinstance(norm.running_var, Tensor)
    shortcut = features, weight[:, -count:] * head.shortcut_scale / (norm.running_var + norm.eps).sqrt()
    if averages:
        return (maps, weight[:, :-count]), shortcut
    return () if bool(weight[:, :-count].any()) else (shortcut,)


def _weighted(maps: Tensor, weights: Tensor, values: Tensor, sides: tuple[int, ...]) -> Tensor:
    """(N, C, h, w) and (V, C) -> what every position adds to the evidence, brought to the sides (N, H, W)."""
    others = (weights.sum(0) - weights[values]) / (len(weights) - 1)
    weighted = ((weights[values] - others)[:, :, None, None] * maps).sum(1)
    return functional.interpolate(weighted[:, None], size=sides, mode="nearest-exact")[:, 0]
