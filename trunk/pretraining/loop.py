"""The loop that pre-trains a trunk: mixed precision, warm-up and cosine, checkpoints, validation per attribute, ranks.

GraftNet: An Efficient and Flexible Multi-label Image Classification and Its Application (Jia et al.), section 3.2.
Several ranks (:mod:`trunk.pretraining.ranks`) share each step's batch and end, but for rounding, as one process would.
"""

import itertools
import math
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from foundation.bounds import recorded
from foundation.history import History, Progress, read_history
from foundation.records import reading
from subdatasets.subdataset import SubDataset
from trunk.backbones.find import block_shapes, find_backbone
from trunk.checkpoints import (
    decay_groups,
    load_checkpoint,
    optimizer_tensors,
    restore_optimizer,
    restoring,
    save_checkpoint,
)
from trunk.errors import TrunkError
from trunk.images import DECODING_THREADS, HeldImages, ahead
from trunk.precision import autocast, resolve_precision
from trunk.preprocessing import Preprocessing
from trunk.pretraining.batches import Batch, BatchPlan, change, draw_changes
from trunk.pretraining.dynamic_graph import DynamicGraph, PooledImages, auroc_per_attribute, pool_images
from trunk.pretraining.fine_tuning import parameter_groups, set_modes
from trunk.pretraining.norms import join_norms, part_norms, reestimate
from trunk.pretraining.ranks import Ranks
from trunk.pretraining.settings import PretrainSettings, learning_rate_at
from trunk.trunk import Trunk, trunk_state

REPORT_EVERY = 20
ALONE = Ranks()


