"""Label classifiers that a graph makes: W = GCN(nodes), applied to pooled features; at work, W is a constant.

IML-GCN: Improved Multi-Label Graph Convolutional Network for Efficient yet Precise Image Classification (Singh et al.),
figure 2. Beside the paper's: features may be standardised first (by the training images' statistics), and a label may
have a bias, which rare labels need where features have no mean; both are folded into the constant.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from label_graph.gcn import GCN
from label_graph.pooling import pool

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
        found: Tensor = self.gcn(self.nodes)
        return found

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
