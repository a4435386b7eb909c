"""The winner beside its controls -> matplotlib figures: scores over seeds, gains, score for size, ROC."""

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

from reports.layout.figures import WIDTH, legend, logarithmic, panel
from reports.layout.formats import score, signed
from reports.layout.palette import DASHES, MARKERS, light
from reports.layout.svg import styled
from reports.summaries.comparison import ROLES, Gain, Method, Roc
from reports.summaries.curves import METRIC_NAMES

VALUE_ROLES = ("winner", "random", "probe", "tail")


@styled
def scores_figure(methods: tuple[Method, ...], split: str, metric: str) -> Figure:
    """The score of each method on a split: the mean as its mark, every training as a small dot."""
    figure, axes = panel(f"{split} {METRIC_NAMES[metric]}", "", height=0.75 + 0.42 * len(methods))
    for row, method in enumerate(methods):
        role, seeds = ROLES[method.key], method.test_seeds if split == "test" else method.val_seeds
        if len(seeds) > 1:
            axes.plot([min(seeds), max(seeds)], [row, row], color=light(role), linewidth=5, alpha=0.22)
            axes.plot(seeds, [row] * len(seeds), "o", color=light(role), markersize=3.5, alpha=0.7, markeredgewidth=0)
        if (value := method.score(split)) is not None:
            size = 13 if role == "winner" else 7
            axes.plot([value], [row], MARKERS[role], color=light(role), markersize=size, markeredgewidth=0)
            _label(axes, score(value, 3), value, row)
    axes.set_yticks(range(len(methods)), [method.name for method in methods])
    axes.tick_params(axis="y", length=0, labelcolor=light("ink"))
    axes.set_ylim(len(methods) - 0.5, -0.75)
    axes.margins(x=0.09)
    axes.xaxis.set_major_locator(MaxNLocator(4))
    return figure


@styled
def gains_figure(gains: tuple[Gain, ...], metric: str) -> Figure:
    """The winner's gain in the test score over each control with its 95 % interval, and the line of no gain."""
    figure, axes = panel(f"gain in test {METRIC_NAMES[metric]}", "", height=0.75 + 0.42 * len(gains))
    axes.axvline(0, color=light("muted"), linewidth=1.2)
    for row, gain in enumerate(gains):
        role = ROLES[gain.key]
        if gain.low is not None and gain.high is not None:
            axes.plot([gain.low, gain.high], [row, row], color=light(role), linewidth=2)
            axes.plot([gain.low, gain.high], [row, row], "|", color=light(role), markersize=8, markeredgewidth=1.6)
        axes.plot([gain.difference], [row], MARKERS[role], color=light(role), markersize=7, markeredgewidth=0)
        _label(axes, signed(gain.difference), gain.difference, row)
    axes.set_yticks(range(len(gains)), [f"over {gain.name}" for gain in gains])
    axes.tick_params(axis="y", length=0, labelcolor=light("ink"))
    axes.set_ylim(len(gains) - 0.5, -0.75)
    axes.margins(x=0.09)
    axes.xaxis.set_major_locator(MaxNLocator(4, min_n_ticks=3))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: signed(round(value, 9), 3)))
    return figure


@styled
def size_figure(methods: tuple[Method, ...], split: str, metric: str) -> Figure:
    """Parameters against the score: up is better, left is smaller."""
    figure, axes = panel("parameters", f"{split} {METRIC_NAMES[metric]}")
    placed = []
    for method in methods:
        value = method.score(split)
        if method.parameters is not None and method.parameters > 0 and value is not None:
            role, size = ROLES[method.key], 14 if method.key == "winner" else 8
            placed.append(method.parameters)
            axes.plot(
                [method.parameters],
                [value],
                MARKERS[role],
                color=light(role),
                markersize=size,
                markeredgewidth=0,
                label=method.name,
            )
    logarithmic(axes, placed)
    if placed:
        low, high = axes.get_xlim()
        axes.set_xlim(low / 1.4, high * 1.4)
    axes.margins(y=0.18)
    legend(axes, 2)
    return figure


def _label(axes: Axes, words: str, x: float, row: int) -> None:
    backing = {"facecolor": light("surface"), "edgecolor": "none", "alpha": 0.85, "pad": 0.6}
    axes.annotate(words, (x, row), (0, 8), textcoords="offset points", ha="center", size=8.5, bbox=backing)


@styled
def roc_figure(curves: tuple[Roc, ...], split: str) -> Figure:
    """ROC curves; a ring marks where the winner's threshold lies."""
    figure, axes = panel("false positive rate", f"true positive rate, {split}", height=WIDTH)
    axes.plot([0, 1], [0, 1], color=light("line"), linewidth=1.2, linestyle=(0, (2, 2)))
    own = [curve for curve in curves if curve.key == "winner"]
    for position, curve in reversed(list(enumerate(curves))):
        role = VALUE_ROLES[position % 4] if len(own) > 1 else ROLES[curve.key]
        width = 2.2 if curve.key == "winner" and len(own) == 1 else 1.2
        name = curve.name if curve.auroc is None else f"{curve.name}, {score(curve.auroc, 3)}"
        axes.plot(curve.fpr, curve.tpr, color=light(role), linestyle=DASHES[role], linewidth=width, label=name)
        if curve.mark and curve.key == "winner":
            axes.plot(
                *[[at] for at in curve.mark],
                "o",
                color=light("ink"),
                markersize=8,
                fillstyle="none",
                markeredgewidth=1.6,
            )
            words = f"threshold {score(curve.threshold, 3)}" if curve.threshold is not None else "threshold"
            backing = {"facecolor": light("surface"), "edgecolor": "none", "alpha": 0.85, "pad": 1.0}
            axes.annotate(words, curve.mark, (14, -19), textcoords="offset points", size=9, bbox=backing)
    axes.set(xlim=(-0.01, 1.01), ylim=(-0.01, 1.02), aspect="equal")
    handles, labels = axes.get_legend_handles_labels()
    axes.legend(
        handles[::-1], labels[::-1], loc="lower right", title="AUROC" if len(own) == 1 else None, handlelength=2.4
    )
    return figure
