"""Plain torch modules as source: the line that constructs each, and its weights under the name it has there."""

from collections.abc import Callable, Iterator
from typing import cast

from torch import Tensor, nn

from branches.errors import BranchError
from branches.records import plain_state


def _convolution(part: nn.Conv2d) -> str:
    sizes = [str(part.in_channels), str(part.out_channels), str(part.kernel_size[0])]
    if part.stride[0] > 1:
        sizes.append(f"stride={part.stride[0]}")
    if part.padding[0]:
        sizes.append(f"padding={cast(int, part.padding[0])}")
    if part.groups > 1:
        sizes.append(f"groups={part.groups}")
    return f"nn.Conv2d({', '.join(sizes)}, bias={part.bias is not None})"


def _average(part: nn.AvgPool2d) -> str:
    return f"nn.AvgPool2d({part.kernel_size}, stride={part.stride}, padding={part.padding}, count_include_pad=False)"


# How each plain module of a branch is written down; what is not listed here cannot be exported as source.
CONSTRUCTORS: dict[type[nn.Module], Callable[..., str]] = {
    nn.Conv2d: _convolution,
    nn.BatchNorm2d: lambda part: f"nn.BatchNorm2d({part.num_features})",
    nn.AvgPool2d: _average,
    nn.MaxPool2d: lambda part: f"nn.MaxPool2d({part.kernel_size}, stride={part.stride}, padding={part.padding})",
    nn.ReLU: lambda part: "nn.ReLU()",
    nn.SiLU: lambda part: "nn.SiLU()",
    nn.Hardswish: lambda part: "nn.Hardswish()",
    nn.LeakyReLU: lambda part: f"nn.LeakyReLU({part.negative_slope})",
    nn.GELU: lambda part: "nn.GELU()",
    nn.Tanh: lambda part: "nn.Tanh()",
}


def constructed(part: nn.Module) -> str:
    """The expression that makes the module. Raises: BranchError for one that cannot be written."""
    if type(part) not in CONSTRUCTORS:
        raise BranchError(f"a {type(part).__name__} cannot be exported as source: export the branch as ONNX")
    return CONSTRUCTORS[type(part)](part)


def sequence_source(name: str, sequence: nn.Module) -> tuple[list[str], dict[str, Tensor]]:
    """(constructor lines, weights under their new names) of a chain of plain modules; identities are left out."""
    lines, weights = [f"self.{name} = nn.Sequential("], {}
    for number, part in enumerate(_leaves(sequence)):
        lines.append(f"    {constructed(part)},")
        weights.update(named_state(f"{name}.{number}", part))
    return [*lines, ")"], weights


def named_state(name: str, module: nn.Module) -> dict[str, Tensor]:
    """A module's plain state, each name behind the module's own."""
    return {f"{name}.{key}": value for key, value in plain_state(module).items()}


def _leaves(module: nn.Module) -> Iterator[nn.Module]:
    if isinstance(module, nn.Sequential):
        for part in module:
            yield from _leaves(part)
    elif not isinstance(module, nn.Identity):
        yield module
