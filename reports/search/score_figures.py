"""Scores of single images -> matplotlib figures: other thresholds, histograms per value."""

from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from reports.layout.figures import WIDTH, legend, panel
from reports.layout.formats import shortened
from reports.layout.palette import light
from reports.layout.svg import styled
from reports.summaries.image_records import SplitScores
from reports.summaries.thresholds import OperatingPoint

BINS = 25
LINES = (
    ("accuracy", "accuracy", "tail", (0, (6, 1.6, 1.4, 1.6))),
    ("precision", "precision", "probe", (0, (1.4, 1.4))),
    ("recall", "recall", "winner", "-"),
    ("fpr", "false positive rate", "random", (0, (5, 1.6))),
)


@styled
def threshold_figure(points: list[OperatingPoint], chosen: float | None, split: str) -> Figure:
    """Accuracy, precision, recall and false positive rate over the threshold; a line at the chosen one."""
    figure, axes = panel("threshold", f"rate on {split}", height=WIDTH)
    for name, label, role, dash in LINES:
        # Where nothing is taken for positive any more, there is no precision.
        shown = [point for point in points if name != "precision" or point.recall or point.fpr]
        x, y = [point.threshold for point in shown], [getattr(point, name) for point in shown]
        axes.plot(x, y, color=light(role), linestyle=dash, label=label)
    if chosen is not None:
        axes.axvline(chosen, color=light("ink"), linewidth=1.0, label="chosen on val")
    axes.set(xlim=(0, 1), ylim=(-0.01, 1.02))
    legend(axes, 2)
    return figure


@styled
def histogram_figure(scores: SplitScores, values: tuple[str, ...], threshold: float | None) -> Figure:
    """Of two values: the images of each by their score for the second, as a share of their value's images."""
    figure, axes = panel(f"score for “{shortened(values[1], 18)}”", "share of the images of a value", height=WIDTH)
    edges = np.linspace(0, 1, BINS + 1)
    for value, role, hatch in ((0, "random", "///"), (1, "winner", None)):
        own = scores.scores[scores.labels == value, 1]
        if len(own):
            weights = np.full(len(own), 1 / len(own))
            label = f"{shortened(values[value], 18)} ({len(own):,})"
            style: dict[str, Any] = {"facecolor": light(role), "edgecolor": light(role), "alpha": 0.55, "label": label}
            axes.hist(own, edges.tolist(), weights=weights, hatch=hatch, histtype="stepfilled", **style)
    if threshold is not None:
        axes.axvline(threshold, color=light("ink"), linewidth=1.0, label="threshold")
    axes.set_xlim(0, 1)
    axes.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    legend(axes, 3)
    return figure


@styled
def ridge_figure(scores: SplitScores, values: tuple[str, ...]) -> Figure:
    """A row per value: its own images by their score for it, filled, above all other images', outlined."""
    figure, axes = panel("score for the value", "", height=0.7 + 0.4 * len(values))
    edges = np.linspace(0, 1, BINS + 1)
    middles = (edges[1:] + edges[:-1]) / 2
    for row, _ in enumerate(values):
        own, score = scores.labels == row, scores.scores[:, row]
        for chosen, filled in ((own, True), (~own, False)):
            heights = np.histogram(score[chosen], edges)[0].astype(float)
            line = row - 0.8 * heights / max(heights.max(), 1)
            if filled:
                axes.fill_between(middles, row, line, color=light("winner"), alpha=0.5, linewidth=0, step="mid")
            else:
                axes.plot(middles, line, color=light("random"), linewidth=1.0, drawstyle="steps-mid")
    axes.plot([], [], color=light("winner"), linewidth=6, alpha=0.5, label="images of the value")
    axes.plot([], [], color=light("random"), label="all others")
    axes.set_yticks(range(len(values)), [shortened(value, 18) for value in values])
    axes.tick_params(axis="y", length=0, labelcolor=light("ink"))
    axes.set(xlim=(0, 1), ylim=(len(values) - 0.6, -1.0))
    legend(axes, 2)
    return figure
