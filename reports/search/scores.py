"""Records -> the section about the winner's scores: what they are worth as probabilities, and how they spread."""

import numpy as np

from reports.layout.formats import count, share
from reports.layout.pages import Picture, Section, Table, picture
from reports.search.reliability import calibration_picture
from reports.search.score_figures import histogram_figure, ridge_figure
from reports.summaries.image_records import SplitScores
from reports.summaries.search import Records
from reports.summaries.thresholds import chosen_threshold

MANY = 12  # values that a figure or a table of every pair holds
NOT_WRITTEN = "predictions.csv, which a search writes at its end, is not in this folder"


def scores_section(records: Records) -> Section:
    """Histograms per value, the reliability diagram, and which values are taken for which."""
    values, splits = records.predictions.values, records.predictions.splits
    split = "test" if "test" in splits else "val"
    pictures: list[Picture] = []
    tables: tuple[Table, ...] = ()
    missing = []
    if split in splits:
        pictures.append(_spread(records, splits[split], split))
        tables = (_confusion(splits[split], values, split),)
        if len(values) > MANY:
            missing.append(f"histograms and mistakes of more than {MANY} of the {len(values)} values")
    else:
        missing.append(NOT_WRITTEN)
    if calibration := calibration_picture(records):
        pictures.append(calibration)
    else:
        missing.append("how well the scores are calibrated is not recorded")
    return Section("confidence", "Scores and calibration", "", tuple(pictures), tables, missing=tuple(missing))


def _spread(records: Records, shown: SplitScores, split: str) -> Picture:
    values = records.predictions.values
    title = f"Scores on {split}, by value"
    if len(values) == 2:
        drawn = histogram_figure(shown, values, chosen_threshold(records))
        caption = "The less the two overlap, the better they are told apart; what lies beyond the line is a mistake."
        return picture("histogram", title, drawn, caption)
    caption = "Filled: images of the value; outlined: all others. Each is scaled to its own peak."
    return picture("histogram", title, ridge_figure(shown, values[:MANY]), caption)


def _confusion(shown: SplitScores, values: tuple[str, ...], split: str) -> Table:
    """A row per true value, a column per predicted one."""
    size = len(values)
    pairs = np.bincount(shown.labels * size + shown.predicted, minlength=size * size).reshape(size, size)
    rows = []
    for place, value in enumerate(values[:MANY]):
        total = int(pairs[place].sum())
        cells = [_part(int(pairs[place, other]), total) for other in range(min(size, MANY))]
        rows.append((value, *cells, count(total)))
    head = ("images of", *(f"taken for {value}" for value in values[:MANY]), "all")
    caption = f"What the images of each value are taken for, on {split}."
    return Table(caption, head, tuple(rows))


def _part(images: int, total: int) -> str:
    return f"{count(images)}\n{share(images / total)}" if images and total else count(images)
