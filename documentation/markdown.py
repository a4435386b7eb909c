"""Write Markdown: tables, cells and docstrings as the site's pages have them."""

import re
from collections.abc import Iterable, Sequence

ROLE = re.compile(r":(?:mod|class|func|meth|attr):`~?([^`]+)`")
SECTION = re.compile(r"^(Args|Returns|Raises|Shapes|Yields):\s*(.*)$")
ENTRY = re.compile(r"^([\w*]+(?:, [\w*]+)*): (.*)$")


def cell(text: str) -> str:
    """A text as one cell of a table: what Markdown reads otherwise is escaped, except between backquotes.

    >>> print(cell("a | b, *.csv and `x|*`"))
    a \\| b, \\*.csv and `x|*`
    """
    parts = re.split(r"(`[^`]*`)", " ".join(text.split()))
    return "".join(part if part.startswith("`") else re.sub(r"([|<*_\[\]])", r"\\\1", part) for part in parts)


def code(text: object) -> str:
    """A text as code, of which a table makes no new cell."""
    return f"`{text}`" if str(text) else ""


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table of cells that are Markdown already."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def prose(docstring: str) -> str:
    """A docstring in the manner of this code (Google's sections, roles of reST) as Markdown."""
    text = ROLE.sub(lambda role: f"`{role[1]}`", docstring).replace("``", "`")
    text = re.sub(r"^(\s*)>>> ", r"\1>>> ", text, flags=re.M)
    out: list[str] = []
    fenced = False
    inside = ""
    for line in text.splitlines():
        example = line.lstrip().startswith(">>> ")
        if example and not fenced:
            out += ["", "```python"]
            fenced = True
        if fenced and not line.strip():
            out.append("```")
            fenced = False
        if fenced:
            out.append(line.strip())
        elif heading := SECTION.match(line):
            inside = heading[1]
            out += ["", f"**{inside}**", "", *([f"- {heading[2]}"] if heading[2] else [])]
        elif inside and line.startswith("    "):
            entry = ENTRY.match(line.strip())
            deeper = line.startswith("     ")
            if entry and not deeper:
                out.append(f"- `{entry[1]}`: {entry[2]}")
            elif deeper or (out and out[-1].startswith(("- ", "  "))):
                out.append(f"  {line.strip()}")
            else:
                out.append(f"- {line.strip()}")
        else:
            inside = inside if not line.strip() else ""
            out.append(line)
    return "\n".join([*out, "```"] if fenced else out).strip()
