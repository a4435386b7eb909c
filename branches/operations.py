"""Operation and activation names -> plain modules that keep the width of a map, and its size unless they have a stride.

Every operation is followed by batch norm, so none has a bias. Separable: one filter per channel, then 1x1, as in
Xception (Chollet, 2017), arXiv:1610.02357. The average leaves the padding out of its count, so that the border of a
small map is not dimmed. With stride 2 a side of s becomes (s + 1) // 2, so that a map of 1x1 stays one; the identity
then keeps every second position.
"""

from collections import OrderedDict
from collections.abc import Callable

import torch
from torch import nn
from torch.nn.utils import skip_init

from branches.errors import BranchError


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
