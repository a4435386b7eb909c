"""IML-GCN end to end: train a backbone with a plain classifier, embed the labels by it, train both with the graph.

IML-GCN: Improved Multi-Label Graph Convolutional Network for Efficient yet Precise Image Classification (Singh et al.),
"Proposed approach" and "Implementation details". Departures: the random changes of images are this toolkit's, not
RandAugment; the backbone may be any of `trunk.backbones.chain`; features are standardised by what the backbone gives
before the second stage; labels may be unknown.
"""

import copy
import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from label_graph.building import LabelledPool, build_classifier
from label_graph.classifier import LabelClassifier, PooledFeatures, pool
from label_graph.errors import LabelGraphError
from label_graph.metrics import mean_average_precision
from label_graph.settings import GraphSettings
from label_graph.training import Report, TrainingState, loss_by
from subdatasets.labels.table import PRESENT, LabelTable
from trunk.backbones.chain import BlockChain
from trunk.backbones.find import block_shapes, find_backbone
from trunk.images import DECODING_THREADS, HeldImages, ahead
from trunk.precision import autocast, resolve_precision
from trunk.preprocessing import Preprocessing
from trunk.pretraining.batches import change, draw_changes
from trunk.pretraining.settings import PretrainSettings

BATCH_SIZE = 64


class ImageLabeller(nn.Module):
    """A backbone's blocks and the classifiers on its last map (IML-GCN, figure 2).

    Shapes: images (N, 3, height, width), normalised -> logits (N, L).
    """

    def __init__(self, chain: BlockChain, classifier: LabelClassifier) -> None:
        super().__init__()
        self.chain = chain
        self.classifier = classifier

    def forward(self, images: Tensor) -> Tensor:
        maps = self.chain(images)
        # The classifiers stay in float32, whatever the backbone runs in: small weights would be rounded away.
        with torch.autocast(maps.device.type, enabled=False):
            logits: Tensor = self.classifier(maps.float())
        return logits


def image_batches(
    held: HeldImages, rows: NDArray[np.int64], device: torch.device, *, batch_size: int = BATCH_SIZE
) -> Iterator[Tensor]:
    """Images of these rows, normalised, in order; they are decoded ahead, in threads."""
    batches: Iterable[NDArray[np.int64]] = np.split(rows, range(batch_size, len(rows), batch_size))
    for pixels in ahead(held.pixels, batches, threads=DECODING_THREADS, depth=4):
        yield held.preprocessing.normalise(torch.from_numpy(pixels).to(device))


@torch.no_grad()
def score_images(network: ImageLabeller, images: Iterable[Tensor], precision: str = "float32") -> Tensor:
    """Probabilities float64 (N, L), on the CPU; the network is left in evaluation mode."""
    network.eval()
    device = next(network.parameters()).device
    scores = []
    for batch in images:
        with autocast(precision, device):
            scores.append(network(batch).cpu().double().sigmoid())
    return torch.cat(scores)


@torch.no_grad()
def embed_images(chain: BlockChain, images: Iterable[Tensor], precision: str = "float32") -> PooledFeatures:
    """Pooled features of the last map (F_GAP of the paper, and by maximum), on the CPU, in evaluation mode."""
    chain.eval()
    device = next(chain.parameters()).device
    average, maximum = [], []
    for batch in images:
        with autocast(precision, device):
            maps = chain(batch)
        average.append(pool(maps.float(), "average").cpu())
        maximum.append(pool(maps.float(), "max").cpu())
    return PooledFeatures(torch.cat(average), torch.cat(maximum))


STAGES = ("direct", "graph")
BACKBONE = "tresnet_m"


class EndToEndSettings(NamedTuple):
    """The paper's recipe as the default.

    graph: of the second stage, and the loss, pooling, learning rate, weight decay, batch size and seed of both.
    direct_epochs: of the first stage, at most; 0 begins with the graph on the weights that are given.
    decay_at: epochs after which the learning rate is a tenth.
    images: how images are changed at random (flip, pad, jitter, erase), gradients clipped, and the precision.
    """

    graph: GraphSettings = GraphSettings(
        gamma_negative=4.0, gamma_positive=1.0, learning_rate=1e-3, weight_decay=5e-4, epochs=40, hidden=1024
    )
    direct_epochs: int = 40
    decay_at: tuple[int, ...] = (10, 20, 30)
    images: PretrainSettings = PretrainSettings()


class Labelling(NamedTuple):
    """The networks of the best epochs on val, in evaluation mode on the CPU: with the graph, and of the first stage.

    Without a first stage, ``direct`` is None and its score nan. history: stage -> a record per epoch.
    """

    network: ImageLabeller
    val_score: float
    direct: ImageLabeller | None
    direct_score: float
    history: dict[str, list[dict[str, float]]]


