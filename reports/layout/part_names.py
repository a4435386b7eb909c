"""What operations and activations are called in a report, and which family of colours an operation has."""

OPERATION_NAMES = {
    "conv3x3": "convolution 3×3",
    "conv5x5": "convolution 5×5",
    "separable3x3": "separable 3×3",
    "separable5x5": "separable 5×5",
    "average_pool3x3": "average pool 3×3",
    "max_pool3x3": "max pool 3×3",
    "identity": "identity",
}
ACTIVATION_NAMES = {
    "relu": "ReLU",
    "silu": "SiLU",
    "hard_swish": "hard swish",
    "leaky_relu": "leaky ReLU",
    "gelu": "GELU",
    "tanh": "tanh",
}


def family_of(operation: str) -> str:
    """ "conv", "separable", "pooling" or "identity"."""
    return "pooling" if "pool" in operation else operation.rstrip("0123456789x")
