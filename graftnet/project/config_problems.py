"""pydantic's complaints about a graftnet.toml as sentences with key, line, rule, value and remedy."""

import difflib
import re
from typing import TYPE_CHECKING, Any, get_args

if TYPE_CHECKING:
    from pydantic import BaseModel, ValidationError
    from pydantic_core import ErrorDetails

RULES = {
    "int_type": "must be an integer",
    "float_type": "must be a number",
    "string_type": "must be text in quotes",
    "bool_type": "must be true or false",
    "tuple_type": "must be a list",
    "model_type": "must be a table",
    "finite_number": "must be a finite number",
    "greater_than": "must be greater than {gt:g}",
    "greater_than_equal": "must be at least {ge:g}",
    "less_than": "must be less than {lt:g}",
    "less_than_equal": "must be at most {le:g}",
    "literal_error": "must be one of {expected}",
    "too_short": "must have at least {min_length} entries",
}


def list_problems(error: "ValidationError", model: "type[BaseModel]", text: str) -> list[str]:
    """One phrase per mistake, in the order of the file ``text`` that was read into ``model``."""
    phrases = [(find_line(text, detail["loc"]), describe(detail, model, text)) for detail in error.errors()]
    return [phrase for _, phrase in sorted(phrases, key=lambda pair: pair[0] or 0)]


def describe(detail: "ErrorDetails", model: "type[BaseModel]", text: str) -> str:
    """One mistake: ``search.epochs (line 7) must be an integer, is 'ten'``."""
    location = detail["loc"]
    key = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in location).lstrip(".")
    line = find_line(text, location)
    where = f"{key} (line {line})" if line else key
    if detail["type"] == "extra_forbidden":
        kind = "table" if isinstance(detail["input"], dict) else "setting"
        return f"{where} is not a {kind} ({suggest(location, model)})"
    rule = RULES.get(detail["type"])
    context: dict[str, Any] = detail.get("ctx", {})
    phrase = rule.format(**context) if rule else detail["msg"]
    return f"{where} {phrase}, is {toml_value(detail['input'])}"


def toml_value(value: object) -> str:
    """The value as the user wrote it, shortened."""
    shown = str(value).lower() if isinstance(value, bool) else repr(value)
    return shown if len(shown) <= 40 else f"{shown[:37]}..."


def suggest(location: tuple[int | str, ...], model: "type[BaseModel]") -> str:
    """What an unknown key was probably meant to be: a near name in its table, or its name in another table."""
    *parents, key = (str(part) for part in location)
    while len(parents) > 2 and parents[0] == "attributes":
        parents = parents[2:]  # the tables of one attribute have the names of those for all
    tables = {name: field.annotation for name, field in model.model_fields.items()}
    if not parents:
        known = list(tables)
        homes = [name for name, table in tables.items() if key in fields(table)]
        if homes:
            return f"did you mean {key} in [{homes[0]}]?"
    else:
        known = fields(tables.get(parents[0]))
        homes = [name for name, table in tables.items() if key in fields(table)]
        if homes and not difflib.get_close_matches(key, known, n=1, cutoff=0.8):
            return f"did you mean {key} in [{homes[0]}]?"
    near = difflib.get_close_matches(key, known, n=1, cutoff=0.5)
    return f"did you mean {near[0]}?" if near else f"known: {', '.join(known)}"


def fields(table: object) -> list[str]:
    """The keys of a table's model, or of that of the tables in a list."""
    inner = next(iter(get_args(table)), None)
    return list(getattr(table, "model_fields", None) or getattr(inner, "model_fields", {}))


def find_line(text: str, location: tuple[int | str, ...]) -> int | None:
    """The line of a TOML text that sets a key, counted from one; None when it is not written on a line of its own."""
    table = ""
    wanted = [part for part in location if isinstance(part, str)]
    for number, line in enumerate(text.splitlines(), start=1):
        header = re.match(r"\s*\[+\s*([^\]]+?)\s*\]+", line)
        entry = re.match(r"\s*([\w.\"'-]+)\s*=", line)
        if header:
            table = header[1]
            if [table] == wanted:
                return number
        elif entry and [part for part in f"{table}.{entry[1]}".split(".") if part] == wanted:
            return number
    return None
