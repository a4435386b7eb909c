"""Train one module on the trunk's features of one attribute, from a seed to the weights that are kept.

AdamW (Loshchilov and Hutter, 2019), arXiv:1711.05101, with a linear warm-up and a cosine decay. The
trunk is frozen, so an epoch reads features and never touches an image.
"""

import math
import time
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn import functional

from branches.augmentation import augmented
from branches.averaging import WeightAverage
from branches.errors import BranchError
from branches.metrics import REWARDS
from branches.sampling import batches
from branches.settings import FitSettings
from foundation.progress import Progress
from trunk.cached_features import drawn
from trunk.features import FeatureSource, LabelledFeatures
from trunk.prefetch import prefetched


class Fit(NamedTuple):
    """What a training gave: the curve (one record per epoch) and the kept weights' scores on the val split (N, V)."""

    curve: list[dict[str, float]]
    val_scores: npt.NDArray[np.float64]
    val_score: float
    seconds: float
    epoch: int


def fit(
    module: nn.Module,
    train: LabelledFeatures,
    val: LabelledFeatures,
    settings: FitSettings,
    *,
    seed: int,
    device: torch.device | str = "cpu",
    progress: Progress | None = None,
    stage: str = "retrain",
    stop: Callable[[], bool] | None = None,
) -> Fit:
    """Train `module`, features (N, C, H, W) -> logits (N, V), and leave it on `device` in evaluation mode.

    The module ends with the weights that `settings.keep` names: those after the epoch of the best val score, or the
    last. `epoch` in the answer counts from 1. `progress` is called after each epoch as (stage, epoch, epochs, record);
    `stop` is asked after each epoch and ends the training early. The same seed, module, data and device give
    bit-identical weights on a CPU with the same number of threads. Raises BranchError when the train split lacks a
    value or the val split has only one.
    """
    check_splits(train, val)
    device = torch.device(device)
    started = time.perf_counter()
    rng = np.random.default_rng(seed)
    steps = settings.epochs * max(1, len(train.labels) // min(settings.batch_size, len(train.labels)))
    step = 0
    module.to(device)
    set_dropout(module, settings.dropout)
    loss_weights = class_weights(train).to(device) if settings.balance == "weights" else None
    optimizer = adamw(module, settings)
    average = WeightAverage(module, settings.average) if settings.average else None
    best: tuple[float, int, npt.NDArray[np.float64], dict[str, Tensor]] | None = None
    curve: list[dict[str, float]] = []
    stream = batches(train.labels.numpy(), train.values, settings, rng)
    # Dropout draws from torch's own generator: it is set aside, seeded, and put back as it was.
    with (
        torch.random.fork_rng(devices=[device] if device.type == "cuda" else []),
        torch.backends.cudnn.flags(enabled=True, benchmark=False, deterministic=True),
    ):
        torch.manual_seed(seed)
        for epoch in range(1, settings.epochs + 1):
            module.train()
            losses = []
            views = drawn(train.features, np.random.default_rng([seed, epoch]))
            for index, raw in prefetched(views, next(stream), device):
                for group in optimizer.param_groups:
                    group["lr"] = settings.learning_rate * schedule(step / steps, settings.warmup_fraction)
                features = raw.to(device)
                target = functional.one_hot(train.labels[index], train.values).float().to(device)
                features, target = augmented(features, target, settings, rng)
                optimizer.zero_grad(set_to_none=True)
                with torch.autocast(device.type, torch.bfloat16, enabled=settings.precision == "bfloat16"):
                    logits = module(features)
                loss = functional.cross_entropy(
                    logits.float(), target, loss_weights, label_smoothing=settings.label_smoothing
                )
                loss.backward()  # type: ignore[no-untyped-call]
                if settings.gradient_clip:
                    nn.utils.clip_grad_norm_(module.parameters(), settings.gradient_clip)
                optimizer.step()
                step += 1
                if average:
                    average.update(module, step)
                losses.append(loss.detach())
            mean_loss = float(torch.stack(losses).mean())
            if average:
                average.swap(module)
            scores = predict_scores(module, val.features, device=device, precision=settings.precision)
            score = REWARDS[settings.metric](scores, val.labels.numpy())
            # A loss that is no number cannot go into a JSON record; the score of 0 says what happened.
            record = {"epoch": epoch, "loss": mean_loss if math.isfinite(mean_loss) else 1e30, "val_score": score}
            curve.append(record)
            if best is None or settings.keep == "last" or score > best[0]:
                best = score, epoch, scores, {name: value.clone() for name, value in module.state_dict().items()}
            if average:
                average.swap(module)
            if progress:
                progress(stage, epoch, settings.epochs, record)
            if (stop and stop()) or not math.isfinite(mean_loss):
                break
    assert best is not None
    score, epoch, scores, state = best
    module.load_state_dict(state)
    module.eval()
    return Fit(curve, scores, score, time.perf_counter() - started, epoch)


@torch.no_grad()
def predict_scores(
    module: nn.Module,
    features: FeatureSource,
    *,
    device: torch.device | str = "cpu",
    batch_size: int = 512,
    precision: str = "float32",
) -> npt.NDArray[np.float64]:
    """Probabilities (N, V) of a module that gives logits; the module is left in evaluation mode.

    The softmax is taken in float64: in float32 confident scores tie at 1 and their order is lost.
    """
    device = torch.device(device)
    module.eval()
    scores = []
    for start in range(0, len(features), batch_size):
        index = torch.arange(start, min(start + batch_size, len(features)))
        with torch.autocast(device.type, torch.bfloat16, enabled=precision == "bfloat16"):
            logits = module(features.gather(index).to(device))
        scores.append(logits.cpu().double().softmax(1))
    result: npt.NDArray[np.float64] = torch.cat(scores).numpy()
    return result


def schedule(done: float, warmup: float) -> float:
    """The factor on the learning rate after a share `done` (0..1) of all steps: linear warm-up, then half a cosine."""
    if done < warmup:
        return (done + 1e-3) / (warmup + 1e-3)
    return 0.5 * (1 + math.cos(math.pi * (done - warmup) / (1 - warmup)))


def class_weights(train: LabelledFeatures) -> Tensor:
    """One weight per value (V,), inverse to its frequency, one on average over the images."""
    counts = torch.bincount(train.labels, minlength=train.values).float()
    return counts.sum() / (train.values * counts)


def set_dropout(module: nn.Module, share: float) -> None:
    """Set the drop probability of every `nn.Dropout` in the module."""
    for part in module.modules():
        if isinstance(part, nn.Dropout):
            part.p = share


def adamw(module: nn.Module, settings: FitSettings) -> torch.optim.AdamW:
    """AdamW whose weight decay spares biases and batch-norm parameters."""
    weights = [parameter for parameter in module.parameters() if parameter.requires_grad]
    groups = [
        {"params": [weight for weight in weights if weight.ndim > 1], "weight_decay": settings.weight_decay},
        {"params": [weight for weight in weights if weight.ndim <= 1], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=settings.learning_rate, betas=(0.9, settings.beta2), fused=True)


def check_splits(train: LabelledFeatures, val: LabelledFeatures) -> None:
    """Raise BranchError unless train holds every value, val at least two, and both agree in shape and values."""
    if train.values != val.values or train.features.shape != val.features.shape:
        raise BranchError(
            f"the train and val splits must agree in shape and values, got {train.features.shape} with {train.values} "
            f"values and {val.features.shape} with {val.values}"
        )
    counts = torch.bincount(train.labels, minlength=train.values)
    if not bool((counts > 0).all()):
        missing = ", ".join(str(value) for value in torch.nonzero(counts == 0).flatten().tolist())
        raise BranchError(f"the train split has no image of value {missing}: add some or remove the value")
    if len(torch.unique(val.labels)) < 2:
        raise BranchError("the val split needs images of at least two values: add some or split again")
