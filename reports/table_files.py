"""A table of a page as CSV: one value to a cell, numbers as programs read them, what nobody measured empty."""

import re
from collections.abc import Sequence

from reports.formats import MINUS, NOTHING, SPACE
from reports.layout import Table
from reports.tables import csv_text

_THOUSANDS = re.compile(r"[+-]?\d{1,3}(,\d{3})+(\.\d+)?")


def table_csv(table: Table) -> str:
    """The table with its head; remarks below a value get a column of their own, "<head>, remark"."""
    remarked = [any(_parts(row[column])[1] for row in table.rows) for column in range(len(table.head))]
    rows = [_row(table.head, remarked, [("", f"{head}, remark") for head in table.head])]
    for row in table.rows:
        rows.append(_row(row, remarked, [_parts(cell) for cell in row]))
    return csv_text(rows)


def plain(cell: str) -> str:
    """ "−1,234" -> "-1234"; "61.4 k" keeps its unit; "–" is empty."""
    words = cell.replace(MINUS, "-").replace(SPACE, " ").strip()
    if words == NOTHING:
        return ""
    return words.replace(",", "") if _THOUSANDS.fullmatch(words) else words


def _parts(cell: str) -> tuple[str, str]:
    value, _, remark = cell.partition("\n")
    return value, remark


def _row(cells: Sequence[str], remarked: Sequence[bool], parts: Sequence[tuple[str, str]]) -> list[str]:
    found = []
    for cell, has_remarks, (_, remark) in zip(cells, remarked, parts, strict=True):
        found.append(plain(_parts(cell)[0]))
        if has_remarks:
            found.append(plain(remark))
    return found
