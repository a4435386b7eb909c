"""Pre-training a trunk by INDeeD, on images that carry the labels of several attributes.

INDeeD: Identical and Disparate Feature Decomposition from Multi-label Data (Adiya and Lee). f is the backbone's pooled
output, the classifier the linear layers behind it; neither block is left in the trained trunk.
"""

from dataclasses import asdict
from typing import Any

import numpy as np
import torch
from torch import Tensor

from trunk.batch_plan import Batch
from trunk.errors import TrunkError
from trunk.indeed import indeed_loss
from trunk.indeed_pairs import draw_pairs
from trunk.multi_label import MultiLabelPretraining, class_labels, class_logits
from trunk.pretrain_settings import IndeedSettings


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
        return {**super().identity(), "method": "indeed", "indeed": asdict(self.indeed)}

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
