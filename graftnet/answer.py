"""What a command says when it is done: text for a person, or one JSON object for a program."""

import json
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import typer


class Answer(NamedTuple):
    """A command's outcome: plain values for --json, and the same for a person."""

    record: Mapping[str, Any]
    text: str


def answer(record: Mapping[str, Any], text: str, *, as_json: bool) -> None:
    """Write ``text``, or with ``as_json`` the record as the last line of standard output."""
    typer.echo(json.dumps(record, default=str) if as_json else text)


def text_table(rows: Sequence[Sequence[str]], right: str = "") -> list[str]:
    """Rows of cells as lines, each column as wide as its widest cell.

    Args:
        rows: the head first. A row of fewer cells ends in words that widen no column.
        right: of the columns in order, ">" where cells are set to the right; to the left by default.

    >>> text_table([("label", "images"), ("hat", "7"), ("bag", "none yet")][:2], "<>")
    ['label  images', 'hat         7']
    """
    columns = max(map(len, rows), default=0)
    cells = [row if len(row) == columns else row[:-1] for row in rows]
    widths = [max((len(row[column]) for row in cells if column < len(row)), default=0) for column in range(columns)]
    sides = right.ljust(columns, "<")

    def line(row: Sequence[str]) -> str:
        padded = [f"{cell:{side}{width}}" for cell, side, width in zip(row, sides, widths, strict=False)]
        return "  ".join([*padded[:-1], row[-1]] if len(row) < columns else padded).rstrip()

    return [line(row) for row in rows]
