"""Growing a sub-dataset: after each page the probe is fitted anew, and says which pictures come next."""

from collections.abc import Collection, Mapping
from typing import Any

import numpy as np

from branches.measures.metrics import Floats, Labels
from graftnet.data.labelling.choosing import choose, random_count, shuffled, split_of
from graftnet.data.labelling.fitting import fitted_scores, reduced
from graftnet.data.labelling.pool import Pool
from graftnet.data.labelling.progress import measured
from graftnet.data.labelling.session import Question
from graftnet.data.labelling.table import AnswerTable


class Growing:
    """Proposals from a pool of which a few pictures are labelled.

    Args:
        pool: the pictures.
        table: what is labelled.
        seed: of which pictures may be val and test, of their order, and of the clusters.
        share: of the pictures shown that are drawn at random.
    """

    def __init__(self, pool: Pool, table: AnswerTable, *, seed: int, share: float) -> None:
        self.table, self.seed, self.share = table, seed, share
        self.contents, self.number = pool.contents, pool.number
        self.rows = reduced(pool.rows, seed=seed % 2**32)
        self.drawn = {content: split_of(content, seed=seed, share=share) for content in pool.contents}
        self.order = shuffled([content for content in pool.contents if self.drawn[content] != "train"], seed=seed)
        self._told: tuple[int, Mapping[str, Any]] | None = None
        self._fit: tuple[int, Floats | None] | None = None

    def split(self, content: str) -> str:
        """As drawn before anything was labelled."""
        return self.drawn[content]

    def left(self) -> int:
        """Pictures that nobody labelled, and nobody was unsure of."""
        return len(self.number) - len(self._known() & self.number.keys())

    def ask(self, wanted: int, besides: Collection[str]) -> list[Question]:
        """Some at random, the others chosen; mixed, so that nobody answers the ones with more care."""
        known = self._known()
        barred = known | set(besides)
        answers = self.table.journal.current().values()
        shown = [said for said in answers if said.how in ("random", "chosen")]
        drawn = sum(said.how == "random" for said in shown)
        at_random = [content for content in self.order if content not in barred]
        free = np.array(
            [self.number[each] for each in self.contents if self.drawn[each] == "train" and each not in barred],
            dtype=np.int64,
        )
        count = min(len(at_random), max(random_count(wanted, drawn, len(shown), self.share), wanted - len(free)))
        numbers, labels = self._labelled("train")
        scores = self._scores(numbers, labels)
        counts = np.bincount(labels, minlength=len(self.values)).tolist()
        seed = (self.seed + len(known)) % 2**32
        chosen = choose(self.rows, free, scores, counts, wanted - count, seed=seed)
        page = [*at_random[:count], *(self.contents[number] for number in chosen)]
        return [Question(content) for content in shuffled(page, seed=self.seed)]

    @property
    def values(self) -> tuple[str, ...]:
        """The attribute's."""
        return self.table.attribute.values

    def progress(self) -> Mapping[str, Any]:
        """How good a branch would be now; measured when a page is made, and kept until labels change."""
        train, val = self._labelled("train"), self._labelled("val")
        labelled = hash((train[0].tobytes(), train[1].tobytes(), val[0].tobytes(), val[1].tobytes()))
        if self._told is None or self._told[0] != labelled:
            self._told = (labelled, measured(self.rows, train, val, self.values, self._scores(*train)))
        return self._told[1]

    def _scores(self, numbers: Labels, labels: Labels) -> Floats | None:
        """The fit on what is labelled; once, until labels change."""
        labelled = hash((numbers.tobytes(), labels.tobytes()))
        if self._fit is None or self._fit[0] != labelled:
            values = len(self.values)
            self._fit = (labelled, fitted_scores(self.rows, numbers, labels, values) if len(labels) else None)
        return self._fit[1]

    def _known(self) -> set[str]:
        """What has a label or an answer."""
        return {self.table.hashes[row.path] for row in self.table.rows} | self.table.journal.current().keys()

    def _labelled(self, split: str) -> tuple[Any, Any]:
        """Numbers of rows and labels of one split, those of the table first, then in the order of the answers."""
        index = {value: number for number, value in enumerate(self.values)}
        found = {
            self.number[content]: index[row.label]
            for row in self.table.rows
            if row.split == split and (content := self.table.hashes[row.path]) in self.number
        }
        return np.array(list(found), dtype=np.int64), np.array(list(found.values()), dtype=np.int64)
