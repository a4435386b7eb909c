"""Section of the operating point: ROC and precision-recall curves, the threshold and others, every metric."""

from itertools import pairwise
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from reports.layout.figures import DASHES, WIDTH, legend, light, panel, styled
from reports.layout.formats import METRIC_NAMES, metrics_in, score
from reports.layout.pages import Picture, Section, Table, picture
from reports.summaries.comparison import ROLES, Curve, curves_of, winner_name
from reports.summaries.search import Records, by_hand, reward_metric, values_of
from reports.summaries.thresholds import OperatingPoint, chosen_threshold, operating_rows, points_at
from reports.summaries.values import number, numbers_of, table

CURVES = 5  # of values, in one figure
VALUE_ROLES = ("winner", "random", "probe", "tail")
GRID = 101
LINES = (
    ("accuracy", "accuracy", "tail", (0, (6, 1.6, 1.4, 1.6))),
    ("precision", "precision", "probe", (0, (1.4, 1.4))),
    ("recall", "recall", "winner", "-"),
    ("fpr", "false positive rate", "random", (0, (5, 1.6))),
)


def operation_section(records: Records) -> Section:
    """ROC and precision-recall curves with the threshold marked, what other thresholds would do, every metric."""
    pictures, missing = [], []
    thresholds = threshold_picture(records)
    pictures += [*_curve_picture(records, "test", "roc"), *_curve_picture(records, "test", "precision_recall")]
    pictures += [thresholds] if thresholds else []
    pictures += [*_curve_picture(records, "val", "roc"), *_curve_picture(records, "val", "precision_recall")]
    if not any(entry.name.startswith("roc") for entry in pictures):
        missing.append("no ROC curve has been recorded")
    if not any(entry.name.startswith("pr") for entry in pictures):
        missing.append("no precision-recall curve has been recorded")
    if thresholds is None and len(values_of(records)) == 2:
        missing.append("what other thresholds would do, for which predictions.csv is needed")
    metrics = _metrics_table(records)
    if metrics is None:
        missing.append("no metrics of a winner yet")
    elif not numbers_of(records.result.get("test")):
        missing.append("the test split has not been measured")
    tables = tuple(shown for shown in (metrics, threshold_table(records)) if shown)
    title = "Metrics and threshold"
    return Section("operation", title, "", tuple(pictures), tables, (), tuple(missing), placement="first beside")


def _curve_picture(records: Records, split: str, kind: str) -> list[Picture]:
    curves = curves_of(records, split, kind)
    if not curves:
        return []
    kept, remark = _hardest(curves)
    caption = _caption(curves[0].mark, split, remark)
    if kind == "roc":
        return [picture(f"roc-{split}", f"ROC on {split}", roc_figure(kept, split), caption)]
    base = positive_share(records, split)
    caption += "" if base is None else " Dotted: blind guessing."
    return [picture(f"pr-{split}", f"Precision and recall on {split}", pr_figure(kept, split, base), caption.strip())]


def _caption(mark: tuple[float, float] | None, split: str, remark: str) -> str:
    said = "The ring marks the threshold, which was chosen on val." if mark else ""
    chosen = "Val was used to choose: expect it to look better than test." if split == "val" else ""
    return " ".join(part for part in (said, chosen, remark) if part)


def _hardest(curves: tuple[Curve, ...]) -> tuple[tuple[Curve, ...], str]:
    """All curves, or of many values those with the smallest area below them, and a remark that says so."""
    if len(curves) <= CURVES or curves[-1].key != "winner":
        return curves, ""
    return tuple(sorted(curves, key=_area)[:CURVES]), f"The {CURVES} hardest of {len(curves)} values."


def _area(curve: Curve) -> float:
    """The area under a curve whose x rises."""
    steps = zip(pairwise(curve.x), pairwise(curve.y), strict=True)
    return sum((right - left) * (before + after) / 2 for (left, right), (before, after) in steps)


def _metrics_table(records: Records) -> Table | None:
    val, test = numbers_of(records.result.get("val")), numbers_of(records.result.get("test"))
    names = metrics_in(val, test)
    if not names:
        return None
    rows = tuple((METRIC_NAMES[key], score(val.get(key)), score(test.get(key))) for key in names)
    kind = " One value against the rest, averaged over values" if len(values_of(records)) > 2 else _positive(records)
    whose = "Chosen by val" if by_hand(records) else "Reward of the search: val"
    caption = f"The {winner_name(records)}. {whose} {METRIC_NAMES[reward_metric(records)]}.{kind}"
    return Table(caption, ("metric", "val", "test"), rows)


def _positive(records: Records) -> str:
    values = values_of(records)
    return f" “{values[1]}” counts as positive." if len(values) == 2 else ""


