"""Records -> the section about the winner's operating point: its curves, its threshold and others, every metric."""

from collections.abc import Sequence
from typing import TypeVar

from reports.layout.formats import score
from reports.layout.pages import Picture, Section, Table, picture
from reports.search.comparison_figures import roc_figure
from reports.search.precision_recall import PrecisionRecall, positive_share, pr_curves, pr_figure
from reports.search.threshold_section import threshold_picture, threshold_table
from reports.search.verdict import values_of
from reports.summaries.comparison import Roc, roc_curves, winner_name
from reports.summaries.curves import METRIC_NAMES, by_hand, reward_metric
from reports.summaries.search import Records
from reports.summaries.values import numbers_of

CURVES = 5  # of values, in one figure
Curve = TypeVar("Curve", Roc, PrecisionRecall)


def operation_section(records: Records) -> Section:
    """ROC and precision-recall curves with the threshold marked, what other thresholds would do, every metric."""
    pictures, missing = [], []
    thresholds = threshold_picture(records)
    pictures += [*_roc(records, "test"), *_precision_recall(records, "test")]
    pictures += [thresholds] if thresholds else []
    pictures += [*_roc(records, "val"), *_precision_recall(records, "val")]
    if not any(one.name.startswith("roc") for one in pictures):
        missing.append("no ROC curve has been recorded")
    if not any(one.name.startswith("pr") for one in pictures):
        missing.append("no precision-recall curve has been recorded")
    if thresholds is None and len(values_of(records)) == 2:
        missing.append("what other thresholds would do, for which predictions.csv is needed")
    metrics = _metrics_table(records)
    if metrics is None:
        missing.append("no metrics of a winner yet")
    elif not numbers_of(records.result.get("test")):
        missing.append("the test split has not been measured")
    tables = tuple(one for one in (metrics, threshold_table(records)) if one)
    return Section("operation", "Metrics and threshold", "", tuple(pictures), tables, missing=tuple(missing))


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
    return tuple(curves[place] for place in kept), f"The {CURVES} hardest of {len(curves)} values."


def _area(x: Sequence[float], y: Sequence[float]) -> float:
    """The area under a curve whose x rises."""
    return sum((x[place] - x[place - 1]) * (y[place] + y[place - 1]) / 2 for place in range(1, len(x)))


def _metrics_table(records: Records) -> Table | None:
    val, test = numbers_of(records.result.get("val")), numbers_of(records.result.get("test"))
    names = [key for key in METRIC_NAMES if key in val or key in test]
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
