"""Reference page of graftnet.toml: every key with its default, what it may be, and its effect.

Defaults and bounds come from the settings classes, effects from the comments of the file that `graftnet init` writes.
"""

import re
import types
from typing import Any, Union, get_args, get_origin

from documentation.markdown import cell, code, prose, table
from foundation.bounds import Later, OneOf, in_words
from graftnet.project.config import Config
from graftnet.project.toml_edit import template

KEY = re.compile(r"^(\w+) = (.*?)(?:\s+# (.*))?$")
RELATIONS = """## [[relations]]

What labels have to do with one another; as many of these as there are relations. A label is an attribute's name, or
`NAME=VALUE` of an attribute of more than two values.

| key | effect |
| --- | --- |
| `exclude` | of these labels an image shows at most one |
| `imply` | an image that shows the first of these labels shows the others |

```toml
[[relations]]
exclude = ["baby", "child", "adult"]

[[relations]]
imply = ["holding_baby", "adult"]
```

[Relations between attributes](../data.md#relations-between-attributes) says what is done with them."""
NUMBERS = {int: "a whole number", float: "a number", str: "text", bool: "true or false"}


def effects() -> dict[str, tuple[str, str]]:
    """`table.key` -> its value and its comment in the template; the comment above a group is the key's `table.#N`."""
    found: dict[str, tuple[str, str]] = {}
    part = ""
    above: list[str] = []
    for line in template("graftnet").splitlines():
        if heading := re.match(r"^\[([\w.]+)\]$", line):
            part, above = heading[1], []
        elif line.startswith("# ") and part:
            above.append(line.removeprefix("# "))
        elif (key := KEY.match(line)) and part:
            if above:
                found[f"{part}.#{key[1]}"] = ("", " ".join(above))
            above = []
            found[f"{part}.{key[1]}"] = (key[2], key[3] or "")
        else:
            above = []
    return found


def settings_page() -> str:
    """The page."""
    known = effects()
    parts = [
        "# Keys of graftnet.toml",
        "`graftnet init` writes all of them with their defaults; a file may hold those alone that differ. A mistake is "
        "reported with table, key and line, all mistakes at once. What one attribute has otherwise stands in "
        "`[attributes.NAME.TABLE]`, for the tables `trunk` (`freeze_depth` alone), `search`, `branch`, `retrain` and "
        "`controls`.",
    ]
    for name, field in Config.model_fields.items():
        if name in ("attributes", "relations"):
            continue
        kind: Any = field.annotation
        first = (kind.__doc__ or "").split("\n\n")[0].partition(": ")[2]
        parts += [f"## [{name}]", cell(prose(first[:1].upper() + first[1:]))]
        rows: list[tuple[str, ...]] = []
        for key, own in kind.model_fields.items():
            value, effect = known[f"{name}.{key}"]
            group = known.get(f"{name}.#{key}", ("", ""))[1]
            told = " ".join(part for part in (f"*{cell(group)}*" if group else "", cell(effect)) if part)
            rows.append((f"`{key}`", code(value), cell(may_be(own)), told))
        # In the order of the file, where what belongs together stands together.
        order = [key.partition(".")[2] for key in known if key.startswith(f"{name}.")]
        rows.sort(key=lambda row: order.index(row[0].strip("`")))
        parts.append(table(("key", "default", "may be", "effect"), rows))
    parts.append(RELATIONS)
    return "\n\n".join(parts) + "\n"


def may_be(field: Any) -> str:
    """What a key may be, in words: its type and its bounds."""
    rules = tuple(
        rule for rule in field.metadata if type(rule).__module__.startswith(("annotated_types", "foundation"))
    )
    return in_type(field.annotation, tuple(rule for rule in rules if not isinstance(rule, Later)))


def in_type(kind: Any, rules: tuple[Any, ...] = ()) -> str:
    """A type, and its bounds, in words."""
    if hasattr(kind, "__metadata__"):
        own = tuple(rule for rule in kind.__metadata__ if not isinstance(rule, Later))
        return in_type(get_args(kind)[0], own)
    if get_origin(kind) in (Union, types.UnionType):
        return " or ".join(in_type(part) for part in get_args(kind))
    if get_origin(kind) is tuple:
        inner = get_args(kind)
        return (
            f"[{', '.join(in_type(part) for part in inner)}]"
            if Ellipsis not in inner
            else f"list of {in_type(inner[0])}"
        )
    for rule in rules:
        if isinstance(rule, OneOf):
            return ", ".join(f'`"{name}"`' for name in rule.names)
    bounds = tuple(rule for rule in rules if type(rule).__name__ in ("Ge", "Gt", "Le", "Lt"))
    words = NUMBERS.get(kind, "text")
    try:
        return f"{words}, {in_words(bounds).removeprefix('be ').replace('lie ', '')}" if bounds else words
    except TypeError:
        return words