class Pretraining:
    """One pre-training run in a folder: ``checkpoint.safetensors`` and ``history.jsonl`` while it lasts.

    ranks: the processes that train together; all of them read the folder's checkpoint, the first writes.
    hashes: the content hash of every image, where they are known.
    start: its weights are where the training begins; None: random ones.
    """

    def __init__(
        self,
        subdatasets: Sequence[SubDataset],
        backbone: str,
        preprocessing: Preprocessing,
        settings: PretrainSettings,
        *,
        folder: Path,
        seed: int = 0,
        device: torch.device | None = None,
        ranks: Ranks = ALONE,
        hashes: Mapping[Path, str] | None = None,
        start: Trunk | None = None,
    ) -> None:
        self.subdatasets = subdatasets
        self.backbone = backbone
        self.preprocessing = preprocessing
        self.settings = settings
        self.folder = folder
        self.seed = seed
        self.ranks = ranks
        self.device = device or torch.device("cpu")
        self.precision = resolve_precision(settings.precision, self.device)
        self.images: PooledImages = pool_images(subdatasets, hashes=hashes)
        self.held = HeldImages(self.images.paths, preprocessing)
        self.plan = self.batch_plan()
        if settings.batch_size < ranks.count * self.plan.attributes_per_step:
            raise TrunkError(
                f"trunk.batch_size must hold an image of each of a step's {self.plan.attributes_per_step} attributes "
                f"for each of the {ranks.count} ranks, is {settings.batch_size}."
            )
        with torch.random.fork_rng(devices=[]):
            # The source libraries initialise their layers from the global generator; it is put back afterwards.
            torch.manual_seed(seed)
            chain = find_backbone(backbone).build()
        self.start = start.fingerprint if start else None
        if start is not None:
            if start.backbone != backbone:
                raise TrunkError(f"A {backbone} cannot begin from the weights of a {start.backbone}; give its own.")
            if not settings.tune_frozen < len(chain):
                raise TrunkError(
                    f"trunk.tune_frozen must leave a block of {backbone}'s {len(chain)} to train, is "
                    f"{settings.tune_frozen}."
                )
            chain.load_state_dict(trunk_state(start.chain), strict=False)
        channels = block_shapes(backbone, preprocessing.shape)[-1][0]
        values = [len(subdataset.attribute.values) for subdataset in subdatasets]
        generator = torch.Generator().manual_seed(seed)
        self.graph = DynamicGraph(chain, channels, values, generator=generator)
        self.graph.to(self.device).to(memory_format=torch.channels_last)
        if ranks.count > 1:
            join_norms(self.graph.chain, ranks)
        groups = parameter_groups(self.graph, settings) if start else decay_groups(self.graph, settings.weight_decay)
        self.optimizer = torch.optim.AdamW(
            groups,
            lr=settings.learning_rate,
            fused=self.device.type in ("cpu", "cuda"),
        )
        self.step = 0
        self.seconds = 0.0
        self.auroc: dict[str, float] = {}

    def batch_plan(self) -> BatchPlan:
        """Which images each step trains on."""
        return BatchPlan(
            self.images,
            batch_size=self.settings.batch_size,
            attributes_per_step=self.settings.attributes_per_step,
            sampling=self.settings.sampling,
            balanced=self.settings.balanced,
            shared_labels=self.settings.shared_labels,
            seed=self.seed,
        )

    @property
    def checkpoint(self) -> Path:
        return self.folder / "checkpoint.safetensors"

    def identity(self) -> dict[str, Any]:
        """What a checkpoint must agree on before it is continued."""
        return {
            "backbone": self.backbone,
            "preprocessing": self.preprocessing.to_json(),
            "settings": {**recorded(self.settings), "precision": self.precision},
            "seed": self.seed,
            "attributes": {s.attribute.name: list(s.attribute.values) for s in self.subdatasets},
            "images": len(self.images.paths),
            **({"start": self.start} if self.start else {}),
        }

    def save(self) -> None:
        """Write the checkpoint, atomically."""
        history = self.folder / "history.jsonl"
        record = {
            "identity": self.identity(),
            "step": self.step,
            "seconds": self.seconds,
            "auroc": self.auroc,
            "history": history.stat().st_size if history.exists() else 0,
        }
        tensors = {**self.graph.state_dict(), **optimizer_tensors(self.optimizer)}
        save_checkpoint(self.checkpoint, tensors, record)

    def resume(self) -> bool:
        """Continue from the folder's checkpoint when there is one; False when there is none.

        Raises:
            TrunkError: the checkpoint is of a run with other settings or data.
        """
        if not self.checkpoint.exists():
            return False
        tensors, record = load_checkpoint(self.checkpoint)
        with restoring(self.checkpoint):
            theirs = dict(record["identity"])
        if theirs != self.identity():
            differing = [key for key, value in self.identity().items() if theirs.get(key) != value]
            raise TrunkError(
                f"{self.checkpoint} is of a training with other {', '.join(differing)}; restore those settings to "
                f"continue it, or delete the file to start anew."
            )
        with restoring(self.checkpoint):
            own = {k: v for k, v in tensors.items() if not k.startswith("optimizer.")}
            self.graph.load_state_dict(own)
            restore_optimizer(self.optimizer, tensors)
            self.step, self.seconds, self.auroc = record["step"], record["seconds"], record["auroc"]
        if self.ranks.first and "history" in record:  # those of earlier versions do not say
            History(self.folder / "history.jsonl").require(record["history"])
        return True

    def load_batch(self, step: int) -> tuple[NDArray[np.uint8], Batch]:
        """This rank's images of one step, changed at random; runs in the decoding threads."""
        batch = self.plan.batch(step)
        rng = np.random.default_rng((self.seed, step, 1))
        changes = draw_changes(len(batch.rows), self.preprocessing.shape, self.settings, rng)
        mine = batch.part(self.ranks.rank, self.ranks.count)
        return change(
            self.held.pixels(mine.rows), changes.of(slice(self.ranks.rank, None, self.ranks.count)), self.settings
        ), mine

    def loss(self, images: Tensor, batch: Batch) -> Tensor:
        """What a step minimises, here eq. 1: this rank's part, which the ranks sum."""
        labels = torch.from_numpy(batch.labels).to(self.device, non_blocking=True)
        parts = batch.sizes if self.settings.batch_statistics == "attribute" else None
        mean = self.settings.losses == "mean"
        return self.graph.loss(images, labels, known=batch.known.tolist(), parts=parts, mean=mean)

    def train_step(self, pixels: Tensor, batch: Batch) -> Tensor:
        """One update; this rank's part of the loss stays on the device."""
        for group in self.optimizer.param_groups:
            group["lr"] = learning_rate_at(self.step, self.settings) * group.get("share", 1.0)
        if self.step == self.settings.tune_head_steps:
            self.set_modes()  # the blocks join the heads
        images = self.preprocessing.normalise(pixels.to(self.device, non_blocking=True))
        with autocast(self.precision, self.device):
            loss = self.loss(images, batch)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        self.ranks.sum_gradients(self.graph.parameters())
        if self.settings.gradient_clip:
            torch.nn.utils.clip_grad_norm_(self.graph.parameters(), self.settings.gradient_clip)
        self.optimizer.step()
        return loss.detach()

    def set_modes(self) -> None:
        """What learns from here on, and how."""
        if self.start:
            set_modes(self.graph, self.settings, self.step)
        else:
            self.graph.train()

    def mixture(self) -> Iterator[Tensor]:
        """This rank's share of batches that hold ``reestimate_images`` training images of all sub-datasets."""
        rows = np.concatenate([value_rows for by_value in self.images.train_rows for value_rows in by_value])
        drawn = np.random.default_rng((self.seed, 0, 3)).permutation(rows)[: self.settings.reestimate_images]
        count = max(1, len(drawn) // self.settings.batch_size)
        shares = [batch[self.ranks.rank :: self.ranks.count] for batch in np.array_split(drawn, count)]
        yield from self.normalised(shares)

    def normalised(self, batches: Iterable[NDArray[np.int64]]) -> Iterator[Tensor]:
        """Batches of images (rows of :attr:`images`) as the network reads them."""
        for pixels in ahead(self.held.pixels, batches, threads=DECODING_THREADS, depth=4):
            yield self.preprocessing.normalise(torch.from_numpy(pixels).to(self.device))

    def validate(self) -> dict[str, float]:
        """AUROC per attribute on at most ``val_images`` val images each."""
        names = [subdataset.attribute.name for subdataset in self.subdatasets]
        figures = auroc_per_attribute(
            self.graph,
            self.images,
            names,
            self.normalised,
            limit=self.settings.val_images,
            precision=self.precision,
            rng=np.random.default_rng((self.seed, 0, 2)),
        )
        return figures

    def run(self, *, progress: Progress | None = None) -> Trunk:
        """Train from the current step to the last, then freeze; call :meth:`resume` first to continue.

        Only convolution and batch-norm weights go into the trunk; the linear layers are left behind.
        """
        settings, first = self.settings, self.ranks.first
        self.ranks.check_equal(self.graph, "at the start")
        self.folder.mkdir(parents=True, exist_ok=True)
        self.set_modes()
        history = history_until(self.folder / "history.jsonl", self.step) if first else None
        batches = ahead(self.load_batch, range(self.step, settings.steps), threads=DECODING_THREADS, depth=6)
        started = time.perf_counter() - self.seconds
        losses: list[Tensor] = []
        for pixels, batch in batches:
            losses.append(self.train_step(torch.from_numpy(pixels), batch))
            self.step += 1
            last = self.step == settings.steps
            validating = last or self.step % settings.validate_every == 0
            saving = last or self.step % settings.checkpoint_every == 0
            if last and settings.reestimate_images:
                with autocast(self.precision, self.device):
                    reestimate(self.graph.chain, self.mixture())
            if validating or saving or self.step % REPORT_EVERY == 0:
                # Reading the loss waits for the device, so it is not done at every step.
                loss = float(self.ranks.sum(torch.stack(losses)).mean())
                losses = []
                self.seconds = time.perf_counter() - started
                if not math.isfinite(loss):
                    raise TrunkError(
                        f"Trunk training diverged by step {self.step} (loss {loss}); lower trunk.learning_rate."
                    )
                if history:
                    self.report(history, loss, validating=validating, progress=progress)
                if saving:
                    self.ranks.check_equal(self.graph, f"after step {self.step}")
                    if first:
                        self.save()
        part_norms(self.graph.chain)
        return Trunk(self.backbone, self.graph.chain.cpu(), self.preprocessing)

    def report(self, history: History, loss: float, *, validating: bool, progress: Progress | None) -> None:
        """Write how far the training is, and show it."""
        rate = learning_rate_at(self.step - 1, self.settings)
        history.append("training", step=self.step, loss=loss, learning_rate=rate, seconds=round(self.seconds, 2))
        if validating:
            self.auroc = self.validate()
            self.set_modes()
            history.append("validation", step=self.step, auroc=self.auroc)
        if progress:
            figures = {"loss": loss, **{f"auroc {name}": value for name, value in self.auroc.items()}}
            progress("trunk", self.step, self.settings.steps, figures)


def history_until(path: Path, step: int) -> History:
    """A training's history, to be continued behind ``step``.

    Interrupted runs redo the steps after their last checkpoint: records past it would stand twice.
    """
    history = History(path)
    records, lines = read_history(path), path.read_bytes().splitlines(keepends=True)
    kept = itertools.takewhile(lambda pair: pair[0]["step"] <= step, zip(records, lines, strict=True))
    # Cut, not written again: a kill in between would leave less than the checkpoint counts.
    with reading(path):
        history.truncate(sum(len(line) for _, line in kept))
    return history
