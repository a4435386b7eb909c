"""IML-GCN end to end: a backbone and the classifiers that a graph makes for it, trained together on images.

IML-GCN: Improved Multi-Label Graph Convolutional Network for Efficient yet Precise Image Classification (Singh et al.
2022), figure 2. As there, the backbone is first trained with a plain classifier; its features give the label nodes
(eq. 5 and 6); then backbone and graph train together. Departures: AdamW with a half cosine in place of Adam with steps,
flips and shifted crops in place of RandAugment, features standardised before the classifiers, the best epoch on val.
"""

import copy
import math
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from label_graph.errors import LabelGraphError
from label_graph.graph import LabelledPool, build_classifier
from label_graph.image_classifier import ImageClassifier, LabelledImages, batches, predict_images
from label_graph.metrics import mean_average_precision
from label_graph.pooling import PooledFeatures, pool
from label_graph.settings import GraphSettings
from label_graph.training import loss_by
from label_graph.training_state import TrainingState
from subdatasets.multilabel import PRESENT
from trunk.augmentation import change, draw_changes
from trunk.backbones import BlockChain
from trunk.precision import autocast, resolve_precision
from trunk.preprocessing import Preprocessing
from trunk.pretrain_settings import PretrainSettings

CHANGES = PretrainSettings()  # of which the changes to pictures are used: flips, shifted crops
CLIP = 5.0  # norm of the gradient


class EndToEndSettings(NamedTuple):
    """How the whole is trained.

    graph: the classifiers, their loss, and epochs, batch and learning rate of the second stage.
    first_epochs: of the plain classifier, in the first stage.
    backbone_rate: the backbone's learning rate in the second stage, as a share of the classifiers'.
    """

    graph: GraphSettings = GraphSettings(batch_size=64, epochs=40, learning_rate=1e-3)
    first_epochs: int = 20
    backbone_rate: float = 0.1
    precision: str = "auto"


class TrainedImages(NamedTuple):
    """The best epoch's network on the CPU, in evaluation mode; scores are mAP on val.

    first_score: of the plain classifier, before the graph. history: a record per epoch, of the second stage.
    """

    module: ImageClassifier
    val_score: float
    epoch: int
    first_score: float
    history: list[dict[str, float]]
    seconds: float


def train_end_to_end(
    chain: BlockChain,
    preprocessing: Preprocessing,
    train: LabelledImages,
    val: LabelledImages,
    settings: EndToEndSettings,
    *,
    labels: Sequence[str],
    words: Path | None = None,
    device: torch.device | str = "cpu",
    folder: Path | None = None,
) -> TrainedImages:
    """Both stages; `chain` itself stays as it is.

    Args:
        chain: a backbone, from its beginning or trained before (`trunk.chain` of a trunk).
        preprocessing: how its images are normalised.
        labels: their names, (L,).
        words: a file of word vectors, for word nodes.
        folder: where checkpoints are kept while training lasts, and continued from; None for none.

    Raises:
        LabelGraphError: a setting cannot be used, there are not two training images, val shows no label, or the
            training diverged.
    """
    plan = settings.graph.checked()
    if settings.first_epochs < 0 or settings.backbone_rate < 0:
        raise LabelGraphError(
            f"first_epochs and backbone_rate must be at least 0, are {settings.first_epochs} and "
            f"{settings.backbone_rate}."
        )
    if len(train.states) < 2 or not (val.states == PRESENT).any():
        raise LabelGraphError(
            "End to end training needs two training images or more, and val images that show a label."
        )
    device = torch.device(device)
    chain = copy.deepcopy(chain).requires_grad_(True).to(device)
    stage = _Stage(preprocessing, train, val, device, resolve_precision(settings.precision, device))
    first = plan._replace(graph="none", epochs=settings.first_epochs, patience=0)
    before = 0.0
    first_score = float("nan")
    if settings.first_epochs:
        classifier = build_classifier(stage.pooled(chain), first, labels=labels)
        state = stage.run(ImageClassifier(chain, classifier).to(device), first, 1.0, _part(folder, "first"))
        first_score, before = state.best_score, state.seconds()
    classifier = build_classifier(stage.pooled(chain), plan, labels=labels, words=words)
    module = ImageClassifier(chain, classifier).to(device)
    state = stage.run(module, plan, settings.backbone_rate, _part(folder, f"graph-{settings.backbone_rate:g}"))
    seconds = before + state.seconds()
    return TrainedImages(module.cpu().eval(), state.best_score, state.best_epoch, first_score, state.history, seconds)


