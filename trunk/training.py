"""The loop that pre-trains a trunk: mixed precision, warm-up and cosine, checkpoints, validation per attribute.

GraftNet: An Efficient and Flexible Multi-label Image Classification and Its Application (Jia et al.), section 3.2.
"""

import json
import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.metrics import roc_auc_score
from torch import Tensor

from subdatasets.subdataset import SubDataset
from trunk.backbones import block_shapes, find_backbone
from trunk.checkpoints import load_checkpoint, optimizer_tensors, restore_optimizer, save_checkpoint
from trunk.dynamic_graph import Batch, BatchPlan, DynamicGraph, PooledImages, pool_images
from trunk.errors import TrunkError
from trunk.images import DECODING_THREADS, ahead, decode, pixel_batches
from trunk.precision import autocast, resolve_precision
from trunk.preprocessing import Preprocessing
from trunk.trunk import Trunk

REPORT_EVERY = 20
Progress = Callable[[str, int, int, Mapping[str, float]], None]


@dataclass(frozen=True)
class PretrainSettings:
    """How a trunk is pre-trained. The paper's recipe is one attribute per step and no shared labels.

    pad: images are reflect-padded by this fraction of their side and cropped back at random; 0 turns it off.
    val_images: at most so many val images per attribute are scored at each validation.
    """

    steps: int = 6000
    batch_size: int = 64
    attributes_per_step: int = 1
    shared_labels: bool = False
    balanced: bool = True
    learning_rate: float = 1e-3
    weight_decay: float = 0.02
    warmup_steps: int = 200
    gradient_clip: float = 5.0
    flip: bool = True
    pad: float = 0.125
    precision: str = "auto"
    validate_every: int = 500
    checkpoint_every: int = 200
    val_images: int = 500


def learning_rate_at(step: int, settings: PretrainSettings) -> float:
    """Linear warm-up over ``warmup_steps``, then a half cosine to zero at ``steps``."""
    if step < settings.warmup_steps:
        return settings.learning_rate * (step + 1) / settings.warmup_steps
    done = (step - settings.warmup_steps) / max(1, settings.steps - settings.warmup_steps)
    return settings.learning_rate * 0.5 * (1 + math.cos(math.pi * done))


def augment(pixels: NDArray[np.uint8], settings: PretrainSettings, rng: np.random.Generator) -> NDArray[np.uint8]:
    """Random horizontal flips and random crops of the reflect-padded images, (N, S, S, 3) -> (N, S, S, 3)."""
    count, size = pixels.shape[:2]
    margin = round(size * settings.pad)
    flipped = rng.random(count) < np.full(count, 0.5 if settings.flip else 0.0)
    pixels = np.where(flipped[:, None, None, None], pixels[:, :, ::-1], pixels)
    if not margin:
        return pixels
    padded = np.pad(pixels, ((0, 0), (margin, margin), (margin, margin), (0, 0)), mode="reflect")
    corners = rng.integers(0, 2 * margin + 1, size=(count, 2)).tolist()
    return np.stack([padded[n, y : y + size, x : x + size] for n, (y, x) in enumerate(corners)])


