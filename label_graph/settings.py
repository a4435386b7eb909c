"""Settings of a label graph on pooled features: what `[label_graph]` and `graftnet tune gcn` choose."""

from dataclasses import dataclass
from typing import Annotated

from foundation.bounds import Count, Index, NonNegative, OneOf, Part, Positive, Share, Threshold, check_fields
from label_graph.errors import LabelGraphError

# The names alone, so that no torch is needed to read them; a test holds them against what they name.
GRAPHS = ("cooccurrence", "identity", "none")
NODE_FEATURES = ("image", "image_pca", "words", "identity")
LOSSES = ("asymmetric", "bce", "focal", "weighted")
POOLINGS = ("average", "max")


@dataclass(frozen=True)
class GraphRecipe:
    """Every choice of a label graph: [label_graph] of graftnet.toml.

    graph: edges by co-occurrence, none but a label's own ("identity"), or no graph network at all ("none").
    tau: P(j|i) from which an edge stands, eq. 3. p: the neighbours' share, eq. 4.
    layers: of the graph network. hidden: width between them.
    nodes: "image" (eq. 5), "image_pca" (eq. 6), "words" or "identity". components: of the PCA; 0 for all, eq. 6.
    loss: "asymmetric" (gamma_negative, gamma_positive, clip), "focal" (gamma_negative), "bce", "weighted" (BCE, labels
        weighted by their rarity).
    pooling: of the trunk's maps, "average" or "max".
    patience: epochs without a better val score after which training ends; 0 for none.
    """

    graph: Annotated[str, OneOf(GRAPHS)] = "cooccurrence"
    tau: Threshold = 0.1
    p: Part = 0.2
    layers: Count = 2
    hidden: Count = 256
    nodes: Annotated[str, OneOf(NODE_FEATURES)] = "image_pca"
    components: Index = 0
    loss: Annotated[str, OneOf(LOSSES)] = "asymmetric"
    gamma_negative: NonNegative = 2.0
    gamma_positive: NonNegative = 0.0
    clip: Share = 0.05
    pooling: Annotated[str, OneOf(POOLINGS)] = "average"
    learning_rate: Positive = 2e-3
    weight_decay: NonNegative = 0.02
    epochs: Count = 60
    batch_size: Count = 128
    patience: Index = 15


@dataclass(frozen=True)
class GraphSettings(GraphRecipe):
    """What `label_graph.training.train_label_graph` is given; plain values, so that they name a run's folder."""

    seed: int = 0

    def __post_init__(self) -> None:
        check_fields(self, LabelGraphError, "label_graph.")
