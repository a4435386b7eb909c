"""Plain torch modules as source: the line that constructs each, and its weights under the name it has there."""

from collections.abc import Callable, Iterator

from torch import Tensor, nn

from branches.errors import BranchError
from branches.records import plain_state


def _convolution(part: nn.Conv2d) -> str:
    if part.padding_mode != "zeros" or isinstance(part.padding, str):
        raise BranchError(f"a convolution padded by {part.padding_mode} cannot be exported as source")
    sizes = [str(part.in_channels), str(part.out_channels), _side(part.kernel_size)]
    for name, sides, usual in (
        ("stride", part.stride, 1),
        ("padding", part.padding, 0),
        ("dilation", part.dilation, 1),
    ):
        if set(sides) != {usual}:
            sizes.append(f"{name}={_side(sides)}")
    if part.groups > 1:
        sizes.append(f"groups={part.groups}")
    return f"nn.Conv2d({', '.join(sizes)}, bias={part.bias is not None})"


def _side(sides: tuple[int, ...]) -> str:
    """One number for a square, else both."""
    return str(sides[0]) if len(set(sides)) == 1 else str(tuple(sides))


def _norm(part: nn.BatchNorm2d) -> str:
    extra = "" if part.eps == USUAL_EPSILON else f", eps={part.eps}"
    return f"nn.BatchNorm2d({part.num_features}{extra}{'' if part.affine else ', affine=False'})"


def _average(part: nn.AvgPool2d) -> str:
    if part.divisor_override is not None:
        raise BranchError("an average with a divisor of its own cannot be exported as source: export it as ONNX")
    sizes = f"{part.kernel_size}, stride={part.stride}, padding={part.padding}"
    ceiling = ", ceil_mode=True" if part.ceil_mode else ""
    return f"nn.AvgPool2d({sizes}{ceiling}, count_include_pad={part.count_include_pad})"


def _largest(part: nn.MaxPool2d) -> str:
    if part.dilation not in (1, (1, 1)):
        raise BranchError("a dilated maximum cannot be exported as source: export it as ONNX")
    ceiling = ", ceil_mode=True" if part.ceil_mode else ""
    return f"nn.MaxPool2d({part.kernel_size}, stride={part.stride}, padding={part.padding}{ceiling})"


USUAL_EPSILON = 1e-5

# How each plain module of a branch is written down; what is not listed here cannot be exported as source.
CONSTRUCTORS: dict[type[nn.Module], Callable[..., str]] = {
    nn.Conv2d: _convolution,
    nn.BatchNorm2d: _norm,
    nn.AvgPool2d: _average,
    nn.MaxPool2d: _largest,
    nn.ReLU: lambda part: "nn.ReLU()",
    nn.SiLU: lambda part: "nn.SiLU()",
    nn.Hardswish: lambda part: "nn.Hardswish()",
    nn.LeakyReLU: lambda part: f"nn.LeakyReLU({part.negative_slope})",
    nn.GELU: lambda part: "nn.GELU()",
    nn.Tanh: lambda part: "nn.Tanh()",
    nn.Sigmoid: lambda part: "nn.Sigmoid()",
    nn.Hardsigmoid: lambda part: "nn.Hardsigmoid()",
    nn.ReLU6: lambda part: "nn.ReLU6()",
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
