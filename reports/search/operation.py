"""Section of the operating point: ROC and precision-recall curves, the threshold and others, every metric."""

from collections.abc import Sequence
from typing import Any, NamedTuple, TypeVar

import numpy as np
from matplotlib.figure import Figure

from reports.layout.figures import DASHES, WIDTH, legend, light, panel, styled
from reports.layout.formats import METRIC_NAMES, metrics_in, score
from reports.layout.pages import Picture, Section, Table, picture
from reports.summaries.comparison import ROLES, Roc, names_of, roc_curves, winner_name
from reports.summaries.search import Records, by_hand, reward_metric, values_of
from reports.summaries.thresholds import OperatingPoint, chosen_threshold, operating_rows, points_at
from reports.summaries.values import items, number, numbers, numbers_of, table

CURVES = 5  # of values, in one figure
VALUE_ROLES = ("winner", "random", "probe", "tail")
GRID = 101
LINES = (
    ("accuracy", "accuracy", "tail", (0, (6, 1.6, 1.4, 1.6))),
    ("precision", "precision", "probe", (0, (1.4, 1.4))),
    ("recall", "recall", "winner", "-"),
    ("fpr", "false positive rate", "random", (0, (5, 1.6))),
)


class PrecisionRecall(NamedTuple):
    """A curve; `mark`: (recall, precision) at the winner's threshold, where it is known."""

    key: str
    name: str
    recall: tuple[float, ...]
    precision: tuple[float, ...]
    average: float | None
    mark: tuple[float, float] | None


Curve = TypeVar("Curve", Roc, PrecisionRecall)


def operation_section(records: Records) -> Section:
    """ROC and precision-recall curves with the threshold marked, what other thresholds would do, every metric."""
    pictures, missing = [], []
    thresholds = threshold_picture(records)
    pictures += [*_roc(records, "test"), *_precision_recall(records, "test")]
    pictures += [thresholds] if thresholds else []
    pictures += [*_roc(records, "val"), *_precision_recall(records, "val")]
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


def _roc(records: Records, split: str) -> list[Picture]:
    curves = roc_curves(records, split)
    if not curves:
        return []
    areas = [_area(curve.fpr, curve.tpr) for curve in curves]
    kept, remark = _hardest(curves, areas)
    drawn = roc_figure(kept, split)
    return [picture(f"roc-{split}", f"ROC on {split}", drawn, _caption(curves[0].mark, split, remark))]


def _precision_recall(records: Records, split: str) -> list[Picture]:
    curves = pr_curves(records, split)
    if not curves:
        return []
    kept, remark = _hardest(curves, [_area(curve.recall, curve.precision) for curve in curves])
    base = positive_share(records, split)
    caption = _caption(curves[0].mark, split, remark)
    caption += "" if base is None else " Dotted: blind guessing."
    title = f"Precision and recall on {split}"
    return [picture(f"pr-{split}", title, pr_figure(kept, split, base), caption.strip())]


def _caption(mark: tuple[float, float] | None, split: str, remark: str) -> str:
    said = "The ring marks the threshold, which was chosen on val." if mark else ""
    chosen = "Val was used to choose: expect it to look better than test." if split == "val" else ""
    return " ".join(part for part in (said, chosen, remark) if part)


def _hardest(curves: tuple[Curve, ...], areas: Sequence[float]) -> tuple[tuple[Curve, ...], str]:
    """All curves, or of many values those with the smallest area below them, and a remark that says so."""
    if len(curves) <= CURVES or curves[-1].key != "winner":
        return curves, ""
    kept = sorted(range(len(curves)), key=areas.__getitem__)[:CURVES]
    return tuple(curves[index] for index in kept), f"The {CURVES} hardest of {len(curves)} values."


def _area(x: Sequence[float], y: Sequence[float]) -> float:
    """The area under a curve whose x rises."""
    return sum((x[index] - x[index - 1]) * (y[index] + y[index - 1]) / 2 for index in range(1, len(x)))


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


def pr_curves(records: Records, split: str) -> tuple[PrecisionRecall, ...]:
    """The curves on split "val" or "test", the winner's first; none where the search recorded none."""
    result = records.result
    recorded = table(table(result.get("precision_recall")).get(split))
    sources = {"winner": result} | table(result.get("controls"))
    curves = []
    for key, name in names_of(records).items():
        curve, metrics = table(recorded.get(key)), table(table(sources.get(key)).get(split))
        by_value = {} if "recall" in curve else {str(value): table(entry) for value, entry in curve.items()}
        for title, points in by_value.items() or ((name, curve),):
            curve_ = _curve(key, title, points, {} if by_value else metrics)
            curves += [curve_] if curve_ else []
    return tuple(curves)


def positive_share(records: Records, split: str) -> float | None:
    """The share of the second of two values in a split: what blind guessing has as precision."""
    counts = [
        number(images) for images in table(table(table(records.result.get("data")).get("counts")).get(split)).values()
    ]
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
    for index, curve in reversed(list(enumerate(curves))):
        role = tuple(DASHES)[index % len(DASHES)] if len(own) > 1 else ROLES[curve.key]
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
