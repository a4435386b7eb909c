"""Branches on principal components of the trunk's features: folded to read the features themselves, and tails restored.

The projection is a 1x1 convolution with a bias, P (x - mean). A branch reads its features twice, each time linearly
before anything else: in the 1x1 convolution of its stem, and in the averages that its head may take behind batch norm.
So the projection is multiplied into those weights, and what comes out is an ordinary branch, which is grafted, exported
and drawn like any other. Its scores are the same up to the rounding of float32.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from branches.branch import Branch
from branches.errors import BranchError
from branches.probe import LinearProbe
from trunk.features.codecs import Pca
from trunk.features.context import context_of
from trunk.features.source import FeatureSource

Builder = Callable[[torch.Generator], nn.Module]


class Restored(nn.Module):
    """`module` on features (N, C, H, W), given their components (N, K, H, W): x = P^T y + mean, nothing learnt."""

    projection: Tensor
    mean: Tensor

    def __init__(self, module: nn.Module, components: Tensor, mean: Tensor) -> None:
        super().__init__()
        self.module = module
        self.register_buffer("projection", components.T[:, :, None, None].clone())
        self.register_buffer("mean", mean.clone())

    def forward(self, features: Tensor) -> Tensor:
        logits: Tensor = self.module(functional.conv2d(features, self.projection, self.mean))
        return logits


class MapOnly(nn.Module):
    """`module` on the first `channels` of features (N, C, H, W): the trunk's map, without averages of other depths."""

    def __init__(self, module: nn.Module, channels: int) -> None:
        super().__init__()
        self.module, self.channels = module, channels

    def forward(self, features: Tensor) -> Tensor:
        logits: Tensor = self.module(features[:, : self.channels])
        return logits


def tail_on(features: FeatureSource, build: Builder) -> Builder:
    """The builder of a tail that reads what is stored: components are brought back to the trunk's channels first.

    Of features that hold averages of other depths too it reads the map.
    """
    codec, context = getattr(features, "codec", None), context_of(features)
    if isinstance(codec, Pca):
        inner = build
        build = lambda generator: Restored(inner(generator), codec.components, codec.mean)  # noqa: E731
    if not context:
        return build
    on_map = build
    return lambda generator: MapOnly(on_map(generator), features.shape[0] - context)


def alone(module: nn.Module) -> nn.Module:
    """A module as it stands behind the trunk's own map: without the step that picks it out of what is stored."""
    return module.module if isinstance(module, MapOnly) else module


def codec_key(features: FeatureSource) -> dict[str, Any]:
    """What was fitted to store the features, for config.json and result.json; nothing where nothing was."""
    key = getattr(getattr(features, "codec", None), "key", None)
    return {"codec": key} if key else {}


def on_trunk(module: nn.Module, features: FeatureSource) -> nn.Module:
    """A module that was trained on `features`, as it is deployed: reading what the trunk gives.

    On features that are stored whole that is the module itself.
    """
    codec, context = getattr(features, "codec", None), context_of(features)
    if not isinstance(codec, Pca):
        return module
    if isinstance(module, MapOnly):
        return MapOnly(on_map(module.module, codec), codec.components.shape[1])
    if isinstance(module, LinearProbe) and context:
        return folded_probe(module, *beside(codec.components, codec.mean, context))
    return on_map(module, codec)


def on_map(module: nn.Module, codec: Pca) -> nn.Module:
    """The module on the features whose components it was trained on."""
    if isinstance(module, Restored):
        return module.module
    fold = folded_probe if isinstance(module, LinearProbe) else folded
    return fold(module, codec.components, codec.mean)  # type: ignore[arg-type]


def beside(components: Tensor, mean: Tensor, context: int) -> tuple[Tensor, Tensor]:
    """The projection that leaves `context` more channels, which lie behind the projected ones, as they are."""
    kept = torch.eye(context, dtype=components.dtype, device=components.device)
    return torch.block_diag(components, kept), torch.cat([mean, mean.new_zeros(context)])  # type: ignore[no-untyped-call]


@torch.no_grad()
def folded(branch: Branch, components: Tensor, mean: Tensor) -> Branch:
    """The branch on features (C, H, W) that gives `branch`'s logits on their components (K, H, W), in evaluation mode.

    `components` (K, C) and `mean` (C,). The answer lies on the CPU. Raises: BranchError when the branch does not read
    K channels.
    """
    count, channels = components.shape
    context = branch.plan.context
    if branch.feature_shape[0] != count + context:
        raise BranchError(
            f"the branch reads {branch.feature_shape[0]} channels, the projection gives {count}: fold the projection "
            f"of the features that it was trained on"
        )
    projection, offset = components.double().cpu(), mean.double().cpu()
    folded = Branch(branch.architecture, (channels + context, *branch.feature_shape[1:]), branch.values)
    state = {name: value.detach().cpu() for name, value in branch.state_dict().items()}
    inner = state["stem.convolution.weight"].double().flatten(1)  # (width, K)
    state["stem.convolution.weight"] = (inner @ projection).float()[:, :, None, None]
    # The stem's convolution has no bias: the norm behind it takes up the shift by the mean.
    shift = inner @ projection @ offset
    state["stem.norm.running_mean"] = (state["stem.norm.running_mean"].double() + shift).float()
    if branch.head.shortcut_norm is not None:
        state |= folded_shortcut(branch, state, *beside(projection, offset, context), folded.head.shortcut_scale)
    folded.load_state_dict(state)
    return folded.eval()


def folded_shortcut(
    branch: Branch, state: dict[str, Tensor], projection: Tensor, offset: Tensor, scale: float
) -> dict[str, Tensor]:
    """The head's weights behind the averages of the features themselves, which are scaled by `scale` there."""
    norm = branch.head.shortcut_norm
    assert isinstance(norm, nn.BatchNorm1d)
    count, channels = projection.shape
    mean, variance = (state[f"head.shortcut_norm.running_{name}"].double() for name in ("mean", "var"))
    per_component = branch.head.shortcut_scale / (variance + norm.eps).sqrt()
    weight = state["head.linear.weight"].double()
    pooled, shortcut = weight[:, :-count], weight[:, -count:] * per_component  # (values, K)
    return {
        "head.linear.weight": torch.cat([pooled, shortcut @ projection / scale], dim=1).float(),
        "head.linear.bias": (state["head.linear.bias"].double() - shortcut @ mean).float(),
        "head.shortcut_norm.running_mean": offset.float(),
        "head.shortcut_norm.running_var": torch.full((channels,), 1 - norm.eps),
    }


@torch.no_grad()
def folded_probe(probe: LinearProbe, components: Tensor, mean: Tensor) -> LinearProbe:
    """The linear probe on averaged features that gives the logits of `probe` on their components."""
    weight = probe.linear.weight.detach().cpu().double() @ components.double().cpu()
    folded = LinearProbe(components.shape[1], len(weight))
    folded.linear.weight.copy_(weight.float())
    folded.linear.bias.copy_((probe.linear.bias.detach().cpu().double() - weight @ mean.double().cpu()).float())
    return folded.eval()
