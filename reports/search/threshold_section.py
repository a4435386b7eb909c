"""Predictions -> the part of a report about thresholds: what another one would do, as a table and as curves."""

import numpy as np

from reports.layout.formats import score
from reports.layout.pages import Picture, Table, picture
from reports.search.score_figures import threshold_figure
from reports.summaries.search import Records
from reports.summaries.thresholds import OperatingPoint, chosen_threshold, operating_rows, points_at

GRID = 101


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
    marked = next((place for place, row in enumerate(rows) if row.threshold == chosen_threshold(records)), None)
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
