"""The search's candidates -> matplotlib figures: size against score beside the controls, place against place."""

from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from reports.layout.figures import HEIGHT, legend, logarithmic, panel
from reports.layout.palette import MARKERS, light
from reports.layout.svg import styled
from reports.summaries.candidates import CHANCE, Candidate, Trained
from reports.summaries.curves import METRIC_NAMES


@styled
def candidates_figure(candidates: tuple[Candidate, ...], controls: tuple[Trained, ...], metric: str) -> Figure:
    """Parameters against the val score: every candidate by what ranks it, the winner and the controls as trained."""
    figure, axes = panel("parameters", f"val {METRIC_NAMES[metric]}", height=HEIGHT + 0.9)
    points = [
        (one, one.parameters, one.score)
        for one in candidates
        if one.parameters is not None and one.parameters > 0 and one.score is not None
    ]
    edge = [(parameters, score) for one, parameters, score in points if one.on_front]
    if edge:
        style: Any = {"color": light("ink"), "markersize": 6.5, "markerfacecolor": "none", "markeredgewidth": 0.9}
        axes.plot(*zip(*edge, strict=True), "o", label="Pareto front", **style)
    _marks(axes, points, 3.4, 0.35 if len(points) > 300 else 0.6)
    for one in controls:
        own = one.role == "winner"
        edged: Any = {"markeredgecolor": light("ink"), "markeredgewidth": 0.9, "zorder": 6}
        size = 14 if own else 8
        axes.plot(
            [one.parameters], [one.score], MARKERS[one.role], color=light(one.role), markersize=size,
            label=one.name, **edged,
        )  # fmt: skip
    logarithmic(axes, [parameters for _, parameters, _ in points] + [one.parameters for one in controls])
    if controls:  # their marks are large
        low, high = axes.get_xlim()
        axes.set_xlim(low / 1.3, high * 1.3)
    axes.margins(y=0.1)
    legend(axes, 2)
    return figure


@styled
def ranks_figure(ranks: tuple[tuple[float, float, bool], ...], judge: str = "with shared weights") -> Figure:
    """The place of each retrained candidate by what ranked it, from `judge`, against its place after retraining.

    ranks: (place before, place after, whether it won), counted from 1, the best; on the diagonal the order held.
    """
    figure, axes = panel(f"place {judge} (1 is best)", "place after retraining from scratch", height=HEIGHT + 0.4)
    last = max(max(before, after) for before, after, _ in ranks)
    axes.plot([1, last], [1, last], color=light("line"), linewidth=1.2, linestyle=(0, (2, 2)))
    others = [(before, after) for before, after, won in ranks if not won]
    if others:
        axes.plot(*zip(*others, strict=True), "o", color=light("winner"), markersize=6, alpha=0.8, markeredgewidth=0)
    for before, after, won in ranks:
        if won:
            axes.plot([before], [after], "*", color=light("ink"), markersize=13, markeredgewidth=0, label="winner")
    axes.set(xlim=(last + 0.5, 0.5), ylim=(last + 0.5, 0.5))
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_locator(MaxNLocator(min(int(last), 8), integer=True))
    return figure


def _marks(axes: Axes, points: list[tuple[Candidate, float, float]], size: float, alpha: float) -> None:
    """One small mark per architecture, by where it comes from."""
    for role, marker, label in (("random", "s", "drawn at random"), ("winner", "o", "candidate")):
        chosen = [(x, y) for one, x, y in points if (one.source in CHANCE) == (role == "random")]
        if chosen:
            style: Any = {"color": light(role), "alpha": alpha, "markersize": size, "markeredgewidth": 0}
            axes.plot(*zip(*chosen, strict=True), marker, label=label, **style)
