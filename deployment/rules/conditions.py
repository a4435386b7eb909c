"""Conditions on the attributes of an image, in three-valued logic: true, false, or unknown where a score is too close.

The logic is Kleene's strong one (Introduction to Metamathematics, 1952, section 64): "and" is unknown where the unknown
part decides, and so is "or". A condition is a tree of `Leaf`, `Not`, `All` and `Some`; what decides a leaf is passed
in, so the same tree is asked about scores (`by_scores`) and about labels (`by_label`).
"""

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

Truth: TypeAlias = bool | None  # None: unknown
Found: TypeAlias = Mapping[str, Any]  # what `Runtime.predict` says of one attribute


@dataclass(frozen=True)
class Leaf:
    """One question: is the score of `value` at least (`>`, `<`, `<=`) `limit`, or "is" the attribute's value `value`.

    `text` as the user wrote it. Of "is", `limit` is the calibrated score from which on an attribute of two values has
    `value`; None for more values, where the highest score decides.
    """

    text: str
    attribute: str
    value: str
    operator: str
    limit: float | None = None


@dataclass(frozen=True)
class Not:
    """True where the part is false."""

    part: "Node"


@dataclass(frozen=True)
class All:
    """The "and" of its parts."""

    parts: tuple["Node", ...]


@dataclass(frozen=True)
class Some:
    """The "or" of its parts."""

    parts: tuple["Node", ...]


Node: TypeAlias = Leaf | Not | All | Some


def leaves(node: Node) -> Iterator[Leaf]:
    """The questions of a condition, as they are written from left to right."""
    if isinstance(node, Leaf):
        yield node
    else:
        for part in (node.part,) if isinstance(node, Not) else node.parts:
            yield from leaves(part)


def truth(node: Node, of: Callable[[Leaf], Truth]) -> Truth:
    """The condition's truth, from that of its leaves."""
    if isinstance(node, Leaf):
        return of(node)
    if isinstance(node, Not):
        found = truth(node.part, of)
        return None if found is None else not found
    parts = [truth(part, of) for part in node.parts]
    decisive = isinstance(node, Some)
    if decisive in parts:
        return decisive
    return None if None in parts else not decisive


def evidence(node: Node, of: Callable[[Leaf], float], *, affirmed: bool = True) -> float:
    """How strongly the scores speak for a condition, 0..1: the least of what "and" joins, the most of what "or" joins.

    `of`: the evidence for a leaf; against it speaks one minus that.
    """
    if isinstance(node, Leaf):
        return of(node) if affirmed else 1 - of(node)
    if isinstance(node, Not):
        return evidence(node.part, of, affirmed=not affirmed)
    weakest = isinstance(node, All) == affirmed
    parts = [evidence(part, of, affirmed=affirmed) for part in node.parts]
    return min(parts) if weakest else max(parts)


def score_of(leaf: Leaf, attributes: Mapping[str, Found]) -> float:
    """The calibrated score of the leaf's value, the raw one of a branch without a calibration; nan without a score.

    attributes: `attributes` of a row of `Runtime.predict`; an attribute that was not asked for may be missing.
    """
    found = attributes.get(leaf.attribute)
    return math.nan if found is None else float((found.get("calibrated") or found["scores"])[leaf.value])


def by_scores(leaf: Leaf, attributes: Mapping[str, Found], band: float) -> Truth:
    """What the scores say: unknown where the score is nearer to the limit than `band`, or missing, or no number.

    "is" follows the value that `predict` gives; of more than two values the limit is the best score of the others.
    """
    score = score_of(leaf, attributes)
    if not math.isfinite(score) or abs(score - limit_of(leaf, attributes)) < band:
        return None
    if leaf.operator == "is":
        return bool(attributes[leaf.attribute]["value"] == leaf.value)
    limit = limit_of(leaf, attributes)
    return {">=": score >= limit, ">": score > limit, "<=": score <= limit, "<": score < limit}[leaf.operator]


def limit_of(leaf: Leaf, attributes: Mapping[str, Found]) -> float:
    """The score that the leaf's own is compared with."""
    if leaf.limit is not None:
        return leaf.limit
    found = attributes[leaf.attribute]
    table = found.get("calibrated") or found["scores"]
    return float(max(score for value, score in table.items() if value != leaf.value))


def by_label(leaf: Leaf, labels: Mapping[str, str]) -> bool:
    """What the labels say: whether the image has the value (or for < and <=, has it not)."""
    return (labels[leaf.attribute] == leaf.value) == (leaf.operator not in ("<", "<="))


def leaf_evidence(leaf: Leaf, attributes: Mapping[str, Found]) -> float:
    """The score of the value, for < and <= of its opposite; a missing score speaks for neither side."""
    score = score_of(leaf, attributes)
    if not math.isfinite(score):
        return 0.5
    return 1 - score if leaf.operator in ("<", "<=") else score
