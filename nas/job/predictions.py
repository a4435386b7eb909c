"""Table the winner's scores image by image (`predictions.csv` of a search), and pick images to be looked at."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from torch import Tensor

from branches.measures.metrics import Scores
from foundation.files import write_bytes

if TYPE_CHECKING:
    import pandas

    from trunk.preprocessing import Preprocessing


class ImageFile(NamedTuple):
    """Where an image lies, what it is called in a record, and the hash of its content.

    white: what is white in deep grey.
    fitted: the trunk's input, where that shows another part of the picture, or another shape, than a squashed one.
    """

    path: Path
    name: str
    content: str
    white: int | None = None
    fitted: "Preprocessing | None" = None


class ScoredImage(NamedTuple):
    """One image with its scores (V,). `row`: its row in the split. `file`: None where only features were given."""

    split: str
    row: int
    file: ImageFile | None
    label: int
    predicted: int
    scores: Scores
    confidence: float

    @property
    def right(self) -> bool:
        return self.label == self.predicted


def scored_images(
    scores: Mapping[str, Scores],
    labels: Mapping[str, Tensor],
    files: Mapping[str, Sequence[ImageFile]] | None,
    threshold: float | None,
) -> list[ScoredImage]:
    """Every image of the splits in `scores` (N, V), in order.

    threshold: of two values, the score from which the second is predicted; None: the highest score is. A confidence of
    0 lies on the threshold, 1 is as far from it as can be; of more than two values it is the predicted one's score.
    """
    images = []
    for split, table in scores.items():
        for row, (image_scores, label) in enumerate(zip(table, labels[split].tolist(), strict=True)):
            file = files[split][row] if files is not None else None
            predicted, confidence = decided(image_scores, threshold)
            images.append(ScoredImage(split, row, file, label, predicted, image_scores, confidence))
    return images


def decided(scores: Scores, threshold: float | None) -> tuple[int, float]:
    """The predicted value and the confidence in it, see `scored_images`."""
    if len(scores) > 2:
        value = int(scores.argmax())
        return value, float(scores[value])
    threshold = 0.5 if threshold is None else threshold
    score = float(scores[1])
    if score >= threshold:
        return 1, (score - threshold) / (1 - threshold) if threshold < 1 else 1.0
    return 0, (threshold - score) / threshold


def predictions_table(rows: Sequence[ScoredImage], values: Sequence[str]) -> "pandas.DataFrame":
    """A line per image: split, image, content (SHA-256), label, predicted, and `score of VALUE` for every value.

    Where only features were given, `image` is the row in its array and `content` is empty.
    """
    from pandas import DataFrame

    columns: dict[str, list[Any]] = {
        "split": [row.split for row in rows],
        "image": [_name(row.file.name) if row.file else f"row {row.row}" for row in rows],
        "content": [row.file.content if row.file else "" for row in rows],
        "label": [values[row.label] for row in rows],
        "predicted": [values[row.predicted] for row in rows],
    }
    scores = {f"score of {value}": [row.scores[index] for row in rows] for index, value in enumerate(values)}
    return DataFrame({**columns, **scores})


def _name(name: str) -> str:
    """The same path, but for a name that a spreadsheet would take for a formula."""
    return f"./{name}" if name.startswith(("=", "+", "-", "@")) else name


def write_predictions(path: Path, rows: Sequence[ScoredImage], values: Sequence[str]) -> None:
    """Write the table as CSV, whole or not at all, with all digits of a score."""
    write_bytes(path, predictions_table(rows, values).to_csv(index=False, lineterminator="\n").encode())


def most_confident(rows: Sequence[ScoredImage], *, right: bool, values: int, each: int) -> list[ScoredImage]:
    """Of the images of each value, the `each` most confident ones that were right, or wrong; the surest first."""
    confident = []
    for value in range(values):
        of_value = [row for row in rows if row.label == value and row.right is right]
        confident += sorted(of_value, key=lambda row: -row.confidence)[:each]
    return sorted(confident, key=lambda row: -row.confidence)
