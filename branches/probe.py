"""The linear probe: logistic regression on globally averaged features, the control every branch has to beat."""

import time
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from sklearn.linear_model import LogisticRegression
from torch import Tensor, nn

from branches.layers import ProbeStart
from branches.measures.metrics import REWARDS
from branches.training import check_splits, predict_scores
from trunk.features.cached import averaged
from trunk.features.source import FeatureSource, LabelledFeatures

COLUMN_BYTES = 2**23
INVERSE_PENALTIES = (1e-5, 3e-5, 1e-4, 3e-4, 1e-3, 3e-3, 1e-2, 3e-2, 0.1, 0.2, 0.3, 0.5, 1.0, 3.0)


class LinearProbe(nn.Module):
    """Global average pooling and one linear layer: features (N, C, H, W) -> logits (N, V)."""

    def __init__(self, channels: int, values: int) -> None:
        super().__init__()
        self.linear = nn.Linear(channels, values)

    def forward(self, features: Tensor) -> Tensor:
        logits: Tensor = self.linear(features.mean((2, 3)))
        return logits


class Probe(NamedTuple):
    """A fitted probe: its module, the inverse penalty C that val chose, its val score and scores (N, V).

    mean, variance: of the averaged features of train, (C,). seconds: that the fits took.
    """

    module: LinearProbe
    inverse_penalty: float
    val_score: float
    val_scores: npt.NDArray[np.float64]
    curve: list[dict[str, float]]
    mean: Tensor
    variance: Tensor
    seconds: float

    @property
    def start(self) -> ProbeStart:
        """The probe as a branch's head begins at it."""
        linear = self.module.linear
        return ProbeStart(linear.weight.detach(), linear.bias.detach(), self.mean, self.variance)

    @property
    def parameters(self) -> int:
        """Weights and biases of the linear layer, one row per value as in a branch's head."""
        return sum(parameter.numel() for parameter in self.module.parameters())

    def scores(self, features: FeatureSource) -> npt.NDArray[np.float64]:
        """Probabilities (N, V)."""
        return predict_scores(self.module, features)


def linear_probe(train: LabelledFeatures, val: LabelledFeatures, *, metric: str = "auroc") -> Probe:
    """Fit logistic regressions on standardised averaged features and keep the one with the best val `metric`.

    The inverse penalty runs over INVERSE_PENALTIES, each fit started from the one before. Nothing is drawn at random.
    The standardisation is folded into the linear layer of the answer. Raises BranchError as `fit` does.
    """
    check_splits(train, val)
    started = time.perf_counter()
    x, x_val, y = averaged(train.features).numpy(), averaged(val.features).numpy(), train.labels.numpy()
    mean, deviation = moments(x)
    variance = deviation**2
    deviation[deviation < 1e-12] = 1.0
    # In float32: half the time of float64, the same scores to three digits.
    standardise(x, mean, deviation)
    standardise(x_val, mean, deviation)
    model = LogisticRegression(solver="lbfgs", max_iter=1000, tol=1e-4, warm_start=True)
    best: tuple[float, float, npt.NDArray[np.float64], npt.NDArray[np.float64]] | None = None
    curve = []
    for penalty in INVERSE_PENALTIES:
        model.set_params(C=penalty).fit(x, y)
        score = REWARDS[metric](model.predict_proba(x_val), val.labels.numpy())
        curve.append({"inverse_penalty": penalty, "val_score": score})
        if best is None or score > best[0]:
            best = score, penalty, model.coef_ / deviation, model.intercept_ - model.coef_ @ (mean / deviation)
    assert best is not None
    score, penalty, weight, bias = best
    if train.values == 2:
        # The model's one row is the logit of value 1 against value 0.
        weight, bias = np.concatenate([-weight, weight]) / 2, np.concatenate([-bias, bias]) / 2
    module = LinearProbe(x.shape[1], train.values)
    with torch.no_grad():
        module.linear.weight.copy_(torch.from_numpy(weight))
        module.linear.bias.copy_(torch.from_numpy(bias))
    val_scores = predict_scores(module, val.features)
    score = REWARDS[metric](val_scores, val.labels.numpy())
    statistics = torch.from_numpy(mean), torch.from_numpy(variance)
    return Probe(module, penalty, score, val_scores, curve, *statistics, time.perf_counter() - started)


def moments(x: npt.NDArray[np.float32]) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Mean and standard deviation (C,) of the columns of (N, C), in float64 as of the whole, some columns at a time."""
    mean, deviation = np.empty(x.shape[1]), np.empty(x.shape[1])
    for part in columns(x):
        wide = x[:, part].astype(np.float64)
        mean[part], deviation[part] = wide.mean(0), wide.std(0)
    return mean, deviation


def standardise(x: npt.NDArray[np.float32], mean: npt.NDArray[np.float64], deviation: npt.NDArray[np.float64]) -> None:
    """(x - mean) / deviation in place, computed in float64 and rounded once."""
    for part in columns(x):
        wide = x[:, part].astype(np.float64)
        wide -= mean[part]
        wide /= deviation[part]
        x[:, part] = wide


def columns(x: npt.NDArray[np.float32]) -> list[slice]:
    """Slices of columns that are `COLUMN_BYTES` in float64, each of two or more where there are so many.

    numpy sums a single column in another order than one of several, and the last bit of its mean is another.
    """
    rows, count = x.shape
    parts = min(max(1, count // 2), -(-8 * rows * count // COLUMN_BYTES))
    edges = [count * number // parts for number in range(parts + 1)] if parts else []
    return [slice(start, stop) for start, stop in pairwise(edges)]
