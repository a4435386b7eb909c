"""Decide on an action from a picture's attributes: which advertisement, alarm or message it calls for.

GraftNet: An Efficient and Flexible Multi-label Image Classification and Its Application (Jia et al.), section 3.7: what
the screen of an elevator shows follows from the attributes of its passengers by a schema made from business logic
("for someone holding a little baby, we push ads of diaper or toy"). Here the schema is a file of rules
(`deployment.rules.file`), judged on calibrated scores; a rule fires when its condition is surely true.
"""

import math
import threading
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

from deployment.rules.conditions import (
    Found,
    Leaf,
    Truth,
    by_scores,
    evidence,
    leaf_evidence,
    leaves,
    limit_of,
    score_of,
    truth,
)
from deployment.rules.file import Contracts, Rule, read_rules_file


@dataclass(frozen=True)
class Condition:
    """One question of a rule and what the scores say to it.

    `score` is the calibrated one of `value`, None where it is missing; `limit` what it is compared with; `holds` None
    where the score is missing or within the rule's band around the limit.
    """

    text: str
    attribute: str
    value: str
    score: float | None
    limit: float | None
    holds: Truth


@dataclass(frozen=True)
class Judgement:
    """What the scores of one image say of one rule: whether its condition holds, and how strongly (0..1)."""

    rule: Rule
    holds: Truth
    evidence: float

    @property
    def merit(self) -> tuple[int, float]:
        """What decides between rules that fire: the priority, then weight times evidence."""
        return self.rule.priority, self.rule.weight * self.evidence


@dataclass(frozen=True)
class Action:
    """The action that won, and why."""

    action: str
    rule: str
    when: str
    priority: int
    weight: float
    evidence: float
    conditions: tuple[Condition, ...]

    def to_json(self) -> dict[str, Any]:
        """Plain values, the conditions as a list of tables."""
        return {**asdict(self), "conditions": [asdict(condition) for condition in self.conditions]}


class Rules:
    """Rules at work: decide picture by picture, and remember when each action was last taken.

    One object serves one screen (its cool-downs); it may be called from several threads.
    """

    def __init__(self, rules: Sequence[Rule]) -> None:
        self.rules = tuple(rules)
        self._taken: dict[str, float] = {}  # action -> when
        self._lock = threading.Lock()

    @classmethod
    def read(cls, path: Path, contracts: Contracts) -> "Rules":
        """The rules of a file for a bundle's branches (`Runtime.contracts`). Errors as `read_rules_file`."""
        return cls(read_rules_file(path, contracts))

    @property
    def attributes(self) -> tuple[str, ...]:
        """The attributes that a rule asks about, in alphabetical order: the others need not be predicted."""
        return tuple(sorted({leaf.attribute for rule in self.rules for leaf in leaves(rule.condition)}))

    def judge(self, attributes: Mapping[str, Found]) -> list[Judgement]:
        """Every rule, in the file's order, cool-downs left aside.

        attributes: `attributes` of a row of `Runtime.predict`; what is missing there is unknown.
        """
        return [
            Judgement(
                rule,
                truth(rule.condition, partial(by_scores, attributes=attributes, band=rule.band)),
                evidence(rule.condition, partial(leaf_evidence, attributes=attributes)),
            )
            for rule in self.rules
        ]

    def decide(self, attributes: Mapping[str, Found], now: float) -> Action | None:
        """The action for this picture, or None; it then counts as taken.

        Of the rules that fire and whose action was not taken within their cool-down, the highest priority wins, then
        the greatest weight times evidence, then the first in the file.

        now: seconds on a clock that never goes back, such as `time.monotonic()`.
        """
        fired = [judgement for judgement in self.judge(attributes) if judgement.holds]
        with self._lock:
            ready = [judgement for judgement in fired if not self._cooling(judgement.rule, now)]
            if not ready:
                return None
            best = max(ready, key=lambda judgement: judgement.merit)  # the first of equals
            self._taken[best.rule.action] = now
        return _action(best, attributes)

    def _cooling(self, rule: Rule, now: float) -> bool:
        last = self._taken.get(rule.action)
        return last is not None and now - last < rule.cooldown


def _action(best: Judgement, attributes: Mapping[str, Found]) -> Action:
    rule = best.rule
    conditions = tuple(_condition(leaf, attributes, rule.band) for leaf in leaves(rule.condition))
    return Action(rule.action, rule.name, rule.when, rule.priority, rule.weight, best.evidence, conditions)


def _condition(leaf: Leaf, attributes: Mapping[str, Found], band: float) -> Condition:
    score = score_of(leaf, attributes)
    if not math.isfinite(score):
        return Condition(leaf.text, leaf.attribute, leaf.value, None, leaf.limit, None)
    limit, holds = limit_of(leaf, attributes), by_scores(leaf, attributes, band)
    return Condition(leaf.text, leaf.attribute, leaf.value, score, limit, holds)