class Pretraining:
    """One pre-training run in a folder: ``checkpoint.safetensors`` and ``history.jsonl`` while it lasts."""

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
    ) -> None:
        self.subdatasets = subdatasets
        self.backbone = backbone
        self.preprocessing = preprocessing
        self.settings = settings
        self.folder = folder
        self.seed = seed
        self.device = device or torch.device("cpu")
        self.precision = resolve_precision(settings.precision, self.device)
        self.images: PooledImages = pool_images(subdatasets)
        self.plan = BatchPlan(
            self.images,
            batch_size=settings.batch_size,
            attributes_per_step=settings.attributes_per_step,
            balanced=settings.balanced,
            shared_labels=settings.shared_labels,
            seed=seed,
        )
        with torch.random.fork_rng(devices=[]):
            # The source libraries initialise their layers from the global generator; it is put back afterwards.
            torch.manual_seed(seed)
            chain = find_backbone(backbone).build()
        channels = block_shapes(backbone, preprocessing.size)[-1][0]
        values = [len(subdataset.attribute.values) for subdataset in subdatasets]
        generator = torch.Generator().manual_seed(seed)
        self.graph = DynamicGraph(chain, channels, values, generator=generator)
        self.graph.to(self.device).to(memory_format=torch.channels_last)
        decayed = [parameter for parameter in self.graph.parameters() if parameter.dim() > 1]
        plain = [parameter for parameter in self.graph.parameters() if parameter.dim() <= 1]
        self.optimizer = torch.optim.AdamW(
            [{"params": decayed, "weight_decay": settings.weight_decay}, {"params": plain, "weight_decay": 0.0}],
            lr=settings.learning_rate,
            fused=self.device.type in ("cpu", "cuda"),
        )
        self.step = 0
        self.seconds = 0.0
        self.auroc: dict[str, float] = {}

    @property
    def checkpoint(self) -> Path:
        return self.folder / "checkpoint.safetensors"

    def identity(self) -> dict[str, Any]:
        """What a checkpoint must agree on before it is continued."""
        return {
            "backbone": self.backbone,
            "preprocessing": self.preprocessing.to_json(),
            "settings": {**asdict(self.settings), "precision": self.precision},
            "seed": self.seed,
            "attributes": {s.attribute.name: list(s.attribute.values) for s in self.subdatasets},
            "images": len(self.images.paths),
        }

    def save(self) -> None:
        """Write the checkpoint, atomically."""
        record = {"identity": self.identity(), "step": self.step, "seconds": self.seconds, "auroc": self.auroc}
        save_checkpoint(self.checkpoint, {**self.graph.state_dict(), **optimizer_tensors(self.optimizer)}, record)

    def resume(self) -> bool:
        """Continue from the folder's checkpoint when there is one; False when there is none.

        Raises:
            TrunkError: the checkpoint is of a run with other settings or data.
        """
        if not self.checkpoint.exists():
            return False
        tensors, record = load_checkpoint(self.checkpoint)
        if record["identity"] != self.identity():
            differing = [key for key, value in self.identity().items() if record["identity"].get(key) != value]
            raise TrunkError(
                f"{self.checkpoint} is of a training with other {', '.join(differing)}; restore those settings to "
                f"continue it, or delete the file to start anew."
            )
        self.graph.load_state_dict({k: v for k, v in tensors.items() if not k.startswith("optimizer.")})
        restore_optimizer(self.optimizer, tensors)
        self.step, self.seconds, self.auroc = record["step"], record["seconds"], record["auroc"]
        return True

    def load_batch(self, step: int) -> tuple[NDArray[np.uint8], Batch]:
        """Decode and augment the images of one step; runs in the decoding threads."""
        batch = self.plan.batch(step)
        pixels = decode([self.images.paths[row] for row in batch.rows], self.preprocessing)
        return augment(pixels, self.settings, np.random.default_rng((self.seed, step, 1))), batch

    def loss(self, images: Tensor, batch: Batch) -> Tensor:
        """What a step minimises: here eq. 1."""
        return self.graph.loss(images, torch.from_numpy(batch.labels).to(self.device, non_blocking=True))

    def train_step(self, pixels: Tensor, batch: Batch) -> Tensor:
        """One update; the loss stays on the device."""
        for group in self.optimizer.param_groups:
            group["lr"] = learning_rate_at(self.step, self.settings)
        images = self.preprocessing.normalise(pixels.to(self.device, non_blocking=True))
        with autocast(self.precision, self.device):
            loss = self.loss(images, batch)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(self.graph.parameters(), self.settings.gradient_clip)
        self.optimizer.step()
        return loss.detach()

    @torch.inference_mode()
    def validate(self) -> dict[str, float]:
        """AUROC per attribute on at most ``val_images`` val images each (mean over values, one against the rest)."""
        rng = np.random.default_rng((self.seed, 0, 2))
        chosen = [rng.permutation(rows)[: self.settings.val_images] for rows in self.images.val_rows]
        rows = np.unique(np.concatenate([np.empty(0, dtype=np.int64), *chosen]))
        if not len(rows):
            return {}
        place = {int(row): index for index, row in enumerate(rows)}
        self.graph.eval()
        pooled = []
        for pixels in pixel_batches([self.images.paths[row] for row in rows], self.preprocessing, 128):
            with autocast(self.precision, self.device):
                pooled.append(self.graph(self.preprocessing.normalise(pixels.to(self.device))).float())
        features = torch.cat(pooled)
        figures = {}
        for t, subdataset in enumerate(self.subdatasets):
            labels = self.images.labels[chosen[t], t]
            if len(set(labels.tolist())) < len(subdataset.attribute.values):
                continue
            scores = (
                self.graph.classify(features[[place[int(row)] for row in chosen[t]]], t).softmax(dim=1).cpu().numpy()
            )
            target = labels if scores.shape[1] > 2 else labels == 1
            figures[subdataset.attribute.name] = float(
                roc_auc_score(target, scores if scores.shape[1] > 2 else scores[:, 1], multi_class="ovr")
            )
        self.graph.train()
        return figures

    def log(self, **fields: Any) -> None:
        with open(self.folder / "history.jsonl", "a", encoding="utf-8") as file:
            file.write(json.dumps(fields) + "\n")

    def run(self, *, progress: Progress | None = None) -> Trunk:
        """Train from the current step to the last, then freeze; call :meth:`resume` first to continue.

        Only convolution and batch-norm weights go into the trunk; the linear layers are left behind.
        """
        settings = self.settings
        self.folder.mkdir(parents=True, exist_ok=True)
        self.graph.train()
        # Interrupted runs redo the steps after their last checkpoint: records past it would stand twice.
        drop_records_after(self.folder / "history.jsonl", self.step)
        batches = ahead(self.load_batch, range(self.step, settings.steps), threads=DECODING_THREADS, depth=6)
        started = time.perf_counter() - self.seconds
        losses: list[Tensor] = []
        for pixels, batch in batches:
            losses.append(self.train_step(torch.from_numpy(pixels), batch))
            self.step += 1
            last = self.step == settings.steps
            validating = last or self.step % settings.validate_every == 0
            saving = last or self.step % settings.checkpoint_every == 0
            if validating or saving or self.step % REPORT_EVERY == 0:
                # Reading the loss waits for the device, so it is not done at every step.
                loss = float(torch.stack(losses).mean())
                losses = []
                self.seconds = time.perf_counter() - started
                if not math.isfinite(loss):
                    raise TrunkError(
                        f"Trunk training diverged by step {self.step} (loss {loss}); lower trunk.learning_rate."
                    )
                rate = learning_rate_at(self.step - 1, settings)
                self.log(kind="training", step=self.step, loss=loss, learning_rate=rate, seconds=round(self.seconds, 2))
                if validating:
                    self.auroc = self.validate()
                    self.log(kind="validation", step=self.step, auroc=self.auroc)
                if progress:
                    figures = {"loss": loss, **{f"auroc {name}": value for name, value in self.auroc.items()}}
                    progress("trunk", self.step, settings.steps, figures)
                if saving:
                    self.save()
        return Trunk(self.backbone, self.graph.chain.cpu(), self.preprocessing)


def drop_records_after(path: Path, step: int) -> None:
    """Keep the lines of a training history up to ``step``; a line torn by a kill goes too."""
    if not path.exists():
        return
    kept = []
    for line in path.read_text(encoding="utf-8").splitlines():
        try:
            if json.loads(line)["step"] <= step:
                kept.append(line + "\n")
        except json.JSONDecodeError:
            continue
    path.write_text("".join(kept), encoding="utf-8")
