"""Section of the winner's scores: how they spread per value, and whether 0.8 comes true four times in five.

On Calibration of Modern Neural Networks (Guo et al., 2017), arXiv:1706.04599: reliability diagrams, and in eq. 3 the
expected calibration error, the mean gap between score and outcome over bins, weighted by their images.
"""

from typing import Any, NamedTuple

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from reports.layout.figures import WIDTH, legend, light, panel, styled
from reports.layout.formats import count, score, share, shortened
from reports.layout.pages import Picture, Section, Table, picture
from reports.summaries.predictions import SplitScores
from reports.summaries.search import Records, values_of
from reports.summaries.thresholds import chosen_threshold
from reports.summaries.values import items, number, numbers, table, text

MANY = 12  # values that a figure or a table of every pair holds
NOT_WRITTEN = "predictions.csv, which a search writes at its end, is not in this folder"
BINS = 25
STAGES = ("raw", "calibrated")


class Bin(NamedTuple):
    """The images whose score lies in one bin: their mean score, how often it came true, and how many they are."""

    score: float
    outcome: float
    images: float


class Reliability(NamedTuple):
    """The bins that hold images, by score, and the expected calibration error."""

    bins: tuple[Bin, ...]
    error: float


def scores_section(records: Records) -> Section:
    """Histograms per value, the reliability diagram, and which values are taken for which."""
    values, splits = records.predictions.values, records.predictions.splits
    split = "test" if "test" in splits else "val"
    pictures: list[Picture] = []
    tables: tuple[Table, ...] = ()
    missing = []
    if split in splits:
        pictures.append(_spread(records, splits[split], split))
        tables = (_confusion(splits[split], values, split),)
        if len(values) > MANY:
            missing.append(f"histograms and mistakes of more than {MANY} of the {len(values)} values")
    else:
        missing.append(NOT_WRITTEN)
    if calibration := calibration_picture(records):
        pictures.append(calibration)
    else:
        missing.append("how well the scores are calibrated is not recorded")
    return Section("confidence", "Scores and calibration", "", tuple(pictures), tables, missing=tuple(missing))


def _spread(records: Records, shown: SplitScores, split: str) -> Picture:
    values = records.predictions.values
    title = f"Scores on {split}, by value"
    if len(values) == 2:
        drawn = histogram_figure(shown, values, chosen_threshold(records))
        caption = "The less the two overlap, the better they are told apart; what lies beyond the line is a mistake."
        return picture("histogram", title, drawn, caption)
    caption = "Filled: images of the value; outlined: all others. Each is scaled to its own peak."
    return picture("histogram", title, ridge_figure(shown, values[:MANY]), caption)


def _confusion(shown: SplitScores, values: tuple[str, ...], split: str) -> Table:
    """A row per true value, a column per predicted one."""
    size = len(values)
    pairs = np.bincount(shown.labels * size + shown.predicted, minlength=size * size).reshape(size, size)
    rows = []
    for index, value in enumerate(values[:MANY]):
        total = int(pairs[index].sum())
        cells = [_part(int(pairs[index, other]), total) for other in range(min(size, MANY))]
        rows.append((value, *cells, count(total)))
    head = ("images of", *(f"taken for {value}" for value in values[:MANY]), "all")
    caption = f"What the images of each value are taken for, on {split}."
    return Table(caption, head, tuple(rows))


def _part(images: int, total: int) -> str:
    return f"{count(images)}\n{share(images / total)}" if images and total else count(images)


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


def reliabilities(records: Records, split: str) -> dict[str, Reliability]:
    """What is recorded of a split, "raw" and "calibrated"; empty where the search recorded none."""
    recorded = table(table(records.result.get("calibration")).get(split))
    stages = {}
    for stage in dict.fromkeys((*STAGES, *recorded)):
        entry = table(recorded.get(stage))
        rows = [numbers(row) for row in items(entry.get("bins"))]
        error = number(entry.get("ece"))
        if error is not None and rows and all(len(row) == len(Bin._fields) for row in rows):
            stages[stage] = Reliability(tuple(Bin(*row) for row in rows), error)
    return stages


def calibration_picture(records: Records) -> Picture | None:
    """The reliability diagram, of test where it was measured, else of val."""
    split = "test" if reliabilities(records, "test") else "val"
    stages = reliabilities(records, split)
    if not stages:
        return None
    values = values_of(records)
    two = len(values) == 2
    xlabel = "score" if two else "highest score"
    ylabel = f"how often it is “{values[1]}”, {split}" if two else f"how often it is right, {split}"
    errors = ", ".join(f"{stage} {score(entry.error, 3)}" for stage, entry in stages.items())
    method = text(table(records.result.get("calibration")).get("method"))
    fitted = f" Calibrated by {method}, fitted on val." if method else ""
    caption = (
        f"On the diagonal a score is a probability. Expected calibration error, the mean distance from it: {errors}."
        f"{fitted} The larger a mark, the more images."
    )
    bins = "; ".join(f"{stage}: {', '.join(map(_said, entry.bins))}" for stage, entry in stages.items())
    words = f"Reliability diagram. {caption} Score and how often it came true, {bins}."
    return picture("reliability", "Calibration", reliability_figure(stages, xlabel, ylabel), caption, words)


def _said(bin_: Bin) -> str:
    return f"{score(bin_.score, 2)} {share(bin_.outcome)} of {count(bin_.images)}"


@styled
def reliability_figure(stages: dict[str, Reliability], xlabel: str, ylabel: str) -> Figure:
    """How often a score came true, over the score; the larger a mark, the more images; the diagonal is perfect."""
    figure, axes = panel(xlabel, ylabel, height=WIDTH)
    axes.plot([0, 1], [0, 1], color=light("line"), linewidth=1.2, linestyle=(0, (2, 2)))
    styles = {"raw": ("random", (0, (5, 1.6)), "s"), "calibrated": ("winner", "-", "o")}
    for stage, entry in stages.items():
        role, dash, marker = styles.get(stage, ("tail", (0, (1.4, 1.4)), "^"))
        total = sum(bin_.images for bin_ in entry.bins) or 1.0
        x, y = [bin_.score for bin_ in entry.bins], [bin_.outcome for bin_ in entry.bins]
        axes.plot(x, y, color=light(role), linestyle=dash, linewidth=1.0, alpha=0.4)
        sizes = [14 + 150 * max(bin_.images, 0) / total for bin_ in entry.bins]
        label = f"{stage}, error {entry.error:.3f}"
        axes.scatter(x, y, s=sizes, color=light(role), marker=marker, alpha=0.75, linewidths=0, label=label, zorder=3)
    axes.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.04), aspect="equal")
    axes.figure.legend(loc="outside lower left", ncols=2, markerscale=0.6)
    return figure
