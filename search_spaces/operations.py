"""The names of what a node of a branch may compute; `branches.operations` turns them into modules.

Operations: Efficient Neural Architecture Search via Parameter Sharing (Pham et al., 2018), arXiv:1802.03268,
sections 2.3 and 2.4. Activations are a decision of their own: GraftNet (section 3.3) searches "the choose of activation
layer of each node".
"""

# Section 2.3's six, the macro space's own; identity joins them in cells.
CHAIN_OPERATIONS = ("conv3x3", "conv5x5", "separable3x3", "separable5x5", "average_pool3x3", "max_pool3x3")

OPERATIONS = (*CHAIN_OPERATIONS, "identity")

# Section 2.4's five, the micro space's own.
CELL_OPERATIONS = ("identity", "separable3x3", "separable5x5", "average_pool3x3", "max_pool3x3")

ACTIVATIONS = ("relu", "silu", "hard_swish", "leaky_relu", "gelu", "tanh")

POOLINGS = ("average", "bilinear")
