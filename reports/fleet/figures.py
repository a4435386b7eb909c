"""Entries of a fleet -> matplotlib figures: scores with intervals, and the tree's cost beside separate networks."""

from collections.abc import Sequence

from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

from reports.fleet.entries import Costs, Entry
from reports.fleet.tree_cost import TreeCost
from reports.layout.figures import legend, panel, rounded_count
from reports.layout.formats import shortened
from reports.layout.palette import light
from reports.layout.svg import styled

ROW = 0.235  # inches per attribute


@styled
def fleet_scores_figure(entries: Sequence[Entry]) -> Figure:
    """The test score of every attribute, best first, with its interval; entries without a score are left out."""
    ranked = sorted((one for one in entries if one.score is not None), key=lambda one: one.score or 0.0)
    figure, axes = panel("", f"test {ranked[-1].metric}", width=5.2, height=0.75 + ROW * len(ranked))
    for state, face, label in (("current", light("winner"), "current"), ("", light("surface"), "not current")):
        chosen = [
            (place, one)
            for place, one in enumerate(ranked)
            if (one.state == "current") == bool(state) and one.score is not None
        ]
        if not chosen:
            continue
        for place, one in chosen:
            if one.low is not None and one.high is not None:
                axes.plot([one.low, one.high], [place, place], color=light("winner"), linewidth=3, alpha=0.3)
        x, y = [one.score or 0.0 for _, one in chosen], [place for place, _ in chosen]
        axes.plot(x, y, "o", color=light("winner"), markerfacecolor=face, markersize=5.5, label=label)
    axes.set_yticks(range(len(ranked)), [shortened(one.attribute, 24) for one in ranked])
    axes.tick_params(axis="y", length=0, labelcolor=light("ink"))
    axes.set_ylim(-0.7, len(ranked) - 0.3)
    axes.xaxis.set_major_locator(MaxNLocator(5))
    axes.grid(visible=False, axis="y")
    if any(one.state != "current" for one in ranked):
        legend(axes)
    return figure


@styled
def tree_cost_figure(cost: TreeCost) -> Figure:
    """Two bars for each kind of cost that is known: the tree (trunk, then branches) and the separate networks."""
    kinds = known_kinds(cost)
    figure = Figure(figsize=(5.2, 0.55 + 1.05 * len(kinds)), layout="constrained")
    for axes, (name, field) in zip(figure.subplots(len(kinds), 1, squeeze=False)[:, 0], kinds, strict=True):
        trunk, branches, separate = (getattr(one, field) for one in (cost.trunk, cost.branches, cost.separate))
        first = axes.get_subplotspec().is_first_row()
        edge = light("surface")
        axes.barh([1], [trunk], color=light("probe"), edgecolor=edge, label="trunk, once" if first else None)
        axes.barh(
            [1],
            [branches],
            left=[trunk],
            color=light("winner"),
            edgecolor=edge,
            hatch="///",
            label="branches" if first else None,
        )
        axes.barh(
            [0], [separate], color=light("tail"), edgecolor=edge, label="networks of their own" if first else None
        )
        axes.set_yticks([0, 1], ["separate", "tree"])
        axes.set_title(name, loc="left", color=light("muted"), fontsize=9)
        axes.tick_params(axis="y", length=0, labelcolor=light("ink"))
        axes.grid(visible=False, axis="y")
        axes.xaxis.set_major_locator(MaxNLocator(5))
        if field != "latency_ms":
            axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: rounded_count(value)))
    legend(figure.axes[0])
    return figure


def known_kinds(cost: TreeCost) -> list[tuple[str, str]]:
    """Title and field of each kind of cost that is known of the tree and of the separate networks."""
    titles = dict(zip(Costs._fields, ("parameters", "MACs per image", "milliseconds per image"), strict=True))
    return [
        (title, field)
        for field, title in titles.items()
        if getattr(cost.tree, field) is not None and getattr(cost.separate, field) is not None
    ]
