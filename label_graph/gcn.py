"""Graph convolution over labels: each layer mixes a label's features with its neighbours'.

Semi-Supervised Classification with Graph Convolutional Networks (Kipf and Welling, 2016), arXiv:1609.02907, as IML-GCN
(Singh et al.), eq. 2, and ML-GCN (Chen et al., 2019), arXiv:1904.03582, use it: leaky ReLU between layers, no bias. The
adjacency is a buffer: it is counted from the labels and never trained.
"""

from collections.abc import Sequence
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from label_graph.errors import LabelGraphError

SLOPE = 0.2


def graph_convolution(nodes: Tensor, adjacency: Tensor, weight: Tensor) -> Tensor:
    r"""Eq. 2 without its activation, :math:`\hat{A} F W`: nodes (L, d), adjacency (L, L), weight (d, e) -> (L, e)."""
    # The narrower product first.
    if weight.shape[1] < nodes.shape[1]:
        return adjacency @ (nodes @ weight)
    return (adjacency @ nodes) @ weight


class GraphConvolution(nn.Module):
    r"""One layer, :math:`F' = \hat{A} F W`.

    Shapes: nodes (L, inputs), adjacency (L, L) -> (L, outputs).
    """

    def __init__(self, inputs: int, outputs: int, *, generator: torch.Generator | None = None) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(inputs, outputs))
        self.reset_parameters(generator)

    def reset_parameters(self, generator: torch.Generator | None = None) -> None:
        """Glorot's uniform: the scale of the nodes is kept whatever the widths."""
        nn.init.xavier_uniform_(self.weight, generator=generator)

    def forward(self, nodes: Tensor, adjacency: Tensor) -> Tensor:
        return graph_convolution(nodes, adjacency, self.weight)


class GCN(nn.Module):
    r"""Layers of eq. 2, :math:`F^{l+1} = h(\hat{A} F^l W^l)`, h a leaky ReLU but after the last layer.

    Args:
        adjacency: normalised, (L, L); row i holds what label i takes from each label.
        widths: of the node features before the first layer, between layers, and after the last.

    Shapes: nodes (L, widths[0]) -> (L, widths[-1]).

    Raises:
        LabelGraphError: the adjacency is not square, or there is no layer.
    """

    adjacency: Tensor

    def __init__(self, adjacency: Tensor, widths: Sequence[int], *, generator: torch.Generator | None = None) -> None:
        super().__init__()
        if adjacency.dim() != 2 or adjacency.shape[0] != adjacency.shape[1]:
            raise LabelGraphError(f"An adjacency must be square, has shape {tuple(adjacency.shape)}.")
        if len(widths) < 2:
            raise LabelGraphError(f"A graph network needs at least one layer, got the widths {list(widths)}.")
        self.register_buffer("adjacency", adjacency.float())
        self.layers = nn.ModuleList(GraphConvolution(one, two, generator=generator) for one, two in pairwise(widths))

    def reset_parameters(self, generator: torch.Generator | None = None) -> None:
        """Draw the weights of all layers anew."""
        for layer in self.layers:
            assert isinstance(layer, GraphConvolution)
            layer.reset_parameters(generator)

    def forward(self, nodes: Tensor) -> Tensor:
        for number, layer in enumerate(self.layers):
            nodes = layer(nodes if number == 0 else F.leaky_relu(nodes, SLOPE), self.adjacency)
        return nodes
