"""A labelling under way: which pictures which window shows, answers that come in, and answers that are taken back."""

import threading
from collections.abc import Collection, Mapping
from typing import Any, NamedTuple, Protocol

from graftnet.data.labelling.journal import CHOSEN, RANDOM, REVIEW, Said
from graftnet.data.labelling.pool import Pool
from graftnet.data.labelling.table import AnswerTable
from graftnet.errors import ConfigError
from subdatasets.splits import SPLITS

WINDOWS = 1000  # remembered at most; of more the oldest is forgotten, and its pictures are asked about again


class Question(NamedTuple):
    """A picture to ask about, and what is to be said of it."""

    content: str
    note: str = ""


class Asker(Protocol):
    """What decides which pictures come next."""

    def ask(self, wanted: int, besides: Collection[str]) -> list[Question]:
        """The next pictures, none of ``besides``."""

    def split(self, content: str) -> str:
        """The split that a picture gets which has none yet."""

    def left(self) -> int:
        """How many pictures may still be asked about."""

    def progress(self) -> Mapping[str, Any]:
        """How far it is, in a ``sentence`` and figures."""


class Labelling:
    """One attribute's labelling, for any number of windows at a time.

    Args:
        pool: the pictures.
        table: where answers become rows.
        asker: what comes next.
        page: pictures on a page.
        who: answers.
        review: whether the pictures are labelled already.
    """

    def __init__(
        self, pool: Pool, table: AnswerTable, asker: Asker, *, page: int, who: str, review: bool = False
    ) -> None:
        self.pool, self.table, self.asker = pool, table, asker
        self.size, self.who, self.review = page, who, review
        self._pages: dict[str, list[Question]] = {}
        self._answered: list[tuple[str, str]] = []  # (window, content), in the order of the answers
        self._lock = threading.RLock()
        self._asking = threading.Lock()

    @property
    def values(self) -> tuple[str, ...]:
        """The attribute's."""
        return self.table.attribute.values

    def page(self, window: str, *, more: bool = False) -> dict[str, Any]:
        """The pictures that a window shows: those it had, until all are answered or it asks for more."""
        with self._asking:
            with self._lock:
                current = self._pages.get(window, [])
                open_ = [question for question in current if not self._said(question.content)]
                others = [each.content for name, page in self._pages.items() if name != window for each in page]
            if more or not open_:
                # What a window leaves unanswered may come again, but not at once.
                fresh = self.asker.ask(self.size, {*others, *(question.content for question in open_)})
                fresh = fresh or self.asker.ask(self.size, [])
                with self._lock:
                    self._pages[window] = current = fresh
                    while len(self._pages) > WINDOWS:
                        del self._pages[next(iter(self._pages))]
            told = self.asker.progress()
            return {
                "attribute": self.table.attribute.name,
                "values": self.values,
                "review": self.review,
                "pictures": [self.shown(question) for question in current],
                "progress": told,
                **self.counts(),
            }

    def shown(self, question: Question) -> dict[str, Any]:
        """A picture as the page gets it: a name to show, the label it has, and whether that was answered here."""
        content = question.content
        said = self._said(content)
        label = said.value if said else next((row.label for row in self.table.labels(content)), None)
        return {
            "id": content,
            "name": self.pool.paths[content].name,
            "note": question.note,
            "answered": said is not None,
            "label": label,
        }

    def _said(self, content: str) -> Said | None:
        """What counts as an answer here: in a review only what the review brought."""
        said = self.table.journal.current().get(content)
        return said if said is not None and (not self.review or said.how == REVIEW) else None

    def counts(self) -> dict[str, Any]:
        """Pictures of each value in each split, answers so far, and pictures left."""
        with self._lock:
            table = {value: dict.fromkeys(SPLITS, 0) for value in self.values}
            for row in self.table.rows:
                table[row.label][row.split] += 1
            answers = self.table.journal.current().values()
            unsure = sum(said.value is None for said in answers)
            return {"counts": table, "answers": len(answers), "unsure": unsure, "left": self.asker.left()}

    def answer(self, window: str, content: str, value: str | None) -> dict[str, Any]:
        """Keep an answer; None is unsure. When this returns it is on the disk.

        Raises:
            ConfigError: there is no such picture, or no such value.
        """
        if content not in self.pool.paths or value not in (None, *self.values):
            raise ConfigError("The page asks for a picture or a value that this labelling has not; load it again.")
        with self._lock:
            rows, locations = self.table.labels(content), self.table.locations
            before = self.table.journal.before.get(content)
            was = {locations.cell(row.path): (row.label, row.split, row.group or "") for row in rows}
            split = next((row.split for row in rows), "") or self.asker.split(content)
            how = REVIEW if self.review else CHOSEN if split == "train" else RANDOM
            path = locations.cell(self.pool.paths[content])
            said = Said(content, path, value, split, how, self.who, was=was if before is None and was else None)
            self.table.journal.add(said)
            self._answered.append((window, content))
            self.table.write()
            return self.counts()

    def undo(self, window: str) -> dict[str, Any]:
        """Take back the last answer of a window; of one that gave none since the start, the last of all."""
        with self._lock:
            own = [place for place, (name, _) in enumerate(self._answered) if name == window]
            if own:
                content = self._answered.pop(own[-1])[1]
            elif not self._answered and (kept := self._last()):
                content = kept
            else:
                return {"picture": None, **self.counts()}
            self.table.journal.take_back(content, who=self.who)
            self.table.write()
            return {"picture": self.shown(Question(content)), **self.counts()}

    def _last(self) -> str | None:
        """The picture of the newest answer that was given on a page."""
        paged = [said for said in self.table.journal.current().values() if said.content in self.pool.paths]
        paged = [said for said in paged if said.how in (RANDOM, CHOSEN, REVIEW)]
        return max(enumerate(paged), key=lambda pair: (pair[1].when, pair[0]))[1].content if paged else None

    def close(self) -> None:
        """Write the table down for good."""
        with self._lock:
            self.table.write(finally_=True)
