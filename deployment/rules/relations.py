"""Report or repair answers that break relations between attributes: what excludes, what implies another.

They are those of `[[relations]]` in a project's graftnet.toml, or in a file of their own:

[[relations]]
exclude = ["baby", "child", "age=adult"]      # an attribute's second value; or NAME=VALUE
[[relations]]
imply = ["holding_baby", "age=adult"]
"""

import math
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from deployment.errors import BundleError, RulesError
from deployment.rules.file import Contracts, lines_of

Decided = Mapping[str, Mapping[str, Any]]  # attribute -> what `Runtime.decide` says of it
State = Mapping[str, str]  # attribute -> value
KINDS = ("exclude", "imply")
MOST_TRIED = 20_000  # states of one answer; the cheapest so far is taken then
TINY = 1e-7  # of a score, so that its logarithm is a number


@dataclass(frozen=True)
class Label:
    """An attribute has a value; `text` as it was written."""

    text: str
    attribute: str
    value: str

    def shown(self, state: State) -> bool:
        """Whether a picture shows it; what was not asked is not shown."""
        return state.get(self.attribute) == self.value


@dataclass(frozen=True)
class BundleRelation:
    """A relation between labels of a bundle."""

    kind: str
    labels: tuple[Label, ...]

    def broken_by(self, state: State) -> tuple[Label, ...]:
        """The labels that break it: all that are shown together, or the first with those that it lacks; else none."""
        if self.kind == "exclude":
            together = tuple(label for label in self.labels if label.shown(state))
            return together if len(together) > 1 else ()
        first, *others = self.labels
        lacking = tuple(each for each in others if each.attribute in state and not each.shown(state))
        return (first, *lacking) if first.shown(state) and lacking else ()

    def sentence(self, labels: tuple[Label, ...]) -> str:
        """What an answer says that cannot be: "baby and child", "holding_baby without age=adult"."""
        texts = [label.text for label in labels]
        return " and ".join(texts) if self.kind == "exclude" else f"{texts[0]} without {' and '.join(texts[1:])}"


class Relations:
    """The relations of a file that are about a bundle's attributes.

    repair: change what an answer says, as little as its scores allow, until it breaks none; else report alone.
    """

    def __init__(self, relations: tuple[BundleRelation, ...], *, repair: bool = False) -> None:
        self.relations, self.repair = relations, repair

    @classmethod
    def read(cls, path: Path, contracts: Contracts, *, repair: bool = False) -> "Relations":
        """Read a file's `[[relations]]`; labels of attributes that the bundle lacks are left out.

        Raises: BundleError for no such file, no TOML, or nothing about this bundle; RulesError for what is wrong in it.
        """
        try:
            text = path.read_text(encoding="utf-8-sig")
            entries = tomllib.loads(text).get("relations", [])
        except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError, RecursionError) as error:
            raise BundleError(f"{path} cannot be read as TOML ({error}): name a file with [[relations]]") from error
        lines = lines_of(text, "relations")
        problems: list[tuple[int, str]] = []
        found: list[BundleRelation] = []
        for number, entry in enumerate(entries if isinstance(entries, list) else [entries]):
            line = lines.get((number, ""), 1)
            try:
                relation = relation_of(entry, contracts)
            except ValueError as error:
                problems.append((line, str(error)))
                continue
            if relation is not None:
                found.append(relation)
        if problems:
            raise RulesError(path, problems)
        if not found:
            raise BundleError(f"{path} has no [[relations]] about {', '.join(contracts)}: name another file")
        return cls(tuple(found), repair=repair)

    @property
    def attributes(self) -> tuple[str, ...]:
        """The attributes that they are about, each once."""
        return tuple(dict.fromkeys(label.attribute for each in self.relations for label in each.labels))

    def judged(self, decided: Decided) -> tuple[dict[str, dict[str, Any]], dict[str, Any]]:
        """The answers, repaired where that is wanted; and `broken` (sentences), `changed` (attribute -> from, to)."""
        answers = {name: dict(answer) for name, answer in decided.items()}
        state = {name: str(answer["value"]) for name, answer in answers.items()}
        broken = [each.sentence(labels) for each in self.relations if (labels := each.broken_by(state))]
        changed: dict[str, dict[str, str]] = {}
        if self.repair and broken:
            for name, value in (self._repaired(state, answers) or state).items():
                if value != state[name]:
                    changed[name] = {"from": state[name], "to": value}
                    answers[name]["value"] = value
        return answers, {"broken": broken, "changed": changed}

    def _repaired(self, state: State, decided: Decided) -> State | None:
        """The state of the least cost that breaks nothing; None where there is none. Branch and bound."""
        prices = {name: prices_of(decided[name]) for name in self.attributes if name in decided}
        best: tuple[float, State | None] = (math.inf, None)
        tried = 0
        waiting: list[tuple[float, State, frozenset[str]]] = [(0.0, state, frozenset())]
        while waiting and tried < MOST_TRIED:
            tried += 1
            cost, here, settled = waiting.pop()
            if cost >= best[0]:
                continue
            wrong = next(((each, labels) for each in self.relations if (labels := each.broken_by(here))), None)
            if wrong is None:
                best = (cost, here)
                continue
            ways = [
                (cost + prices[name][value], {**here, name: value}, settled | {name})
                for name, value in ways_out(*wrong, prices)
                if name not in settled
            ]
            waiting += sorted(ways, key=lambda way: -way[0])  # the cheapest is tried next
        return best[1]


