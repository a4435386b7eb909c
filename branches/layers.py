"""Layers of a branch: operations, activations, and heads that pool a map into logits, each by its name.

An operation or activation keeps the width of a map, and its size unless it has a stride. Every operation is followed by
batch norm, so none has a bias. Separable: one filter per channel, then 1x1, as in Xception (Chollet, 2017),
arXiv:1610.02357. The average leaves the padding out of its count, so that the border of a small map is not dimmed. With
stride 2 a side of s becomes (s + 1) // 2, so that a map of 1x1 stays one; the identity then keeps every second
position.

Heads: average or bilinear pooling, optionally beside the trunk's own features, then one linear layer. Bilinear CNN
Models for Fine-grained Visual Recognition (Lin et al., 2015), arXiv:1504.07889, section 3: the outer product of two
maps at every position, summed, then a signed square root and L2 normalisation; here both factors are the same map, as
the GraftNet engineering paper uses it (section 3.3, Table 3). C channels make C * C features, so a map of many channels
is first projected to a stated width: the stem of a searched branch does that, `ProjectedPool` behind a backbone's own
blocks. A step of Adam moves every weight of the linear layer equally far, so many features together move the logits too
far: at unit scale, the loss of a supernet on CIFAR-10 features grew. Hence the unit length of the bilinear features,
and a scale for the trunk's that makes them weigh in one step as much as `STEP_FEATURES` at most.
"""

import math
from collections import OrderedDict
from collections.abc import Callable
from typing import NamedTuple, Self

import torch
from torch import Tensor, nn
from torch.nn.utils import skip_init

from branches.errors import BranchError
from search_spaces.operations import POOLED

EPSILON = 1e-3
STEP_FEATURES = 64
DEAD = 1e-10  # the variance of a channel that is always the same, but for rounding


