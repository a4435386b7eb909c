"""On which line a key of a TOML file stands: the standard library's reader does not tell."""

import re

KEY = re.compile(r"""\s*\[?["']?([A-Za-z0-9_-]+)["']?\s*(?:=\s*(.*)|\])""")
LONG_QUOTES = ('"""', "'''")


def lines_of(text: str, array: str) -> dict[tuple[int, str], int]:
    """(number of the table in the array of tables `array`, -1 before the first; its key, "" for its header) -> line.

    Lines count from 1. Text of several lines is passed over; keys in one-line tables (`{...}`) are not found.

    >>> lines_of('band = 0.1\\n[[rule]]\\nwhen = "hat"', "rule")
    {(-1, 'band'): 1, (0, ''): 2, (0, 'when'): 3}
    """
    header = re.compile(rf"""\s*\[\[\s*["']?{re.escape(array)}["']?\s*\]\]""")
    found: dict[tuple[int, str], int] = {}
    table, closing = -1, ""
    for number, line in enumerate(text.split("\n"), 1):
        if closing:
            closing = "" if closing in line else closing
        elif header.match(line):
            table += 1
            found[table, ""] = number
        elif key := KEY.match(line):
            found.setdefault((table, key[1]), number)
            quotes = (key[2] or "")[:3]
            if quotes in LONG_QUOTES and quotes not in key[2][3:]:
                closing = quotes
    return found