def ways_out(
    relation: BundleRelation, labels: tuple[Label, ...], prices: Mapping[str, Mapping[str, float]]
) -> Iterator[tuple[str, str]]:
    """Changes (attribute, value) of which every repair makes at least one."""
    away = labels[:2] if relation.kind == "exclude" else labels[:1]
    for label in away:
        yield from ((label.attribute, value) for value in prices[label.attribute] if value != label.value)
    if relation.kind == "imply":
        yield labels[1].attribute, labels[1].value


def prices_of(answer: Mapping[str, Any]) -> dict[str, float]:
    """What it costs to say each value instead of the one that was predicted: how far its score is from that, in logits.

    Of two values the distance from the threshold, of more the logarithm of the ratio of their scores.
    """
    scores: dict[str, float] = {value: min(1 - TINY, max(TINY, score)) for value, score in answer["scores"].items()}
    said = str(answer["value"])
    if len(scores) == 2:
        threshold = min(1 - TINY, max(TINY, 0.5 if answer["threshold"] is None else answer["threshold"]))
        far = abs(logit(scores[list(scores)[1]]) - logit(threshold))
        return {value: 0.0 if value == said else far for value in scores}
    return {value: max(0.0, math.log(scores[said] / score)) for value, score in scores.items()}


def logit(share: float) -> float:
    """The logarithm of the odds."""
    return math.log(share / (1 - share))


def relation_of(entry: Any, contracts: Contracts) -> BundleRelation | None:
    """One `[[relations]]`, with what the bundle knows of it; None where that is no relation any more.

    Raises: ValueError, what is wrong with it.
    """
    kinds = [kind for kind in KINDS if isinstance(entry, Mapping) and entry.get(kind)]
    texts = entry[kinds[0]] if len(kinds) == 1 and set(entry) <= set(KINDS) else None
    if not isinstance(texts, list) or len(texts) < 2 or not all(isinstance(text, str) for text in texts):
        raise ValueError("a relation has exclude = [...] or imply = [...], with two labels or more")
    labels = [label_of(text, contracts) for text in texts]
    known = tuple(label for label in labels if label is not None)
    if len(known) < 2 or (kinds[0] == "imply" and labels[0] is None):
        return None
    return BundleRelation(kinds[0], known)


def label_of(text: str, contracts: Contracts) -> Label | None:
    """A label as it is written; None where the bundle has no such attribute.

    Raises: ValueError for a value that its attribute does not have, or is missing.
    """
    if text in contracts:
        values = contracts[text]["values"]
        if len(values) != 2:
            raise ValueError(f"{text!r} has {len(values)} values: name one, such as '{text}={values[0]}'")
        return Label(text, text, values[1])
    name, _, value = text.partition("=")
    if name not in contracts:
        return None
    if value not in contracts[name]["values"]:
        raise ValueError(f"{name!r} has no value {value!r}: it has {', '.join(contracts[name]['values'])}")
    return Label(text, name, value)
