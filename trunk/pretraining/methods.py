"""Methods of pre-training a trunk by their names in [trunk] method, and the training by INDeeD.

INDeeD: Identical and Disparate Feature Decomposition from Multi-label Data (Adiya and Lee). f is the backbone's pooled
output, the classifier the linear layers behind it; neither block is left in the trained trunk. It needs images that
carry the labels of several attributes.
"""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from foundation.bounds import recorded
from trunk.errors import TrunkError
from trunk.pretraining.batches import Batch
from trunk.pretraining.indeed import draw_pairs, indeed_loss
from trunk.pretraining.loop import Pretraining
from trunk.pretraining.multi_label import MultiLabelPretraining, class_labels, class_logits
from trunk.pretraining.settings import IndeedSettings


class IndeedPretraining(MultiLabelPretraining):
    """`MultiLabelPretraining` with INDeeD's loss; the pairs of a step are a pure function of (seed, step).

    Raises:
        TrunkError: no training image is known to have two classes, so that there are no partial-coco pairs.
    """

    def __init__(self, *arguments: Any, indeed: IndeedSettings | None = None, **keywords: Any) -> None:
        super().__init__(*arguments, **keywords)
        self.indeed = indeed or IndeedSettings()
        known = torch.from_numpy(self.images.labels[self.plan.rows].astype(np.int64))
        present = (class_labels(known, self.values) == 1).sum(dim=1)
        if int(present.max()) < 2:
            raise TrunkError(
                "INDeeD compares images that share one label and differ in another, but no training image carries two "
                "('yes' of a yes/no attribute, any value of one with more); import a table with several attributes per "
                "image, or set trunk.method to 'dynamic'."
            )

    def identity(self) -> dict[str, Any]:
        return {**super().identity(), "method": "indeed", "indeed": recorded(self.indeed)}

    def loss(self, images: Tensor, batch: Batch) -> Tensor:
        classes = self.classes(batch)
        pairs = torch.from_numpy(draw_pairs(classes.numpy(), np.random.default_rng((self.seed, self.step, 6))))
        loss = indeed_loss(
            self.graph(images).float(),
            classes.to(self.device),
            pairs.to(self.device),
            lambda pooled: class_logits(self.graph, pooled, self.values),
            self.indeed,
        )
        return loss / self.ranks.count


class Method(NamedTuple):
    """A way to pre-train a trunk.

    source: how trunk.json names it. training: its class. settings: its own, a dataclass, beside `PretrainSettings`;
    the training takes them under the method's name, and a version's identity holds them there; None where it has none.
    keys: the key in [trunk] of each of their fields.
    """

    source: str
    training: type[Pretraining]
    settings: type[Any] | None = None
    keys: Mapping[str, str] = {}


METHODS = {
    "dynamic": Method("dynamic graph", Pretraining),
    "multi_label": Method("multi-label training", MultiLabelPretraining),
    "indeed": Method(
        "INDeeD",
        IndeedPretraining,
        IndeedSettings,
        {"normalisation": "indeed_map", "weight": "indeed_weight", "blocks": "indeed_blocks"},
    ),
}


def method_identity(name: str, table: Mapping[str, Any]) -> dict[str, Any]:
    """What a method adds to a version's identity: the dynamic graph nothing. table: the keys and values of [trunk]."""
    if name == "dynamic":
        return {}
    method = METHODS[name]
    own: Any = method.settings and method.settings(**{field: table[key] for field, key in method.keys.items()})
    return {"method": name, **({name: recorded(own)} if own else {})}


def method_of(identity: Mapping[str, Any]) -> Method:
    """The method of a version with this identity."""
    return METHODS[identity.get("method", "dynamic")]


def training_of(identity: Mapping[str, Any]) -> Callable[..., Pretraining]:
    """The training of a version with this identity, its own settings filled in."""
    method, name = method_of(identity), identity.get("method", "dynamic")
    return partial(method.training, **{name: method.settings(**identity[name])}) if method.settings else method.training
