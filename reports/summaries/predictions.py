"""Read the records of single images: the winner's scores (`predictions.csv`), and whether its weights are whole."""

import csv
import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from reports.summaries.values import table

FIXED = ("split", "image", "content", "label", "predicted")
SCORE = "score of "
ROUNDING = 1e-3  # a row's scores add up to one as near as this, or the row is damaged


class SplitScores(NamedTuple):
    """The scores of one split: labels and predicted values, int64 (N,), and probabilities, float64 (N, V)."""

    labels: NDArray[np.int64]
    predicted: NDArray[np.int64]
    scores: NDArray[np.float64]


class Predictions(NamedTuple):
    """What `predictions.csv` holds, by split; values in the order of the score columns."""

    values: tuple[str, ...]
    splits: dict[str, SplitScores]


NO_PREDICTIONS = Predictions((), {})


def read_predictions(path: Path, problems: list[str]) -> Predictions:
    """The whole rows of the table; none where there is no file. What is damaged becomes a problem."""
    try:
        with path.open(encoding="utf-8", newline="") as file:
            lines = list(csv.reader(file))
    except FileNotFoundError:
        return NO_PREDICTIONS
    except (OSError, ValueError, csv.Error) as error:
        problems.append(f"{path.name} cannot be read ({(str(error).splitlines() or [type(error).__name__])[0]}).")
        return NO_PREDICTIONS
    head = lines[0] if lines else []
    values = tuple(name.removeprefix(SCORE) for name in head[len(FIXED) :])
    if tuple(head[: len(FIXED)]) != FIXED or len(values) < 2 or len(set(values)) < len(values):
        problems.append(f"{path.name} does not begin with the columns of a table of predictions.")
        return NO_PREDICTIONS
    index = {value: position for position, value in enumerate(values)}
    rows: dict[str, list[tuple[int, int, list[float]]]] = {}
    damaged = 0
    for line in lines[1:]:
        if (row := _row(line, index)) is None:
            damaged += 1
        else:
            rows.setdefault(line[0], []).append(row)
    if not rows:
        problems.append(f"{path.name} holds no whole line.")
        return NO_PREDICTIONS
    if damaged:
        problems.append(f"{path.name} has {damaged} damaged line{'s' if damaged > 1 else ''}, left out here.")
    return Predictions(values, {split: _packed(packed) for split, packed in rows.items()})


def missing_predictions(predictions: Predictions, counts: dict[str, object]) -> str | None:
    """A sentence where val or test of the table has not as many images as the data of the search."""
    for split in ("val", "test"):
        wanted = sum(int(n) for n in table(counts.get(split)).values() if isinstance(n, int) and n >= 0)
        held = len(predictions.splits[split].labels) if split in predictions.splits else 0
        if predictions.splits and wanted and held != wanted:
            return f"predictions.csv holds {held:,} of {wanted:,} {split} images."
    return None


def _row(line: Sequence[str], index: dict[str, int]) -> tuple[int, int, list[float]] | None:
    if len(line) != len(FIXED) + len(index):
        return None
    label, predicted = index.get(line[3]), index.get(line[4])
    try:
        scores = [float(cell) for cell in line[len(FIXED) :]]
    except ValueError:
        return None
    whole = all(map(math.isfinite, scores)) and abs(sum(scores) - 1) < ROUNDING
    return (label, predicted, scores) if whole and label is not None and predicted is not None else None


def _packed(rows: list[tuple[int, int, list[float]]]) -> SplitScores:
    labels, predicted, scores = zip(*rows, strict=True)
    return SplitScores(np.array(labels), np.array(predicted), np.array(scores))


def weights_problem(path: Path) -> str | None:
    """What is wrong with a file of weights, from its header alone; None where it looks whole.

    https://huggingface.co/docs/safetensors: eight bytes of length, a JSON header with every tensor's place, the bytes.
    """
    name = f"{path.parent.name}/{path.name}"
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            length = int.from_bytes(file.read(8), "little")
            head = json.loads(file.read(min(length, size)))
        ends = [table(entry).get("data_offsets") for key, entry in head.items() if key != "__metadata__"]
        end = max((pair[1] for pair in ends if isinstance(pair, list)), default=0)
    except FileNotFoundError:
        return f"{name} is missing: the branch cannot be grafted or exported."
    except (OSError, ValueError, AttributeError, IndexError, TypeError, RecursionError):
        return f"{name} cannot be read: the branch cannot be grafted or exported."
    if size != 8 + length + end:
        return f"{name} has {size:,} bytes where its header counts {8 + length + end:,}: the file was cut."
    return None
