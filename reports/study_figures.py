"""Trials of a study -> matplotlib figures: history, front, importances, score by depth."""

from collections.abc import Sequence

from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from reports.layout.figures import legend, logarithmic, panel
from reports.layout.palette import light
from reports.layout.svg import styled
from reports.study_summaries import Trial, best_so_far


@styled
def history_figure(found: Sequence[Trial], metric: str) -> Figure:
    """The val score of each finished trial, where others were stopped, and the best so far."""
    figure, axes = panel("trial", f"val {metric}")
    done = [(one.number, one.score) for one in found if one.score is not None]
    axes.plot(*zip(*done, strict=True), "o", color=light("muted"), markersize=3.4, label="finished")
    low = min(score for _, score in done)
    if stopped := [one.number for one in found if not one.finished]:
        axes.plot(stopped, [low] * len(stopped), "x", color=light("random"), markersize=4, label="stopped early")
    axes.plot(*best_so_far(found), color=light("winner"), drawstyle="steps-post", label="best so far")
    axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))
    legend(axes)
    return figure


@styled
def front_figure(found: Sequence[Trial], metric: str, second: str) -> Figure:
    """Cost against val score, the front as a line, the picked trial starred and the first one ringed."""
    figure, axes = panel(second, f"val {metric}")
    done = [(one, one.second, one.score) for one in found if one.second is not None and one.score is not None]
    edge = [(cost, score) for one, cost, score in sorted(done, key=lambda point: point[1]) if one.on_front]
    if edge:
        axes.plot(*zip(*edge, strict=True), color=light("winner"), linewidth=1.1, drawstyle="steps-post", label="front")
    axes.plot(
        *zip(*((x, y) for _, x, y in done), strict=True), "o", color=light("muted"), markersize=3.4, label="trial"
    )
    for name, marker, chosen in (
        ("first", "o", [(x, y) for one, x, y in done if one.number == 0]),
        ("picked", "*", [(x, y) for one, x, y in done if one.picked]),
    ):
        if chosen:
            ring = marker == "o"
            axes.plot(
                *zip(*chosen, strict=True),
                marker,
                color=light("random" if ring else "ink"),
                markersize=8 if ring else 12,
                markerfacecolor="none" if ring else light("ink"),
                markeredgecolor=light("random" if ring else "surface"),
                zorder=5,
                label=name,
            )
    logarithmic(axes, [cost for _, cost, _ in done if cost > 0])
    legend(axes, 4)
    return figure


@styled
def importance_figure(shares: Sequence[tuple[str, float]], objective: str) -> Figure:
    """The share of an objective's variance that each knob explains, the largest on top."""
    figure, axes = panel(f"share of the variance of {objective}", "", height=0.9 + 0.24 * len(shares))
    names, values = [name for name, _ in shares], [value for _, value in shares]
    axes.barh(range(len(shares)), values, color=light("winner"), height=0.62)
    axes.set_yticks(range(len(shares)), names)
    axes.invert_yaxis()
    axes.set_xlim(0, 1.05 * max(values))
    axes.tick_params(axis="y", length=0)
    return figure


@styled
def knob_figure(found: Sequence[Trial], knob: str, name: str, metric: str) -> Figure:
    """The val score of each finished trial by one knob's whole number; the mean of each as a line."""
    figure, axes = panel(name, f"val {metric}")
    points = [(value, one.score) for one in found if isinstance(value := one.setting.get(knob), int) and one.score]
    axes.plot(*zip(*points, strict=True), "o", color=light("muted"), markersize=3.4, label="trial")
    places = sorted({value for value, _ in points})
    best = [max(score for value, score in points if value == place) for place in places]
    axes.plot(places, best, color=light("winner"), marker="o", markersize=4, label="best")
    axes.xaxis.set_major_locator(MaxNLocator(8, integer=True))
    legend(axes)
    return figure
