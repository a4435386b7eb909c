"""Reference page of the records on disk: each file's fields and types, out of the shapes that they are held against."""

import types
from typing import Annotated, Any, NamedTuple, NotRequired, Required, Union, get_args, get_origin

from annotated_types import Ge, Gt, Le, Len, Lt
from typing_extensions import get_type_hints, is_typeddict

from branches.saved import BranchShape
from documentation.markdown import cell, code, prose, table
from foundation.bounds import OneOf
from foundation.records import Checked
from graftnet.project.folder import CurrentShape
from graftnet.studies.records import StudyShape
from graftnet.trunks.advice import ProbeShape
from label_graph.saved import ClassifierShape
from nas.candidates import RankingShape
from nas.job.origin import ConfigShape
from reports.result_schema import ResultRecord
from trunk.records import TrunkShape

STORABLE = 2**16  # a bound from here on keeps a number storable, and says nothing of what it means
PLAIN = {int: "whole number", float: "number", str: "text", bool: "true or false", type(None): "null", Any: "anything"}


class File(NamedTuple):
    """A record: its file's name, where it lies in a project, and the shape that it is held against."""

    name: str
    place: str
    shape: Any


FILES = (
    File("result.json", "runs/searches/ATTR/ID/", ResultRecord),
    File("config.json", "runs/searches/ATTR/ID/", ConfigShape),
    File("candidates.json", "runs/searches/ATTR/ID/", RankingShape),
    File("branch.json", "runs/searches/ATTR/ID/branch/ and in the tree", BranchShape),
    File("trunk.json", "runs/trunk/VERSION/", TrunkShape),
    File("current.json", "runs/trunk/", CurrentShape),
    File("a probe's record", "runs/studies/", ProbeShape),
    File("study.json", "runs/studies/STUDY/", StudyShape),
    File("label_graph.json", "runs/label_graph/RUN/", ClassifierShape),
)


def records_page() -> str:
    """The page."""
    parts = [
        "# Records",
        "Every command writes JSON beside its weights. What is read again is held against these shapes, so a damaged "
        "file is one sentence and never a traceback; fields that are not named here may be there too. The JSON schema "
        "of `result.json` for programs is [a file of its own](../result.schema.json). What an exported bundle holds: "
        "[bundles](../deployment.md).",
    ]
    seen: set[Any] = set()
    for file in FILES:
        parts += [f"## {file.name}", f"In `{file.place}`.", *shape_sections(file.shape, seen)]
    return "\n\n".join(parts) + "\n"


def shape_sections(shape: Any, seen: set[Any]) -> list[str]:
    """What a shape says of itself, its fields, and behind it the shapes of its fields that were not told yet."""
    seen.add(shape)
    inner: list[Any] = []
    rows = [
        (code(name), cell(words), "yes" if needed else "", cell(told))
        for name, words, needed, told in fields(shape, inner)
    ]
    head = ("field", "type", "required", "what it is")
    parts = [cell(prose(shape.__doc__ or "").split("\n\n")[0]), table(head, rows)]
    for part in inner:
        if part not in seen:
            parts += [f"### {named(part)}", *shape_sections(part, seen)]
    return parts


def named(shape: Any) -> str:
    """A shape's name as a reader sees it."""
    return str(shape.__name__).removesuffix("Shape").removesuffix("Record")


def fields(shape: Any, inner: list[Any]) -> list[tuple[str, str, bool, str]]:
    """Name, type in words, whether it must be there, and what it is; `inner` collects shapes of fields."""
    if is_typeddict(shape):
        hints = get_type_hints(shape, include_extras=True)
        needed = shape.__required_keys__
        return [(name, in_words(kind, inner), name in needed, "") for name, kind in hints.items()]
    hints = get_type_hints(shape, include_extras=True)
    return [
        (name, in_words(hints[name], inner), field.is_required(), field.description or "")
        for name, field in shape.model_fields.items()
    ]


def in_words(kind: Any, inner: list[Any], rules: tuple[Any, ...] = ()) -> str:
    """A type in words, with its bounds."""
    origin = get_origin(kind)
    if origin in (NotRequired, Required):
        return in_words(get_args(kind)[0], inner)
    if origin is Annotated:
        return in_words(get_args(kind)[0], inner, kind.__metadata__)
    if origin in (Union, types.UnionType):
        return " or ".join(in_words(part, inner) for part in get_args(kind))
    if origin is list:
        return f"list of {in_words(get_args(kind)[0], inner)}{bounds(rules, 'of them')}"
    if origin is tuple:
        return f"[{', '.join(in_words(part, inner) for part in get_args(kind))}]"
    if origin is dict:
        key, value = get_args(kind)
        return "object" if value is Any else f"object of {in_words(key, inner)} to {in_words(value, inner)}"
    if hasattr(kind, "model_fields") or is_typeddict(kind):
        if kind not in inner:
            inner.append(kind)
        return named(kind)
    if str(origin).endswith("Literal"):
        return " or ".join(f'"{name}"' for name in get_args(kind))
    return f"{PLAIN.get(kind, getattr(kind, '__name__', str(kind)))}{bounds(rules)}"


def bounds(rules: tuple[Any, ...], counted: str = "characters") -> str:
    """Bounds behind a type's name; those that only keep a number storable are left out."""
    said: list[str] = []
    for rule in rules:
        match rule:
            case OneOf(names):
                said.append("one of " + ", ".join(f'"{name}"' for name in names if name))
            case Ge(int() | float() as least) if least > -STORABLE:
                said.append(f"at least {least:g}")
            case Gt(least):
                said.append(f"above {least:g}")
            case Le(int() | float() as most) if most < STORABLE:
                said.append(f"at most {most:g}")
            case Lt(most):
                said.append(f"below {most:g}")
            case Len(least, most) if least == most:
                said.append(f"{least} {counted}")
            case Len(least) if least > 0:
                said.append(f"at least {least} {counted}")
            case Checked() if rule.words != "should be text":
                said.append(
                    rule.words.removeprefix("should be ").replace(
                        "a plain name: no path, nothing hidden", "a plain name"
                    )
                )
    return f" ({', '.join(said)})" if said else ""