@styled
def roc_figure(curves: tuple[Curve, ...], split: str) -> Figure:
    """ROC curves; a ring marks where the winner's threshold lies."""
    figure, axes = panel("false positive rate", f"true positive rate, {split}", height=WIDTH)
    axes.plot([0, 1], [0, 1], color=light("line"), linewidth=1.2, linestyle=(0, (2, 2)))
    for curve, style in _styles(curves, VALUE_ROLES):
        axes.plot(curve.x, curve.y, **style)
        if curve.mark:
            _ring(axes, curve.mark)
            words = f"threshold {score(curve.threshold, 3)}" if curve.threshold is not None else "threshold"
            backing = {"facecolor": light("surface"), "edgecolor": "none", "alpha": 0.85, "pad": 1.0}
            axes.annotate(words, curve.mark, (14, -19), textcoords="offset points", size=9, bbox=backing)
    _finish(axes, curves, "lower right", "AUROC")
    return figure


@styled
def pr_figure(curves: tuple[Curve, ...], split: str, base: float | None) -> Figure:
    """Precision over recall; a ring marks where the winner's threshold lies. `base`: precision of blind guessing."""
    figure, axes = panel("recall", f"precision, {split}", height=WIDTH)
    if base is not None:
        axes.axhline(base, color=light("line"), linewidth=1.2, linestyle=(0, (2, 2)))
    for curve, style in _styles(curves, tuple(DASHES)):
        # Where recall jumps, precision is not on the line between: the curve is drawn as steps.
        axes.plot((0.0, *curve.x), (curve.y[0], *curve.y), drawstyle="steps-pre", **style)
        if curve.mark:
            _ring(axes, curve.mark)
    _finish(axes, curves, "lower left", "average precision")
    return figure


def _styles(curves: tuple[Curve, ...], roles: tuple[str, ...]) -> list[tuple[Curve, dict[str, Any]]]:
    """The curves with colour, dashes and label, the first last, on top; of several values each has its own role."""
    several = sum(curve.key == "winner" for curve in curves) > 1
    styled_curves = []
    for index, curve in reversed(list(enumerate(curves))):
        role = roles[index % len(roles)] if several else ROLES[curve.key]
        width = 2.2 if curve.key == "winner" and not several else 1.2
        label = curve.name if curve.area is None else f"{curve.name}, {score(curve.area, 3)}"
        style = {"color": light(role), "linestyle": DASHES[role], "linewidth": width, "label": label}
        styled_curves.append((curve, style))
    return styled_curves


def _ring(axes: Axes, mark: tuple[float, float]) -> None:
    style: dict[str, Any] = {"markersize": 8, "markeredgewidth": 1.6, "fillstyle": "none"}
    axes.plot(*[[at] for at in mark], "o", color=light("ink"), **style)


def _finish(axes: Axes, curves: tuple[Curve, ...], where: Any, title: str) -> None:
    axes.set(xlim=(-0.01, 1.01), ylim=(-0.01, 1.02), aspect="equal")
    handles, labels = axes.get_legend_handles_labels()
    single = sum(curve.key == "winner" for curve in curves) == 1
    axes.legend(handles[::-1], labels[::-1], loc=where, title=title if single else None, handlelength=2.4)


def positive_share(records: Records, split: str) -> float | None:
    """The share of the second of two values in a split: what blind guessing has as precision."""
    counts = [
        number(images) for images in table(table(table(records.result.get("data")).get("counts")).get(split)).values()
    ]
    if len(counts) != 2 or counts[0] is None or counts[1] is None or not counts[0] + counts[1]:
        return None
    return counts[1] / (counts[0] + counts[1])


def threshold_table(records: Records) -> Table | None:
    """A row per threshold, the chosen one marked; None without predictions, and for more than two values."""
    rows = operating_rows(records)
    if not rows:
        return None
    tested = any(row.test for row in rows)
    cells = []
    for row in rows:
        own, below = (row.test, row.val) if tested else (row.val, None)
        why = f"\n{row.why}" if row.why else ""
        cells.append((score(row.threshold, 3) + why, *(_cell(name, own, below) for name in OperatingPoint._fields[1:])))
    split = "test, below it val" if tested else "val"
    caption = f"What other thresholds would do, on {split}. Choose by val: what test shows is then still honest."
    marked = next((index for index, row in enumerate(rows) if row.threshold == chosen_threshold(records)), None)
    head = ("threshold", "accuracy", "precision", "recall", "false positive rate")
    return Table(caption, head, tuple(cells), marked)


def threshold_picture(records: Records) -> Picture | None:
    """The same as curves, on test where there is one; None as for the table."""
    splits = records.predictions.splits
    split = "test" if "test" in splits else "val"
    points = points_at(np.linspace(0, 1, GRID), splits[split]) if split in splits else []
    if not points:
        return None
    caption = "Further right, fewer images are taken for positive; the line is the threshold that val chose."
    drawn = threshold_figure(points, chosen_threshold(records), split)
    return picture("thresholds", "Another threshold", drawn, caption)


def _cell(name: str, own: OperatingPoint | None, below: OperatingPoint | None) -> str:
    written = score(getattr(own, name) if own else None)
    return f"{written}\nval {score(getattr(below, name))}" if below else written


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
