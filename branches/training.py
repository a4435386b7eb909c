"""Train one module on the trunk's features of one attribute, from a seed to the weights that are kept.

AdamW (Loshchilov and Hutter, 2019), arXiv:1711.05101, with a linear warm-up and a cosine decay. The trunk is frozen, so
an epoch reads features and never touches an image. mixup: Beyond Empirical Risk Minimization (Zhang et al., 2018),
arXiv:1710.09412, here on feature maps. The average of the weights: Averaging Weights Leads to Wider Optima and Better
Generalization (Izmailov et al., 2018), arXiv:1803.05407; here it is exponential, and its decay grows with the steps so
that the first weights are soon forgotten.
"""

import math
import time
from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn import functional

from branches.errors import BranchError
from branches.layers import Head
from branches.measures.metrics import REWARDS
from branches.settings import FitSettings
from foundation.history import Progress
from trunk.checkpoints import decay_groups
from trunk.features.cached import drawn, prefetched
from trunk.features.source import FeatureSource, LabelledFeatures

TELL_EVERY = 5.0  # seconds within an epoch
FIRST_BATCH = 256  # images whose features are looked at before anything is trained
Indices = npt.NDArray[np.int64]


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
    last. `epoch` in the answer counts from 1; 0 is the probe that a branch began at (`branches.layers.Head`).
    `progress` is called after each epoch as (stage, epoch, epochs, record), and within a long one as (stage, epochs
    before it, epochs, {"epoch_done": share}). `stop` is asked after each epoch and ends the training early. The same
    seed, module, data and device give bit-identical weights on a CPU with the same number of threads. Raises
    BranchError when the train split lacks a value or the val split has only one.
    """
    check_splits(train, val)
    device = torch.device(device)
    started = told = time.perf_counter()
    rng = np.random.default_rng(seed)
    steps = settings.epochs * settings.steps(len(train.labels))
    step = 0
    module.to(device)
    set_dropout(module, settings.dropout)
    loss_weights = class_weights(train).to(device) if settings.balance == "weights" else None
    optimizer = adamw(module, settings)
    average = WeightAverage(module, settings.average) if settings.average else None
    best: tuple[float, int, npt.NDArray[np.float64], dict[str, Tensor]] | None = None
    curve: list[dict[str, float]] = []
    held = HeldProbe.of(module, settings.probe_rate)
    if held:
        scores = predict_scores(module, val.features, device=device, precision=settings.precision)
        score = REWARDS[settings.metric](scores, val.labels.numpy())
        curve.append({"epoch": 0, "val_score": score})
        best = score, 0, scores, {name: value.clone() for name, value in module.state_dict().items()}
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
                if held:
                    held.before_step()
                if settings.gradient_clip:
                    nn.utils.clip_grad_norm_(module.parameters(), settings.gradient_clip)
                optimizer.step()
                if held:
                    held.after_step()
                step += 1
                if average:
                    average.update(module, step)
                losses.append(loss.detach())
                if progress and time.perf_counter() - told > TELL_EVERY:
                    told = time.perf_counter()
                    share = len(losses) / settings.steps(len(train.labels))
                    progress(stage, epoch - 1, settings.epochs, {"epoch_done": share})
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
                told = time.perf_counter()
                progress(stage, epoch, settings.epochs, record)
            if (stop and stop()) or not math.isfinite(mean_loss):
                break
    assert best is not None
    score, epoch, scores, state = best
    module.load_state_dict(state)
    module.eval()
    return Fit(curve, scores, score, time.perf_counter() - started, epoch)


def batches(labels: Indices, values: int, settings: FitSettings, rng: np.random.Generator) -> Iterator[list[Indices]]:
    """Endless epochs, each a list of index arrays of one batch size; what does not fill a batch waits for later.

    `labels` (N,) hold every value in 0..values-1. Plain epochs are permutations. With `settings.balance` "sampling" a
    batch takes one image of each value in turn; the images of one value come in permutations of their own, one after
    the other, so that none comes twice before all came once.
    """
    size = min(settings.batch_size, len(labels))
    count = settings.steps(len(labels))
    if settings.balance == "sampling":
        pools = [np.flatnonzero(labels == value) for value in range(values)]
    else:
        pools = [np.arange(len(labels))]
    queues = [np.empty(0, dtype=np.int64) for _ in pools]
    turn = 0
    while True:
        owner = (np.arange(turn, turn + count * size)) % len(pools)
        turn = (turn + count * size) % len(pools)
        epoch = np.empty(count * size, dtype=np.int64)
        for number, pool in enumerate(pools):
            places = owner == number
            needed = int(places.sum())
            while len(queues[number]) < needed:
                queues[number] = np.concatenate([queues[number], rng.permutation(pool)])
            epoch[places], queues[number] = queues[number][:needed], queues[number][needed:]
        yield list(epoch.reshape(count, size))


def augmented(
    features: Tensor, target: Tensor, settings: FitSettings, rng: np.random.Generator
) -> tuple[Tensor, Tensor]:
    """The batch (n, C, H, W) with its soft targets (n, V) after the mirror image, the noise and the mixup asked for.

    `mirror`: half of the maps are turned left to right. `noise`: each value is scaled by 1 + noise * N(0, 1), per image
    and channel. `mixup`: the batch is mixed with itself in another order, the share drawn from Beta(mixup, mixup).
    """
    if settings.mirror and features.shape[3] > 1:
        turned = torch.from_numpy(rng.random(len(features)) < 0.5).to(features.device)
        features = torch.where(turned[:, None, None, None], features.flip(3), features)
    if settings.noise:
        scale = 1 + settings.noise * rng.standard_normal(features.shape[:2], dtype=np.float32)
        features = features * torch.from_numpy(scale).to(features.device)[:, :, None, None]
    if settings.mixup:
        share = rng.beta(settings.mixup, settings.mixup)
        order = torch.from_numpy(rng.permutation(len(features))).to(features.device)
        features = torch.lerp(features[order], features, share)
        target = torch.lerp(target[order], target, share)
    return features, target


class HeldProbe:
    """The probe that a head began at: its columns move by a share `rate` of what a step moves them, 0: not at all."""

    def __init__(self, head: Head, rate: float) -> None:
        self.head, self.rate = head, rate
        self.before = self.columns.clone()

    @classmethod
    def of(cls, module: nn.Module, rate: float) -> "HeldProbe | None":
        """That of a module's head; None where there is no head that began at a probe."""
        heads = (part for part in module.modules() if isinstance(part, Head) and part.probe_columns)
        head = next(heads, None)
        return None if head is None else cls(head, rate)

    @property
    def columns(self) -> Tensor:
        columns: Tensor = self.head.linear.weight.detach()[:, -self.head.probe_columns :]
        return columns

    def before_step(self) -> None:
        """Remember the columns; the gradient of frozen ones is left out of the common norm."""
        self.before.copy_(self.columns)
        gradient = self.head.linear.weight.grad
        if gradient is not None and not self.rate:
            gradient[:, -self.head.probe_columns :].zero_()

    def after_step(self) -> None:
        """Take back what the step, and its weight decay, did beyond the share."""
        self.columns.copy_(torch.lerp(self.before, self.columns, self.rate))