class _Stage(NamedTuple):
    """What both stages share: the images, and where and how they are computed."""

    preprocessing: Preprocessing
    train: LabelledImages
    val: LabelledImages
    device: torch.device
    precision: str

    def run(self, module: ImageClassifier, plan: GraphSettings, share: float, folder: Path | None) -> TrainingState:
        """Train to the end, and give the module its best epoch's weights; `share` is the backbone's learning rate's."""
        targets = torch.from_numpy(self.train.states).to(self.device)
        loss = loss_by(plan, targets)
        optimizer = _optimizer(module, plan, share)
        state = TrainingState(module, optimizer, plan, folder)
        state.resume()
        size = min(plan.batch_size, len(targets))
        steps = len(targets) // size
        while not state.finished:
            rng = np.random.default_rng([plan.seed, state.epoch + 1])
            order = rng.permutation(len(targets))[: steps * size].reshape(steps, size)
            module.train()
            total = 0.0
            for step, rows in enumerate(order):
                done = (state.epoch + step / steps) / plan.epochs
                for group in optimizer.param_groups:
                    group["lr"] = plan.learning_rate * group["share"] * 0.5 * (1 + math.cos(math.pi * done))
                pixels = self.train.pixels(rows)
                pixels = change(pixels, draw_changes(size, pixels.shape[1], CHANGES, rng), CHANGES)
                value = loss(self.logits(module, pixels), targets[torch.from_numpy(rows)])
                optimizer.zero_grad(set_to_none=True)
                value.backward()  # type: ignore[no-untyped-call]
                nn.utils.clip_grad_norm_(module.parameters(), CLIP)
                optimizer.step()
                total += value.item() / steps
            scores = predict_images(module, self.preprocessing, self.val)
            if not math.isfinite(total) or not bool(scores.isfinite().all()):
                raise LabelGraphError(
                    f"End to end training diverged in epoch {state.epoch + 1}; lower the learning rate, now "
                    f"{plan.learning_rate}."
                )
            state.advance(loss=total, score=mean_average_precision(scores, torch.from_numpy(self.val.states)))
        state.restore_best()
        return state

    def logits(self, module: ImageClassifier, pixels: NDArray[np.uint8]) -> Tensor:
        """uint8 (n, S, S, 3) -> (n, L), the backbone at the stage's precision, the classifiers in float32."""
        images = self.preprocessing.normalise(torch.from_numpy(np.ascontiguousarray(pixels)).to(self.device))
        with autocast(self.precision, self.device):
            maps = module.chain(images)
        found: Tensor = module.classifier(maps.float())
        return found

    @torch.no_grad()
    def pooled(self, chain: BlockChain) -> LabelledPool:
        """The backbone's features of the training images as they are now, pooled both ways."""
        chain.eval()
        maps = []
        for rows in batches(len(self.train.states), 64):
            images = self.preprocessing.normalise(torch.from_numpy(self.train.pixels(rows)).to(self.device))
            found = chain(images).float()
            maps.append((pool(found, "average").cpu(), pool(found, "max").cpu()))
        average, largest = (torch.cat(parts) for parts in zip(*maps, strict=True))
        return LabelledPool(PooledFeatures(average, largest), self.train.states)


def _optimizer(module: ImageClassifier, plan: GraphSettings, share: float) -> torch.optim.AdamW:
    """AdamW; matrices and filters decay. Each group holds its share of the learning rate."""
    groups = []
    for part, rate in ((module.chain, share), (module.classifier, 1.0)):
        for decays in (True, False):
            chosen = [one for one in part.parameters() if (one.dim() > 1) == decays]
            decay = plan.weight_decay if decays else 0.0
            groups.append({"params": chosen, "weight_decay": decay, "share": rate})
    return torch.optim.AdamW([group for group in groups if group["params"]], lr=plan.learning_rate)


def _part(folder: Path | None, name: str) -> Path | None:
    return None if folder is None else folder / name
