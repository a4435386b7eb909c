"""What a command says when it is done: text for a person, or one JSON object for a program."""

import json
from collections.abc import Mapping
from typing import Any

import typer


def answer(record: Mapping[str, Any], text: str, *, as_json: bool) -> None:
    """Write ``text``, or with ``as_json`` the record as the last line of standard output."""
    typer.echo(json.dumps(record, default=str) if as_json else text)