class EndToEnd:
    """One training in a folder, which keeps a checkpoint per stage; call :meth:`run` again to continue.

    Args:
        table: images and labels, each image in a split; train and val are used.
        backbone: a name of `trunk.backbones.chain`. weights: of its blocks, to begin with; None draws new ones.
        words: a file of word vectors, for word nodes.

    Raises:
        LabelGraphError: a setting cannot be used, train has no two images, or val shows no label.
    """

    def __init__(
        self,
        table: LabelTable,
        preprocessing: Preprocessing,
        settings: EndToEndSettings,
        *,
        folder: Path,
        backbone: str = BACKBONE,
        weights: Mapping[str, Tensor] | None = None,
        words: Path | None = None,
        device: torch.device | None = None,
    ) -> None:
        self.table = table
        self.backbone = backbone
        self.settings = settings
        self.folder = folder
        self.weights = weights
        self.words = words
        self.device = device or torch.device("cpu")
        self.precision = resolve_precision(settings.images.precision, self.device)
        self.held = HeldImages(table.images, preprocessing)
        self.rows = {split: np.flatnonzero(np.array(table.splits) == split) for split in ("train", "val")}
        if len(self.rows["train"]) < 2 or not (table.states[self.rows["val"]] == PRESENT).any():
            raise LabelGraphError(
                f"Training end to end needs two training images and val images that show some label; the table has "
                f"{len(self.rows['train'])} and {len(self.rows['val'])}: give it a column `split` with train and val."
            )

    def run(self, report: Report | None = None) -> Labelling:
        """Both stages, or what is left of them; ``report`` hears (epoch, val mAP), the epochs counted through."""
        with torch.random.fork_rng(devices=[]):
            # The source libraries initialise their layers from the global generator; it is put back afterwards.
            torch.manual_seed(self.settings.graph.seed)
            chain = find_backbone(self.backbone).build()
        if self.weights is not None:
            chain.load_state_dict(dict(self.weights), strict=False)
        chain.to(self.device).to(memory_format=torch.channels_last)
        channels = block_shapes(self.backbone, self.held.preprocessing.shape)[-1][0]
        graph, history = self.settings.graph, {}
        direct, direct_score, before = None, math.nan, 0
        if self.settings.direct_epochs:
            generator = torch.Generator().manual_seed(graph.seed)
            plain = LabelClassifier(channels, len(self.table.labels), pooling=graph.pooling, generator=generator)
            first = replace(graph, epochs=self.settings.direct_epochs)
            state = self.train(ImageLabeller(chain, plain), "direct", first, report, before)
            direct = copy.deepcopy(ImageLabeller(chain, plain)).cpu().eval()
            history["direct"], direct_score, before = state.history, state.best_score, state.epoch
        network = ImageLabeller(chain, self.graph_classifier(chain))
        state = self.train(network, "graph", graph, report, before)
        history["graph"] = state.history
        return Labelling(network.cpu().eval(), state.best_score, direct, direct_score, history)

    def graph_classifier(self, chain: BlockChain) -> LabelClassifier:
        """The second stage's classifiers: nodes are what the backbone gives for the training images (eq. 5, 6)."""
        rows = self.rows["train"]
        embedded = embed_images(chain, image_batches(self.held, rows, self.device), self.precision)
        train = LabelledPool(embedded, self.table.states[rows])
        return build_classifier(train, self.settings.graph, labels=self.table.labels, words=self.words)

    def train(
        self, network: ImageLabeller, stage: str, settings: GraphSettings, report: Report | None, before: int
    ) -> TrainingState:
        """One stage, from its checkpoint where there is one; the network is left with its best weights."""
        network.to(self.device)
        optimizer = torch.optim.Adam(
            network.parameters(), lr=settings.learning_rate, weight_decay=settings.weight_decay
        )
        about = [stage, self.backbone, self.held.preprocessing.to_json(), list(self.table.labels), len(self.table)]
        state = TrainingState(network, optimizer, settings, self.folder / stage, about=about)
        state.resume()
        rows, states = self.rows["train"], torch.from_numpy(self.table.states.copy()).to(self.device)
        loss = loss_by(settings, states[torch.from_numpy(rows).to(self.device)])
        known = states[torch.from_numpy(self.rows["val"]).to(self.device)].cpu()
        while not state.finished:
            rate = settings.learning_rate * 0.1 ** sum(state.epoch >= epoch for epoch in self.settings.decay_at)
            for group in optimizer.param_groups:
                group["lr"] = rate
            losses = []
            network.train()
            for pixels, drawn in self.epoch_batches(stage, state.epoch, settings):
                images = self.held.preprocessing.normalise(torch.from_numpy(pixels).to(self.device))
                with autocast(self.precision, self.device):
                    logits = network(images)
                value = loss(logits.float(), states[torch.from_numpy(drawn).to(self.device)])
                optimizer.zero_grad(set_to_none=True)
                value.backward()  # type: ignore[no-untyped-call]
                if self.settings.images.gradient_clip:
                    torch.nn.utils.clip_grad_norm_(network.parameters(), self.settings.images.gradient_clip)
                optimizer.step()
                losses.append(value.detach())
            mean_loss = float(torch.stack(losses).mean())
            scores = score_images(network, image_batches(self.held, self.rows["val"], self.device), self.precision)
            if not math.isfinite(mean_loss) or not bool(scores.isfinite().all()):
                raise LabelGraphError(
                    f"The {stage} stage diverged in epoch {state.epoch + 1}; lower the learning rate, now {rate}."
                )
            state.advance(loss=mean_loss, score=mean_average_precision(scores, known))
            if report:
                report(before + state.epoch, state.history[-1]["val_score"])
        state.restore_best()
        return state

    def epoch_batches(
        self, stage: str, epoch: int, settings: GraphSettings
    ) -> Iterator[tuple[NDArray[np.uint8], NDArray[np.int64]]]:
        """An epoch's images, changed at random, with their rows; a pure function of seed, stage and epoch."""
        key = [settings.seed, STAGES.index(stage), epoch]
        rows = np.random.default_rng(key).permutation(self.rows["train"])
        batches = np.array_split(rows, math.ceil(len(rows) / settings.batch_size))

        def load(number: int) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
            rng = np.random.default_rng([*key, number])
            pixels = self.held.pixels(batches[number])
            changes = draw_changes(len(pixels), self.held.preprocessing.shape, self.settings.images, rng)
            return change(pixels, changes, self.settings.images), batches[number]

        return ahead(load, range(len(batches)), threads=DECODING_THREADS, depth=4)
