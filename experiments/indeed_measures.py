"""What the INDeeD experiments measure: average precision per class where labels may be unknown, and tables of it."""

from collections.abc import Sequence
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

import numpy as np
from sklearn.metrics import average_precision_score

from experiments.confidence_map import confidence_csv, confidence_figure


def average_precisions(scores: np.ndarray, labels: np.ndarray) -> list[float]:
    """scikit-learn's average precision of each class, over the images whose label of it is known; nan without any
    positive one.

    scores: (N, C). labels: (N, C), 1 present, 0 absent, -1 unknown.
    """
    found = []
    for score, label in zip(scores.T, labels.T, strict=True):
        known = label >= 0
        positives = bool((label == 1).any())
        found.append(float(average_precision_score(label[known], score[known])) if positives else float("nan"))
    return found


def mean_over_seeds(values: Sequence[float]) -> str:
    """Percent: the mean, and the standard deviation over seeds where there are several."""
    percents = [100 * value for value in values]
    return f"{fmean(percents):.2f}" + (f" ± {stdev(percents):.2f}" if len(percents) > 1 else "")


def markdown(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table."""
    return "\n".join("| " + " | ".join(row) + " |" for row in (head, ["---"] * len(head), *rows))


def gain_table(records: list[dict[str, Any]], arms: Sequence[str]) -> str:
    """mAP of every arm for each N, and in brackets what it gains over the first arm with the same seeds."""
    sizes = sorted({record["per_canvas"] for record in records})
    scores = {(record["arm"], record["per_canvas"], record["seed"]): record["map"] for record in records}
    rows = []
    for arm in arms:
        cells = []
        for size in sizes:
            seeds = [seed for (name, n, seed) in scores if (name, n) == (arm, size)]
            cell = mean_over_seeds([scores[arm, size, seed] for seed in seeds]) if seeds else "–"
            gains = [
                100 * (scores[arm, size, seed] - scores[arms[0], size, seed])
                for seed in seeds
                if arm != arms[0] and (arms[0], size, seed) in scores
            ]
            cells.append(f"{cell} ({fmean(gains):+.2f})" if gains else cell)
        rows.append([arm, *cells])
    return markdown(["mAP, %", *(f"N = {size}" for size in sizes)], rows)


def write_confidence(records: list[dict[str, Any]], arms: Sequence[str], classes: Sequence[str], stem: Path) -> None:
    """Confidence maps, means over seeds: STEM-N_ARM.csv of each, and STEM_confidence.png of all (figure 3)."""
    rows = []
    for arm in arms:
        row = []
        for size in sorted({record["per_canvas"] for record in records}):
            maps = [record["confidence"] for record in records if (record["arm"], record["per_canvas"]) == (arm, size)]
            if maps:
                mean = np.mean(maps, axis=0)
                path = stem.with_name(f"{stem.name}-{size}_{arm.replace(' ', '_')}.csv")
                path.write_text(confidence_csv(mean, classes), encoding="utf-8")
                row.append((f"{arm}, N = {size}", mean))
        if row:
            rows.append(row)
    confidence_figure(rows, classes).savefig(stem.with_name(f"{stem.name}_confidence.png"), dpi=110)
