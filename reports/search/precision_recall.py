"""Records -> precision-recall curves, of the winner and its controls or, of more than two values, one per value."""

from typing import Any, NamedTuple

from matplotlib.figure import Figure

from reports.layout.figures import WIDTH, panel
from reports.layout.formats import score
from reports.layout.palette import DASHES, light
from reports.layout.svg import styled
from reports.summaries.comparison import NAMES, ROLES, winner_name
from reports.summaries.search import Records
from reports.summaries.values import items, number, numbers, table


class PrecisionRecall(NamedTuple):
    """A curve; `mark`: (recall, precision) at the winner's threshold, where it is known."""

    key: str
    name: str
    recall: tuple[float, ...]
    precision: tuple[float, ...]
    average: float | None
    mark: tuple[float, float] | None


def pr_curves(records: Records, split: str) -> tuple[PrecisionRecall, ...]:
    """The curves on split "val" or "test", the winner's first; none where the search recorded none."""
    result = records.result
    recorded = table(table(result.get("precision_recall")).get(split))
    sources = {"winner": result} | table(result.get("controls"))
    found = []
    for key, name in {**NAMES, "winner": winner_name(records)}.items():
        curve, metrics = table(recorded.get(key)), table(table(sources.get(key)).get(split))
        by_value = {} if "recall" in curve else {str(value): table(one) for value, one in curve.items()}
        for title, points in by_value.items() or ((name, curve),):
            one = _curve(key, title, points, {} if by_value else metrics)
            found += [one] if one else []
    return tuple(found)


def positive_share(records: Records, split: str) -> float | None:
    """The share of the second of two values in a split: what blind guessing has as precision."""
    counts = [number(one) for one in table(table(table(records.result.get("data")).get("counts")).get(split)).values()]
    if len(counts) != 2 or counts[0] is None or counts[1] is None or not counts[0] + counts[1]:
        return None
    return counts[1] / (counts[0] + counts[1])


def _curve(key: str, name: str, points: dict[str, object], metrics: dict[str, object]) -> PrecisionRecall | None:
    recall, precision = numbers(points.get("recall")), numbers(points.get("precision"))
    raw = len(items(points.get("recall"))), len(items(points.get("precision")))
    if len(recall) < 1 or (len(recall), len(precision)) != raw or len(recall) != len(precision):
        return None
    at, exact = number(metrics.get("recall")), number(metrics.get("precision"))
    mark = (at, exact) if key == "winner" and at is not None and exact is not None else None
    return PrecisionRecall(key, name, recall, precision, number(metrics.get("average_precision")), mark)


@styled
def pr_figure(curves: tuple[PrecisionRecall, ...], split: str, base: float | None) -> Figure:
    """Precision over recall; a ring marks where the winner's threshold lies. `base`: precision of blind guessing."""
    figure, axes = panel("recall", f"precision, {split}", height=WIDTH)
    if base is not None:
        axes.axhline(base, color=light("line"), linewidth=1.2, linestyle=(0, (2, 2)))
    own = [curve for curve in curves if curve.key == "winner"]
    for place, curve in reversed(list(enumerate(curves))):
        role = tuple(DASHES)[place % len(DASHES)] if len(own) > 1 else ROLES[curve.key]
        width = 2.2 if curve.key == "winner" and len(own) == 1 else 1.2
        name = curve.name if curve.average is None else f"{curve.name}, {score(curve.average, 3)}"
        # Where recall jumps, precision is not on the line between: the curve is drawn as steps.
        axes.plot(
            (0.0, *curve.recall), (curve.precision[0], *curve.precision), drawstyle="steps-pre",
            color=light(role), linestyle=DASHES[role], linewidth=width, label=name,
        )  # fmt: skip
        if curve.mark:
            ring: dict[str, Any] = {"markersize": 8, "markeredgewidth": 1.6}
            axes.plot(*[[at] for at in curve.mark], "o", color=light("ink"), fillstyle="none", **ring)
    axes.set(xlim=(-0.01, 1.01), ylim=(-0.01, 1.02), aspect="equal")
    handles, labels = axes.get_legend_handles_labels()
    title = "average precision" if len(own) == 1 else None
    axes.legend(handles[::-1], labels[::-1], loc="lower left", title=title, handlelength=2.4)
    return figure
