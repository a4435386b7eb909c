"""How a label graph is built and trained on pooled features: what `[label_graph]` and `graftnet tune gcn` choose."""

from typing import NamedTuple

from label_graph.classifier import POOLINGS
from label_graph.errors import LabelGraphError
from label_graph.losses import LOSSES
from label_graph.nodes import NODE_FEATURES

GRAPHS = ("cooccurrence", "identity", "none")


class GraphSettings(NamedTuple):
    """Every choice of `label_graph.training.train_label_graph`; plain values, so that they name a run's folder.

    graph: edges by co-occurrence, none but a label's own ("identity"), or no graph network at all ("none").
    tau: P(j|i) from which an edge stands, eq. 3. p: the neighbours' share, eq. 4.
    layers: of the graph network. hidden: width between them.
    nodes: "image" (eq. 5), "image_pca" (eq. 6), "words" or "identity". components: of the PCA; 0 for all, eq. 6.
    loss: "asymmetric" (gamma_negative, gamma_positive, clip), "focal" (gamma_negative), "bce", "weighted" (BCE, labels
        weighted by their rarity).
    pooling: of the trunk's maps, "average" or "max".
    patience: epochs without a better val score after which training ends; 0 for none.
    """

    graph: str = "cooccurrence"
    tau: float = 0.1
    p: float = 0.2
    layers: int = 2
    hidden: int = 256
    nodes: str = "image_pca"
    components: int = 0
    loss: str = "asymmetric"
    gamma_negative: float = 2.0
    gamma_positive: float = 0.0
    clip: float = 0.05
    pooling: str = "average"
    learning_rate: float = 2e-3
    weight_decay: float = 0.02
    epochs: int = 60
    batch_size: int = 128
    patience: int = 15
    seed: int = 0

    def checked(self) -> "GraphSettings":
        """These settings, when each may be used.

        Raises:
            LabelGraphError: one may not; it says which, what it is and what it may be.
        """
        for name, allowed in (
            ("graph", GRAPHS),
            ("nodes", NODE_FEATURES),
            ("loss", tuple(LOSSES)),
            ("pooling", tuple(POOLINGS)),
        ):
            if getattr(self, name) not in allowed:
                raise LabelGraphError(
                    f"label_graph.{name} must be one of {', '.join(allowed)}, is {getattr(self, name)!r}."
                )
        if not 0 <= self.p <= 1:
            raise LabelGraphError(f"label_graph.p must lie between 0 and 1, is {self.p}.")
        if not 0 <= self.clip < 1:
            raise LabelGraphError(f"label_graph.clip must lie in [0, 1), is {self.clip}.")
        if not 0 < self.tau <= 1:
            raise LabelGraphError(f"label_graph.tau must be above 0 and at most 1, is {self.tau}.")
        for name in ("layers", "hidden", "epochs", "batch_size"):
            if getattr(self, name) < 1:
                raise LabelGraphError(f"label_graph.{name} must be at least 1, is {getattr(self, name)}.")
        for name in ("components", "patience", "gamma_negative", "gamma_positive", "weight_decay"):
            if not getattr(self, name) >= 0:
                raise LabelGraphError(f"label_graph.{name} must be at least 0, is {getattr(self, name)}.")
        if not self.learning_rate > 0:
            raise LabelGraphError(f"label_graph.learning_rate must be above 0, is {self.learning_rate}.")
        return self
