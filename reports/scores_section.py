"""Records -> the section about the winner's scores: what they are worth as probabilities, and how they spread."""

import numpy as np

from reports.formats import count, score, share
from reports.image_records import SplitScores
from reports.layout import Picture, Section, Table, picture
from reports.operating_points import chosen_threshold
from reports.records import Records
from reports.reliability import reliability, scored_outcomes
from reports.score_figures import histogram_figure, reliability_figure, ridge_figure

MANY = 12  # values that a figure or a table of every pair holds
NOT_WRITTEN = "predictions.csv, which a search writes at its end, is not in this folder"


def scores_section(records: Records) -> Section:
    """Histograms per value, the reliability diagram, and which values are taken for which."""
    anchor, title = "confidence", "Scores and calibration"
    values, splits = records.predictions.values, records.predictions.splits
    split = "test" if "test" in splits else "val"
    if split not in splits:
        return Section(anchor, title, missing=(NOT_WRITTEN,))
    shown = splits[split]
    pictures = (_spread(records, shown, split), _calibration(records, split))
    missing = (
        () if len(values) <= MANY else (f"histograms and the table of mistakes show {MANY} of {len(values)} values",)
    )
    return Section(anchor, title, "", pictures, (_confusion(shown, values, split),), missing=missing)


def _spread(records: Records, shown: SplitScores, split: str) -> Picture:
    values = records.predictions.values
    title = f"Scores on {split}, by value"
    if len(values) == 2:
        drawn = histogram_figure(shown, values, chosen_threshold(records))
        caption = "The less the two overlap, the better they are told apart; what lies beyond the line is a mistake."
        return picture("histogram", title, drawn, caption)
    caption = "Filled: images of the value; outlined: all others. Each is scaled to its own peak."
    return picture("histogram", title, ridge_figure(shown, values[:MANY]), caption)


def _calibration(records: Records, split: str) -> Picture:
    values = records.predictions.values
    splits = {name: records.predictions.splits[name] for name in ("val", "test") if name in records.predictions.splits}
    found = {name: reliability(*scored_outcomes(one)) for name, one in splits.items()}
    if len(values) == 2:
        xlabel, ylabel = "score", f"how often it is “{values[1]}”"
    else:
        xlabel, ylabel = "highest score", "how often it is right"
    error = found[split].error
    caption = (
        f"On the diagonal a score is a probability. Expected calibration error on {split}: {score(error, 3)}, the mean "
        "distance from it; the larger a mark, the more images."
    )
    bins = "; ".join(f"{score(one.score, 2)}: {share(one.outcome)} of {count(one.images)}" for one in found[split].bins)
    words = f"Reliability diagram. {caption} On {split}, score and how often it came true: {bins}."
    return picture("reliability", "Calibration", reliability_figure(found, xlabel, ylabel), caption, words)


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
