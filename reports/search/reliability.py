"""Records -> calibration: does a score of 0.8 come true four times in five? Before and after calibrating on val.

On Calibration of Modern Neural Networks (Guo et al., 2017), arXiv:1706.04599: reliability diagrams, and in eq. 3 the
expected calibration error, the mean gap between score and outcome over bins, weighted by their images.
"""

from typing import NamedTuple

from matplotlib.figure import Figure

from reports.layout.figures import WIDTH, panel
from reports.layout.formats import count, score, share
from reports.layout.pages import Picture, picture
from reports.layout.palette import light
from reports.layout.svg import styled
from reports.search.verdict import values_of
from reports.summaries.search import Records
from reports.summaries.values import items, number, numbers, table, text

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


def reliabilities(records: Records, split: str) -> dict[str, Reliability]:
    """What is recorded of a split, "raw" and "calibrated"; empty where the search recorded none."""
    recorded = table(table(records.result.get("calibration")).get(split))
    found = {}
    for stage in STAGES:
        one = table(recorded.get(stage))
        rows = [numbers(row) for row in items(one.get("bins"))]
        error = number(one.get("ece"))
        if error is not None and rows and all(len(row) == len(Bin._fields) for row in rows):
            found[stage] = Reliability(tuple(Bin(*row) for row in rows), error)
    return found


def calibration_picture(records: Records) -> Picture | None:
    """The reliability diagram, of test where it was measured, else of val."""
    split = "test" if reliabilities(records, "test") else "val"
    found = reliabilities(records, split)
    if not found:
        return None
    values = values_of(records)
    two = len(values) == 2
    xlabel = "score" if two else "highest score"
    ylabel = f"how often it is “{values[1]}”, {split}" if two else f"how often it is right, {split}"
    errors = ", ".join(f"{stage} {score(one.error, 3)}" for stage, one in found.items())
    method = text(table(records.result.get("calibration")).get("method"))
    fitted = f" Calibrated by {method}, fitted on val." if method else ""
    caption = (
        f"On the diagonal a score is a probability. Expected calibration error, the mean distance from it: {errors}."
        f"{fitted} The larger a mark, the more images."
    )
    bins = "; ".join(f"{stage}: {', '.join(map(_said, one.bins))}" for stage, one in found.items())
    words = f"Reliability diagram. {caption} Score and how often it came true, {bins}."
    return picture("reliability", "Calibration", reliability_figure(found, xlabel, ylabel), caption, words)


def _said(one: Bin) -> str:
    return f"{score(one.score, 2)} {share(one.outcome)} of {count(one.images)}"


@styled
def reliability_figure(found: dict[str, Reliability], xlabel: str, ylabel: str) -> Figure:
    """How often a score came true, over the score; the larger a mark, the more images; the diagonal is perfect."""
    figure, axes = panel(xlabel, ylabel, height=WIDTH)
    axes.plot([0, 1], [0, 1], color=light("line"), linewidth=1.2, linestyle=(0, (2, 2)))
    styles = {"raw": ("random", (0, (5, 1.6)), "s"), "calibrated": ("winner", "-", "o")}
    for stage, one in found.items():
        role, dash, marker = styles[stage]
        total = sum(bin_.images for bin_ in one.bins) or 1.0
        x, y = [bin_.score for bin_ in one.bins], [bin_.outcome for bin_ in one.bins]
        axes.plot(x, y, color=light(role), linestyle=dash, linewidth=1.0, alpha=0.4)
        sizes = [14 + 150 * max(bin_.images, 0) / total for bin_ in one.bins]
        label = f"{stage}, error {one.error:.3f}"
        axes.scatter(x, y, s=sizes, color=light(role), marker=marker, alpha=0.75, linewidths=0, label=label, zorder=3)
    axes.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.04), aspect="equal")
    axes.figure.legend(loc="outside lower left", ncols=2, markerscale=0.6)
    return figure
