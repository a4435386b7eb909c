"""Review of labels that are there: equal pictures that are labelled differently, then what the probe calls mistakes.

Each picture is scored by a probe that was fitted without it (cross-validation), as in Northcutt et al., Confident
Learning (2021), arXiv:1911.00068; asked about is what it gives another label, the surest first.
"""

from collections.abc import Collection, Mapping
from typing import Any

import numpy as np
from sklearn.model_selection import StratifiedKFold

from branches.measures.metrics import Floats, Labels
from graftnet.data.labelling.fitting import Rows, fitted_scores, reduced
from graftnet.data.labelling.journal import REVIEW
from graftnet.data.labelling.pool import Pool
from graftnet.data.labelling.session import Question
from graftnet.data.labelling.table import AnswerTable

FOLDS = 5


class Reviewing:
    """The questions of a review, in their order; what a review has answered before is not asked again."""

    def __init__(self, pool: Pool, table: AnswerTable, *, seed: int) -> None:
        self.table = table
        self.questions = [*conflicts(table), *mistakes(pool, table, seed=seed)]

    def ask(self, wanted: int, besides: Collection[str]) -> list[Question]:
        """The next ones of the list."""
        return [each for each in self._open() if each.content not in besides][:wanted]

    def split(self, content: str) -> str:
        """Every picture of a review has a split already; what left the table comes back as train."""
        before = self.table.journal.before.get(content, {})
        return next((row[1] for row in before.values()), "train")

    def left(self) -> int:
        """Questions without an answer."""
        return len(self._open())

    def progress(self) -> Mapping[str, Any]:
        """How many are left."""
        left = self.left()
        return {"sentence": f"{left} of {len(self.questions)} labels are still to be looked at, the surest first."}

    def _open(self) -> list[Question]:
        answers = self.table.journal.current()
        done = {content for content, said in answers.items() if said.how == REVIEW}
        return [question for question in self.questions if question.content not in done]


def conflicts(table: AnswerTable) -> list[Question]:
    """Contents that lie under several names and have several labels."""
    labels: dict[str, list[str]] = {}
    for row in table.rows:
        labels.setdefault(table.hashes[row.path], []).append(row.label)
    return [
        Question(content, f"{len(found)} equal files are labelled {' and '.join(sorted(set(found)))}")
        for content, found in labels.items()
        if len(set(found)) > 1
    ]


def mistakes(pool: Pool, table: AnswerTable, *, seed: int) -> list[Question]:
    """Pictures whose label a probe that has not seen them contradicts, the surest first."""
    values, number = table.attribute.values, pool.number
    index = {value: place for place, value in enumerate(values)}
    labels: dict[int, set[int]] = {}
    for row in table.rows:
        if table.hashes[row.path] in number:
            labels.setdefault(number[table.hashes[row.path]], set()).add(index[row.label])
    single = {row: min(found) for row, found in labels.items() if len(found) == 1}
    known = np.array(list(single), dtype=np.int64)
    given = np.array(list(single.values()), dtype=np.int64)
    scores = held_out_scores(reduced(pool.rows, seed=seed % 2**32)[known], given, len(values), seed=seed)
    if scores is None:
        return []
    of_label = scores[np.arange(len(given)), given]
    wrong = [place for place in np.argsort(of_label, kind="stable").tolist() if scores[place].argmax() != given[place]]
    told = [(place, values[int(scores[place].argmax())], float(scores[place].max())) for place in wrong]
    return [
        Question(pool.contents[known[place]], f"labelled {values[given[place]]}; the probe says {value} ({score:.2f})")
        for place, value, score in told
    ]


def held_out_scores(rows: Rows, labels: Labels, values: int, *, seed: int) -> Floats | None:
    """Scores (N, V) of each row by a fit on the other folds; None where a value has a single picture, or all do."""
    counts = np.unique(labels, return_counts=True)[1]
    if len(counts) < 2 or counts.min() < 2:
        return None
    scores = np.zeros((len(rows), values))
    folds = StratifiedKFold(min(FOLDS, int(counts.min())), shuffle=True, random_state=seed % 2**32)
    for train, others in folds.split(rows, labels):
        found = fitted_scores(rows, train, labels[train], values)
        assert found is not None
        scores[others] = found[others]
    return scores
