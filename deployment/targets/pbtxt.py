"""Protocol buffers' text format, as far as Triton's config.pbtxt needs it: written from and read into plain values.

A message is a dict; a repeated message a list of dicts; a list of plain values is written in brackets; a word in
capitals (an enumeration's value) is a `Word`.
"""

import json
import re
from collections.abc import Mapping
from typing import Any


class Word(str):
    """An enumeration's value, written without quotes."""

    __slots__ = ()


def dumps(message: Mapping[str, Any], indent: str = "") -> str:
    """The message as text, one field a line."""
    lines = []
    for name, value in message.items():
        for one in value if isinstance(value, list) and value and isinstance(value[0], dict) else [value]:
            if isinstance(one, dict):
                lines.append(f"{indent}{name} {{\n{dumps(one, indent + '  ')}{indent}}}\n")
            elif isinstance(one, list):
                lines.append(f"{indent}{name}: [{', '.join(map(_plain, one))}]\n")
            else:
                lines.append(f"{indent}{name}: {_plain(one)}\n")
    return "".join(lines)


def loads(text: str) -> dict[str, Any]:
    """What `dumps` wrote; a field that comes several times is a list. Raises: ValueError for other text."""
    tokens = re.findall(r'"(?:[^"\\]|\\.)*"|[A-Za-z_][A-Za-z0-9_]*|-?[0-9][0-9.eE+-]*|[{}\[\]:,]|\S', text)
    message, rest = _message(tokens, 0)
    if rest < len(tokens):
        raise ValueError(f"{tokens[rest]!r} stands behind the end of the message")
    return message


def _plain(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return value if isinstance(value, Word) else json.dumps(value, ensure_ascii=False)


def _message(tokens: list[str], place: int) -> tuple[dict[str, Any], int]:
    found: dict[str, Any] = {}
    while place < len(tokens) and tokens[place] != "}":
        name = tokens[place]
        if not re.fullmatch(r"[A-Za-z_]\w*", name) or place + 1 >= len(tokens):
            raise ValueError(f"{name!r} is no field's name, or nothing follows it")
        value: Any
        if tokens[place + 1] == "{":
            value, place = _message(tokens, place + 2)
            if place >= len(tokens):
                raise ValueError(f"the message {name} is not closed")
            place += 1
        elif tokens[place + 1] == ":" and tokens[place + 2 : place + 3] == ["["]:
            end = tokens.index("]", place)
            value, place = [_value(token) for token in tokens[place + 3 : end] if token != ","], end + 1
        elif tokens[place + 1] == ":" and place + 2 < len(tokens):
            value, place = _value(tokens[place + 2]), place + 3
        else:
            raise ValueError(f"neither a colon nor a brace follows {name!r}")
        earlier = found.get(name)
        found[name] = value if earlier is None else [*(earlier if isinstance(earlier, list) else [earlier]), value]
    return found, place


def _value(token: str) -> Any:
    if token[0] == '"' or token[0] in "-0123456789":
        return json.loads(token)
    if token in ("true", "false"):
        return token == "true"
    if not token.isidentifier():
        raise ValueError(f"{token!r} is no value")
    return Word(token)
