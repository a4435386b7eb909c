"""Names of what a node of a branch may compute and of how its head pools; `branches.layers` turns them into modules.

Beside a name stands what people call it, in reports.

Operations: Efficient Neural Architecture Search via Parameter Sharing (Pham et al., 2018), arXiv:1802.03268,
sections 2.3 and 2.4. Activations are a decision of their own: GraftNet (section 3.3) searches "the choose of activation
layer of each node".
"""

from collections.abc import Callable
from typing import NamedTuple

OPERATION_NAMES = {
    "conv3x3": "convolution 3×3",
    "conv5x5": "convolution 5×5",
    "separable3x3": "separable 3×3",
    "separable5x5": "separable 5×5",
    "average_pool3x3": "average pool 3×3",
    "max_pool3x3": "max pool 3×3",
    "identity": "identity",
}

OPERATIONS = tuple(OPERATION_NAMES)

# Section 2.3's six, the macro space's own; identity joins them in cells.
CHAIN_OPERATIONS = ("conv3x3", "conv5x5", "separable3x3", "separable5x5", "average_pool3x3", "max_pool3x3")

# Section 2.4's five, the micro space's own.
CELL_OPERATIONS = ("identity", "separable3x3", "separable5x5", "average_pool3x3", "max_pool3x3")

ACTIVATION_NAMES = {
    "relu": "ReLU",
    "silu": "SiLU",
    "hard_swish": "hard swish",
    "leaky_relu": "leaky ReLU",
    "gelu": "GELU",
    "tanh": "tanh",
}

ACTIVATIONS = tuple(ACTIVATION_NAMES)


class Pooled(NamedTuple):
    """What a head's pooling makes of a map of some width, in numbers.

    shape: width -> the axes of its features. Along each axis those of the first channels come first, so that the linear
    layer of a narrow map is a corner of a wide one's.
    projected: behind a backbone's own blocks, a 1x1 convolution first brings the map to a stated width.
    rule: what a drawing says of it beside the axes; "" where they say all.
    """

    shape: Callable[[int], tuple[int, ...]]
    projected: bool = False
    rule: str = ""


POOLED = {
    "average": Pooled(lambda width: (width,)),
    "bilinear": Pooled(lambda width: (width, width), projected=True, rule="signed root, L2"),
}

POOLINGS = tuple(POOLED)

# What a space offers unless it is told otherwise, as the two lists above; who searched with them has a current result.
HEAD_POOLINGS = ("average", "bilinear")