class WeightAverage:
    """The average of all floating-point weights and buffers of one module; integer buffers are copied."""

    def __init__(self, module: nn.Module, decay: float) -> None:
        self.decay = decay
        self.state = {name: value.detach().clone() for name, value in module.state_dict().items()}

    @torch.no_grad()
    def update(self, module: nn.Module, step: int) -> None:
        """Take in the module's weights after its `step`-th step, counted from 1."""
        share = 1 - min(self.decay, step / (step + 10))
        averages: list[Tensor] = []
        weights: list[Tensor] = []
        for name, value in module.state_dict().items():
            if value.is_floating_point():
                averages.append(self.state[name])
                weights.append(value)
            else:
                self.state[name].copy_(value)
        torch._foreach_lerp_(averages, weights, share)

    @torch.no_grad()
    def swap(self, module: nn.Module) -> None:
        """Exchange the module's weights and the average; a second call puts both back."""
        for name, value in module.state_dict().items():
            kept = value.clone()
            value.copy_(self.state[name])
            self.state[name] = kept


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
    scores: Tensor | None = None  # one array: what stays between batches that come and go leaves holes in the heap
    batches = (
        np.arange(start, min(start + batch_size, len(features))) for start in range(0, len(features), batch_size)
    )
    for index, rows in prefetched(features, batches, device):
        with torch.autocast(device.type, torch.bfloat16, enabled=precision == "bfloat16"):
            logits = module(rows.to(device))
        if scores is None:
            scores = torch.empty(len(features), logits.shape[1], dtype=torch.float64)
        scores[int(index[0]) : int(index[-1]) + 1] = logits.cpu().double().softmax(1)
    assert scores is not None
    result: npt.NDArray[np.float64] = scores.numpy()
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
    groups = decay_groups(module, settings.weight_decay)
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
    for name, split in (("train", train), ("val", val)):
        check_numbers(name, split)


def check_numbers(name: str, split: LabelledFeatures) -> None:
    """Raise BranchError where the first batch of a split's features holds nan or infinity.

    A trunk with such weights gives nothing else; said here, so that no learning rate is blamed for it.
    """
    first = split.features.gather(torch.arange(min(len(split), FIRST_BATCH)))
    wrong = len(first) - int(first.isfinite().flatten(1).all(1).sum())
    if wrong:
        raise BranchError(
            f"{wrong} of the first {len(first)} features of the {name} split hold nan or infinity: the "
            "trunk's weights or what is cached of it are damaged; take another trunk with `graftnet trunk use`, or "
            "delete the cache and call again"
        )
