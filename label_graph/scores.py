"""The figures of a label graph's run: every way to score the labels, on val and on test, each label and together."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch

from branches.measures.metrics import auroc, average_precision, best_threshold
from label_graph.cooccurrence import logit
from label_graph.metrics import attribute_metrics, average_precisions, label_metrics
from subdatasets.labels.table import UNKNOWN, States

Floats = npt.NDArray[np.float64]
TOP = 3
MIDDLE = 0.5
WEIGHTS = np.linspace(0, 1, 21)


class Combination(NamedTuple):
    """Branch and graph logits, each label's standardised on val, added: ``weight`` of the branch, the rest the graph's.

    The sum is put on the scale of the graph's logits again, so that labels compare as they do there.
    centre, spread: (2, L), of the branch's and the graph's logits on val.
    """

    weight: float
    centre: Floats
    spread: Floats

    def scores(self, branches: Floats, graph: Floats) -> Floats:
        """Combined probabilities (N, L); where there is no branch (nan), the graph's own."""
        one, two = (
            (logit(table) - centre) / spread
            for table, centre, spread in zip((branches, graph), self.centre, self.spread, strict=True)
        )
        sums = np.where(np.isnan(one), two, self.weight * one + (1 - self.weight) * two)
        return sigmoid(self.centre[1] + self.spread[1] * sums)


def sigmoid(values: Floats) -> Floats:
    """Probabilities of logits."""
    found: Floats = 0.5 * (1 + np.tanh(values / 2))
    return found


def combine(branches: Floats, graph: Floats, states: States) -> Combination:
    """The combination whose weight has the best mAP on val, among twenty-one; of equals the nearest to a half.

    Args:
        branches: (N, L), nan in the columns of labels without a branch. graph: (N, L). states: (N, L).
    """
    tables = [logit(branches), logit(graph)]
    centre = np.stack([table.mean(axis=0) for table in tables])
    spread = np.stack([np.maximum(table.std(axis=0), 1e-6) for table in tables])
    found = [Combination(float(weight), centre, spread) for weight in WEIGHTS]
    values = [mean_average(one.scores(branches, graph), states) for one in found]
    best = np.flatnonzero(np.array(values) >= max(values) - 1e-12)
    return found[int(best[np.abs(WEIGHTS[best] - 0.5).argmin()])]


def mean_average(scores: Floats, states: States) -> float:
    """mAP over the labels that have a known positive and a score."""
    scored = ~np.isnan(scores).any(axis=0)
    each = average_precisions(torch.from_numpy(scores[:, scored]), torch.from_numpy(states[:, scored]))
    return float(each.nanmean())


def thresholds_of(scores: Floats, states: States) -> Floats:
    """Each label's best threshold by F1, (L,); a half where val has not both of present and absent images."""
    found = np.full(scores.shape[1], MIDDLE)
    for label in range(scores.shape[1]):
        known = states[:, label] != UNKNOWN
        if len(set(states[known, label].tolist())) == 2 and not np.isnan(scores[:, label]).any():
            found[label] = best_threshold(scores[known, label], states[known, label].astype(np.int64))
    return found


def together(scores: Floats, states: States, thresholds: Floats) -> dict[str, float | None]:
    """mAP, CP ... OF1, their top-3 forms, mA and the figures over images; only labels that have scores count.

    A figure that cannot be measured is None.
    """
    scored = ~np.isnan(scores).any(axis=0)
    p, y = torch.from_numpy(scores[:, scored]), torch.from_numpy(states[:, scored])
    cut = torch.from_numpy(thresholds[scored])
    whole, top = label_metrics(p, y, thresholds=cut), label_metrics(p, y, thresholds=cut, top=TOP)
    over_images = attribute_metrics(p, y, thresholds=cut)
    figures = {
        "map": mean_average(scores, states),
        **{name.rstrip("_"): value for name, value in asdict(whole).items()},
        **{f"top{TOP}_{name.rstrip('_')}": getattr(top, name) for name in ("cp", "cr", "cf1", "op", "or_", "of1")},
        "mean_accuracy": over_images.mean_accuracy,
        **{f"image_{name}": getattr(over_images, name) for name in ("accuracy", "precision", "recall", "f1")},
    }
    return {name: float(value) if np.isfinite(value) else None for name, value in figures.items()}


def by_label(scores: Floats, states: States) -> list[dict[str, float | None]]:
    """AUROC and average precision of each label, None where they cannot be measured."""
    found: list[dict[str, float | None]] = []
    for label in range(scores.shape[1]):
        known = states[:, label] != UNKNOWN
        column, truth = scores[known, label], states[known, label].astype(np.int64)
        if np.isnan(column).any() or len(set(truth.tolist())) < 2:
            found.append({"auroc": None, "average_precision": None})
            continue
        table = np.stack([1 - column, column], axis=1)
        found.append({"auroc": auroc(table, truth), "average_precision": average_precision(table, truth)})
    return found


def described(
    scores: Mapping[str, Mapping[str, Floats]], states: Mapping[str, States]
) -> tuple[dict[str, dict[str, Any]], dict[str, Floats]]:
    """The figures of every method, and its thresholds, chosen on val.

    Args:
        scores: method -> split -> (N, L). states: split -> (N, L); val, and test where there is one.
    """
    figures: dict[str, dict[str, Any]] = {}
    thresholds = {}
    for method, tables in scores.items():
        cut = thresholds[method] = thresholds_of(tables["val"], states["val"])
        figures[method] = {"labels": int((~np.isnan(tables["val"]).any(axis=0)).sum()), "val": None, "test": None}
        for split, truth in states.items():
            figures[method][split] = together(tables[split], truth, cut)
    return figures, thresholds
