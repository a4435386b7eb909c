"""Classifiers of labels that a graph makes: pooling, graph convolution, W = GCN(nodes); at work, W is a constant.

IML-GCN: Improved Multi-Label Graph Convolutional Network for Efficient yet Precise Image Classification (Singh et al.),
figure 2. Beside the paper's: features may be standardised first (by the training images' statistics), and a label may
have a bias, which rare labels need where features have no mean; both are folded into the constant.

Semi-Supervised Classification with Graph Convolutional Networks (Kipf and Welling, 2016), arXiv:1609.02907, as IML-GCN,
eq. 2, and ML-GCN (Chen et al., 2019), arXiv:1904.03582, use it: each layer mixes a label's features with its
neighbours', leaky ReLU between layers, no bias. The adjacency is a buffer: it is counted from the labels and never
trained.
"""

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Literal, NamedTuple, Self

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from label_graph.errors import LabelGraphError
from trunk.features.source import FeatureSource

Pooling = Literal["average", "max"]
POOLINGS: dict[str, Callable[[Tensor], Tensor]] = {
    "average": lambda maps: maps.mean(dim=(2, 3)),
    "max": lambda maps: maps.amax(dim=(2, 3)),
}


def pool(features: Tensor, pooling: str) -> Tensor:
    """(N, C, H, W) -> (N, C); what is pooled already, (N, C), is returned as it is.

    Raises:
        LabelGraphError: there is no pooling of this name.
    """
    if pooling not in POOLINGS:
        raise LabelGraphError(f"label_graph.pooling must be one of {', '.join(POOLINGS)}, is {pooling!r}.")
    return features if features.dim() == 2 else POOLINGS[pooling](features)


class PooledFeatures(NamedTuple):
    """The same images' features pooled both ways, each float32 (N, C), so that a tuner may choose between them."""

    average: Tensor
    max: Tensor

    def by(self, pooling: str) -> Tensor:
        """The ones of this pooling."""
        if pooling not in POOLINGS:
            raise LabelGraphError(f"label_graph.pooling must be one of {', '.join(POOLINGS)}, is {pooling!r}.")
        pooled: Tensor = getattr(self, pooling)
        return pooled

    def rows(self, index: Tensor) -> Self:
        """Those of some images, int64 (n,)."""
        return type(self)(self.average[index], self.max[index])


def pool_features(features: FeatureSource, *, batch_size: int = 512) -> PooledFeatures:
    """Pool every row of a cache, or of an array, both ways."""
    parts = []
    for rows in torch.split(torch.arange(len(features)), batch_size):
        maps = features.gather(rows)
        parts.append((pool(maps, "average"), pool(maps, "max")))
    if not parts:
        return PooledFeatures(torch.empty(0, features.shape[0]), torch.empty(0, features.shape[0]))
    return PooledFeatures(torch.cat([one for one, _ in parts]), torch.cat([two for _, two in parts]))


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


DEVIATION_FLOOR = 1e-6


class LabelClassifier(nn.Module):
    """One linear classifier per label; a graph network makes them all, or without one (``gcn`` None) they are free.

    Args:
        features: how many a pooled image has, C. labels: L.
        gcn: nodes (L, d) -> (L, C). nodes: what it starts from, a buffer.
        mean, deviation: (C,) each, of the training images' pooled features; None leaves features as they are.
        bias: whether each label has one.

    Shapes: features (N, C, H, W), or pooled (N, C) -> logits (N, L).
    """

    mean: Tensor
    deviation: Tensor
    nodes: Tensor

    def __init__(
        self,
        features: int,
        labels: int,
        *,
        gcn: GCN | None = None,
        nodes: Tensor | None = None,
        pooling: str = "average",
        mean: Tensor | None = None,
        deviation: Tensor | None = None,
        bias: bool = True,
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__()
        assert (gcn is None) == (nodes is None), "a graph network and its nodes come together"
        self.pooling = pooling
        self.gcn = gcn
        self.register_buffer("nodes", torch.empty(0) if nodes is None else nodes.float())
        self.free = nn.Parameter(torch.empty(labels, features)) if gcn is None else None
        self.bias = nn.Parameter(torch.zeros(labels)) if bias else None
        self.register_buffer("mean", torch.zeros(features) if mean is None else mean.float())
        spread = torch.ones(features) if deviation is None else deviation.float()
        self.register_buffer("deviation", spread.masked_fill(spread < DEVIATION_FLOOR, 1.0))
        if self.free is not None:
            self.reset_parameters(generator)

    def reset_parameters(self, generator: torch.Generator | None = None) -> None:
        """Draw all weights anew; biases become 0."""
        if self.gcn is not None:
            self.gcn.reset_parameters(generator)
        if self.free is not None:
            bound = self.free.shape[1] ** -0.5
            nn.init.uniform_(self.free, -bound, bound, generator=generator)
        if self.bias is not None:
            nn.init.zeros_(self.bias)

    def weight(self) -> Tensor:
        """W (L, C), one classifier per row."""
        if self.gcn is None:
            assert self.free is not None
            return self.free
        made: Tensor = self.gcn(self.nodes)
        return made

    def forward(self, features: Tensor) -> Tensor:
        pooled = (pool(features, self.pooling) - self.mean) / self.deviation
        return F.linear(pooled, self.weight(), self.bias)

    @torch.no_grad()
    def constant(self) -> "ConstantClassifier":
        """The same classifiers without the graph: standardisation and bias go into one linear layer."""
        weight = self.weight().double() / self.deviation.double()
        bias = -(weight @ self.mean.double())
        if self.bias is not None:
            bias = bias + self.bias.double()
        return ConstantClassifier(weight.float(), bias.float(), pooling=self.pooling).eval()


class ConstantClassifier(nn.Module):
    """Pooling and one linear layer: all that is left of a label graph at work.

    Shapes: features (N, C, H, W), or pooled (N, C) -> logits (N, L).
    """

    def __init__(self, weight: Tensor, bias: Tensor, *, pooling: str = "average") -> None:
        super().__init__()
        labels, features = weight.shape
        self.pooling = pooling
        self.linear = nn.utils.skip_init(nn.Linear, features, labels)  # type: ignore[no-untyped-call]
        with torch.no_grad():
            self.linear.weight.copy_(weight)
            self.linear.bias.copy_(bias)

    def forward(self, features: Tensor) -> Tensor:
        logits: Tensor = self.linear(pool(features, self.pooling))
        return logits
