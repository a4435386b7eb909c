"""Predictions of an exported bundle as lines of text."""

from collections.abc import Mapping, Sequence
from typing import Any


def prediction_lines(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """A line per image and attribute: ``photo.jpg  bald = no (yes 0.031, threshold 0.42)``.

    Of two values the positive one's score is shown with its threshold, of more the predicted one's.
    """
    lines = []
    for row in rows:
        for name, found in row["attributes"].items():
            value, scores = found["value"], found["scores"]
            shown = list(scores)[1] if len(scores) == 2 else value
            threshold = "" if found["threshold"] is None else f", threshold {found['threshold']:.3f}"
            lines.append(f"{row['image']}  {name} = {value} ({shown} {scores[shown]:.3f}{threshold})")
    return lines