def _convolution(inputs: int, outputs: int, size: int, *, stride: int = 1, groups: int = 1) -> nn.Module:
    shape = {"stride": stride, "padding": size // 2, "groups": groups, "bias": False}
    module: nn.Module = skip_init(nn.Conv2d, inputs, outputs, size, **shape)  # type: ignore[no-untyped-call]
    return module


def _separable(width: int, size: int, stride: int) -> nn.Module:
    depthwise = _convolution(width, width, size, stride=stride, groups=width)
    return nn.Sequential(OrderedDict({"depthwise": depthwise, "pointwise": _convolution(width, width, 1)}))


OPERATIONS: dict[str, Callable[[int, int], nn.Module]] = {
    "conv3x3": lambda width, stride: _convolution(width, width, 3, stride=stride),
    "conv5x5": lambda width, stride: _convolution(width, width, 5, stride=stride),
    "separable3x3": lambda width, stride: _separable(width, 3, stride),
    "separable5x5": lambda width, stride: _separable(width, 5, stride),
    "average_pool3x3": lambda width, stride: nn.AvgPool2d(3, stride=stride, padding=1, count_include_pad=False),
    "max_pool3x3": lambda width, stride: nn.MaxPool2d(3, stride=stride, padding=1),
    "identity": lambda width, stride: nn.Identity() if stride == 1 else nn.MaxPool2d(1, stride=stride),
}

ACTIVATIONS: dict[str, Callable[[], nn.Module]] = {
    "relu": nn.ReLU,
    "silu": nn.SiLU,
    "hard_swish": nn.Hardswish,
    "leaky_relu": lambda: nn.LeakyReLU(0.1),
    "gelu": nn.GELU,
    "tanh": nn.Tanh,
}


def operation(name: str, width: int, stride: int = 1) -> nn.Module:
    """The operation (N, width, H, W) -> the same shape, at the stride; its weights are not yet initialised.

    Raises: BranchError for an unknown name.
    """
    if name not in OPERATIONS:
        raise BranchError(f"there is no operation {name!r}; known: {', '.join(OPERATIONS)}")
    return OPERATIONS[name](width, stride)


def activation(name: str) -> nn.Module:
    """The activation, elementwise, never in place. Raises: BranchError for an unknown name."""
    if name not in ACTIVATIONS:
        raise BranchError(f"there is no activation {name!r}; known: {', '.join(ACTIVATIONS)}")
    return ACTIVATIONS[name]()


def stem(channels: int, width: int) -> nn.Sequential:
    """1x1 convolution, batch norm, ReLU: (N, channels, H, W) -> (N, width, H, W)."""
    return projection(channels, width)


def projection(channels: int, width: int, stride: int = 1) -> nn.Sequential:
    """1x1 convolution, batch norm, ReLU: (N, channels, H, W) -> (N, width, H, W), at the stride."""
    convolution = _convolution(channels, width, 1, stride=stride)
    parts = {"convolution": convolution, "norm": nn.BatchNorm2d(width), "activation": nn.ReLU()}
    return nn.Sequential(OrderedDict(parts))


def node(operation_name: str, activation_name: str, width: int) -> nn.Sequential:
    """activation(norm(operation(x))), (N, width, H, W) -> the same shape."""
    parts = {
        "operation": operation(operation_name, width),
        "norm": nn.BatchNorm2d(width),
        "activation": activation(activation_name),
    }
    return nn.Sequential(OrderedDict(parts))


def normed(operation_name: str, width: int, stride: int = 1) -> nn.Sequential:
    """norm(operation(x)), (N, width, H, W) -> the same shape, at the stride."""
    parts = {"operation": operation(operation_name, width, stride), "norm": nn.BatchNorm2d(width)}
    return nn.Sequential(OrderedDict(parts))


@torch.no_grad()
def initialise(module: nn.Module, generator: torch.Generator | None) -> None:
    """Draw the convolution and linear weights of a module from `generator` (None: one seeded with 0).

    Convolutions: normal, variance 2 / fan-in (He et al., 2015), arXiv:1502.01852. Linear layers: normal, variance
    1 / (3 fan-in), PyTorch's own scale; biases zero. Norms start at scale one, shift zero.
    """
    generator = torch.Generator().manual_seed(0) if generator is None else generator
    for part in module.modules():
        if isinstance(part, nn.Conv2d):
            fan_in = part.weight[0].numel()
            part.weight.normal_(0.0, (2 / fan_in) ** 0.5, generator=generator)
        elif isinstance(part, nn.Linear):
            part.weight.normal_(0.0, (1 / (3 * part.in_features)) ** 0.5, generator=generator)
            if part.bias is not None:
                part.bias.zero_()
        elif isinstance(part, nn.BatchNorm2d):
            part.weight.fill_(1.0)
            part.bias.zero_()


def average_pool(maps: Tensor) -> Tensor:
    """(N, C, H, W) -> (N, C), the mean over the positions."""
    return maps.mean((2, 3))


def bilinear_pool(maps: Tensor) -> Tensor:
    """(N, C, H, W) -> (N, C * C): products of all channel pairs, averaged over the positions, then normalised.

    Signed square root x / sqrt(|x| + eps), which has a finite slope at 0; then L2 normalisation to length one.
    """
    rows = maps.flatten(2)  # (N, C, H * W)
    products = torch.bmm(rows, rows.transpose(1, 2)).flatten(1) / rows.shape[2]  # (N, C * C)
    rooted = products / (products.abs() + EPSILON).sqrt()
    return rooted / (rooted.square().sum(1, keepdim=True) + EPSILON**2).sqrt()


class AveragePool(nn.Module):
    """`average_pool` as a module."""

    def forward(self, maps: Tensor) -> Tensor:
        return average_pool(maps)


class BilinearPool(nn.Module):
    """`bilinear_pool` as a module."""

    def forward(self, maps: Tensor) -> Tensor:
        return bilinear_pool(maps)


class Pooling(NamedTuple):
    """A pooling of `search_spaces.operations.POOLED`: its module, and the exported lines from `maps` to `pooled`."""

    module: Callable[[], nn.Module]
    source: tuple[str, ...]


POOLINGS = {
    "average": Pooling(AveragePool, ("pooled = maps.mean((2, 3))",)),
    "bilinear": Pooling(
        BilinearPool,
        (
            "rows = maps.flatten(2)",
            "pooled = torch.bmm(rows, rows.transpose(1, 2)).flatten(1) / rows.shape[2]",
            f"pooled = pooled / (pooled.abs() + {EPSILON}).sqrt()",
            f"pooled = pooled / (pooled.square().sum(1, keepdim=True) + {EPSILON**2}).sqrt()",
        ),
    ),
}


def pooled_shape(pooling: str, width: int) -> tuple[int, ...]:
    """The axes of the features that a pooling makes of `width` channels. Raises: BranchError for an unknown pooling."""
    if pooling not in POOLINGS:
        raise BranchError(f"there is no head pooling {pooling!r}; known: {', '.join(POOLINGS)}")
    return POOLED[pooling].shape(width)


def pooled_features(pooling: str, width: int) -> int:
    """How many features a pooling makes of `width` channels. Raises: BranchError for an unknown pooling."""
    return math.prod(pooled_shape(pooling, width))


class ProjectedPool(nn.Sequential):
    """1x1 convolution to `width` channels, batch norm, ReLU, a pooling: (N, channels, H, W) -> (N, features).

    The convolution's weights are drawn from `generator` (None: one seeded with 0).
    """

    def __init__(
        self, channels: int, width: int, pooling: str = "bilinear", *, generator: torch.Generator | None = None
    ) -> None:
        super().__init__(OrderedDict(projection=projection(channels, width), pool=POOLINGS[pooling].module()))
        self.width, self.pooling = width, pooling
        initialise(self, generator)


class SettledNorm(nn.BatchNorm1d):
    """A batch norm of fixed statistics, in training too; nothing is learnt."""

    def __init__(self, mean: Tensor, variance: Tensor) -> None:
        super().__init__(len(mean), affine=False)
        self.load_state_dict({"running_mean": mean, "running_var": variance}, strict=False)
        self.eval()

    def train(self, mode: bool = True) -> Self:
        """It stays in evaluation mode, whatever holds it."""
        return super().train(False)


class ProbeStart(NamedTuple):
    """A linear probe on averaged features, weight (V, C) and bias (V,), and the averages' mean and variance (C,)."""

    weight: Tensor
    bias: Tensor
    mean: Tensor
    variance: Tensor

    def columns(self, scale: float) -> tuple[Tensor, Tensor, SettledNorm]:
        """(weight, bias, norm) of a linear layer behind the norm and a factor `scale`, for the probe's own logits."""
        # A channel that is the same on every training image has no scale of its own.
        variance = torch.where(self.variance > DEAD, self.variance, torch.ones_like(self.variance))
        norm = SettledNorm(self.mean.float(), variance.float())
        assert norm.running_mean is not None
        assert norm.running_var is not None
        deviation = (norm.running_var.double() + norm.eps).sqrt()
        bias = self.bias.double() + self.weight.double() @ norm.running_mean.double()
        return self.weight.double() * deviation / scale, bias, norm


class Head(nn.Module):
    """Pooling, dropout, linear: maps (N, width, H, W) and trunk features (N, channels, H, W) -> logits (N, values).

    With the shortcut, the trunk features are averaged over the positions, batch-normalised (nothing learnt), scaled by
    `shortcut_scale` and put behind the pooled ones: a linear probe on the trunk is then a special case.
    Without it `features` are not read. Dropout draws from torch's own generator, as `nn.Dropout` does.

    A head may begin at a fitted probe (`begin_at`): its scores are then the probe's, and what is trained from there on
    is what the branch adds to it. The averages keep the statistics that the probe was fitted with, so that they are
    the same in training; a saved or exported head has nothing that any other head has not.
    """

    def __init__(
        self, pooling: str, width: int, channels: int, values: int, *, shortcut: bool, dropout: float = 0.0
    ) -> None:
        super().__init__()
        inputs = pooled_features(pooling, width) + (channels if shortcut else 0)
        self.pool = POOLINGS[pooling].module()
        self.shortcut_scale = min(1.0, STEP_FEATURES / channels)
        self.shortcut_norm = nn.BatchNorm1d(channels, affine=False) if shortcut else None
        self.dropout = nn.Dropout(dropout)
        self.linear = skip_init(nn.Linear, inputs, values)  # type: ignore[no-untyped-call]

    @torch.no_grad()
    def begin_at(self, start: ProbeStart) -> None:
        """Give the probe's logits, whatever the maps are: its weights to the averages, zero to all else."""
        channels = start.weight.shape[1]
        weight, bias, norm = start.columns(self.shortcut_scale)
        self.shortcut_norm = norm.to(self.linear.weight.device)
        self.linear.weight.zero_()
        self.linear.weight[:, -channels:].copy_(weight)
        self.linear.bias.copy_(bias)

    @property
    def probe_columns(self) -> int:
        """How many columns of the linear layer hold a probe that the head began at; they are its last."""
        return self.shortcut_norm.num_features if isinstance(self.shortcut_norm, SettledNorm) else 0

    def forward(self, maps: Tensor, features: Tensor) -> Tensor:
        pooled = self.pool(maps)
        if self.shortcut_norm is not None:
            pooled = torch.cat([pooled, self.shortcut_norm(average_pool(features)) * self.shortcut_scale], dim=1)
        logits: Tensor = self.linear(self.dropout(pooled))
        return logits
