"""The answers of one attribute, ``data/ATTR.answers.jsonl``: who said what of which picture, and when.

A line is written, and on the disk, before the page hears that its answer is kept; nothing in the file is ever changed,
an answer that is taken back is a line of its own. The table ``data/ATTR.csv`` follows from it.
"""

import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from foundation.history import History, read_history
from foundation.provenance import timestamp
from graftnet.errors import ConfigError
from subdatasets.splits import SPLITS

SUFFIX = ".answers.jsonl"
# What led to a picture's being shown. Of these only what was drawn at random may be val or test.
RANDOM, CHOSEN, EXAMPLE, REVIEW = HOW = ("random", "chosen", "example", "review")
TEXTS = ("content", "path", "split", "how", "who", "when")


class Said(NamedTuple):
    """One answer. content: the file's SHA-256; path: as a table's cell; value: None is unsure.

    was: the rows that the table had of it before anybody answered, cell -> (label, split, group or "").
    """

    content: str
    path: str
    value: str | None
    split: str
    how: str
    who: str
    when: str = ""
    was: Mapping[str, Sequence[str]] | None = None


class Journal:
    """The answers at `path`, each picture's in their order.

    Raises:
        ConfigError: the file holds what no labelling writes.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._said: dict[str, list[Said]] = {}
        # What was asked about once, taken back or not: the rows of it that others had written.
        self.before: dict[str, Mapping[str, Sequence[str]]] = {}
        self.begun: dict[str, Any] | None = None
        for number, record in enumerate(read_history(path) if path.exists() else (), start=1):
            self._replay(record, number)
        self._history: History | None = None
        self._lock = threading.RLock()

    def begin(self, **settings: Any) -> None:
        """Note under which settings the answers that follow are given."""
        self.begun = {"kind": "begin", **settings}
        self._append("begin", {**settings, "when": timestamp()})

    def add(self, said: Said) -> Said:
        """Keep an answer; when this returns it is on the disk."""
        with self._lock:
            dated = said._replace(when=timestamp())
            self._append("answer", dated._asdict())
            self._take(dated)
            return dated

    def take_back(self, content: str, *, who: str) -> Said | None:
        """Forget the last answer on a picture, so that the one before counts; returns it, None where there is none."""
        with self._lock:
            if not self._said.get(content):
                return None
            self._append("undo", {"content": content, "who": who, "when": timestamp()})
            return self._undo(content)

    def current(self) -> dict[str, Said]:
        """What counts: content -> the last answer, in the order of the pictures' first ones."""
        with self._lock:
            return {content: said[-1] for content, said in self._said.items()}

    def _take(self, said: Said) -> None:
        self._said.setdefault(said.content, []).append(said)
        self.before.setdefault(said.content, said.was or {})

    def _undo(self, content: str) -> Said | None:
        stack = self._said.get(content) or []
        last = stack.pop() if stack else None
        if not stack:
            self._said.pop(content, None)
        return last

    def _append(self, kind: str, fields: Mapping[str, Any]) -> None:
        if self._history is None:
            self._history = History(self.path, durable=True)
        self._history.append(kind, **fields)

    def _replay(self, record: Mapping[str, Any], number: int) -> None:
        content = record.get("content")
        if record["kind"] == "begin":
            self.begun = dict(record)
        elif record["kind"] == "undo" and isinstance(content, str):
            self._undo(content)
        elif record["kind"] == "answer" and _is_answer(record):
            said = Said(**{key: record.get(key) for key in Said._fields})  # type: ignore[arg-type]  # _is_answer
            self._take(said)
        else:
            raise ConfigError(f"{self.path}, line {number} is no answer of `graftnet label`; restore the file.")


def _is_answer(record: Mapping[str, Any]) -> bool:
    texts = all(isinstance(record.get(key), str) for key in TEXTS)
    was, value = record.get("was"), record.get("value")
    rows = list(was.values()) if isinstance(was, dict) else []
    known = all(isinstance(row, list) and len(row) == 3 and all(isinstance(cell, str) for cell in row) for row in rows)
    kinds = isinstance(value, str | None) and isinstance(was, dict | None)
    return texts and known and kinds and record["split"] in SPLITS and record["how"] in HOW
