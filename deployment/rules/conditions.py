"""Read and judge conditions on the attributes of an image: true, false, or unknown where a score is too close.

The logic is Kleene's strong one (Introduction to Metamathematics, 1952, section 64): "and" is unknown where the unknown
part decides, and so is "or". A condition is a tree of `Leaf`, `Not`, `All` and `Some`; what decides a leaf is passed
in, so the same tree is asked about scores (`by_scores`) and about labels (`by_label`).

Text such as `holding_baby >= 0.8 and not (night or age is child)` is read by recursive descent; nothing is evaluated:

    condition := both ("or" both)*
    both      := term ("and" term)*
    term      := "not" term | "(" condition ")" | question
    question  := attribute ["[" value "]"] (">=" | ">" | "<=" | "<") number      a score against a limit
               | attribute "is" ["not"] value | attribute                        the predicted value

Names that hold spaces or signs, or are called and, or, not, is, stand in quotes. What an attribute or value means is
asked of `bind`, so that the parser knows no bundle.
"""

import math
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NoReturn, TypeAlias

TOKEN = re.compile(r"""\s*(?:(>=|<=|[<>()\[\]]|==|!=|=)|"([^"]*)"|'([^']*)'|([^\s()\[\]<>=!"']+))""")
SIGNS = (">=", ">", "<=", "<")
KEYWORDS = ("and", "or", "not", "is")
DEEPEST = 40
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
# (the text of a question, attribute, value or None for the positive one, operator, limit) -> leaf
Bind = Callable[[str, str, str | None, str, float | None], Leaf]


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
        holds = truth(node.part, of)
        return None if holds is None else not holds
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
    predicted = attributes.get(leaf.attribute)
    return math.nan if predicted is None else float((predicted.get("calibrated") or predicted["scores"])[leaf.value])


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
    predicted = attributes[leaf.attribute]
    table = predicted.get("calibrated") or predicted["scores"]
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


class ConditionError(ValueError):
    """What is wrong with a condition, in words that quote it."""


def parse_condition(text: str, bind: Bind) -> Node:
    """The condition that `text` describes. Raises: ConditionError, its own or one of `bind`."""
    return _Parser(text, bind).whole()


class _Parser:
    def __init__(self, text: str, bind: Bind) -> None:
        self.text, self.bind = text, bind
        self.tokens: list[tuple[str, str, int, int]] = []  # kind ("sign", "name", "quoted"), what it says, from, to
        self.at = self.depth = 0  # the next token; how deep it is nested
        position = 0
        while text[position:].strip():
            match = TOKEN.match(text, position)
            if match is None:
                raise ConditionError(f"cannot read {text[position:].strip()[:30]!r}: close the quotes, or correct it")
            group = match.lastindex or 1
            kind = ("sign", "quoted", "quoted", "name")[group - 1]
            self.tokens.append((kind, match[group], match.start(group), match.end()))
            position = match.end()

    def whole(self) -> Node:
        if not self.tokens:
            raise ConditionError("the condition is empty: write for example 'holding_baby >= 0.8'")
        node = self.condition()
        if self.at < len(self.tokens):
            self.refuse("'and', 'or' or the end")
        return node

    def condition(self) -> Node:
        return self.joined("or", Some, lambda: self.joined("and", All, self.term))

    def joined(self, keyword: str, kind: type[All] | type[Some], part: Callable[[], Node]) -> Node:
        parts = [part()]
        while self.taken(keyword):
            parts.append(part())
        return parts[0] if len(parts) == 1 else kind(tuple(parts))

    def term(self) -> Node:
        self.depth += 1
        if self.depth > DEEPEST:
            raise ConditionError(f"the condition is nested more than {DEEPEST} deep: write it as several rules")
        if self.taken("not"):
            node: Node = Not(self.term())
        elif self.taken("("):
            node = self.condition()
            self.expect(")")
        else:
            node = self.question()
        self.depth -= 1
        return node

    def question(self) -> Node:
        start = self.at
        attribute = self.name("an attribute, 'not' or '('")
        value = None
        if self.taken("["):
            value = self.name("a value")
            self.expect("]")
        sign = next((sign for sign in SIGNS if self.taken(sign)), None)
        if sign is not None:
            limit = self.number()
            return self.bind(self.written(start), attribute, value, sign, limit)
        if value is not None:
            self.refuse("one of >=, >, <=, <")
        if not self.taken("is"):
            if self.at < len(self.tokens) and self.tokens[self.at][1] in ("=", "==", "!="):
                self.refuse("'is' or 'is not' before a value, or one of >=, >, <=, < before a number")
            return self.bind(self.written(start), attribute, None, "is", None)
        denied = self.taken("not")
        value = self.name("a value")
        leaf = self.bind(f"{attribute} is {value}", attribute, value, "is", None)
        return Not(leaf) if denied else leaf

    def taken(self, word: str) -> bool:
        """Whether the next token is this keyword or sign; then it is passed."""
        if self.at == len(self.tokens):
            return False
        kind, token, _, _ = self.tokens[self.at]
        if kind == "quoted" or (token.casefold() if kind == "name" else token) != word:
            return False
        self.at += 1
        return True

    def expect(self, word: str) -> None:
        if not self.taken(word):
            self.refuse(f"'{word}'")

    def name(self, wanted: str) -> str:
        if self.at < len(self.tokens):
            kind, token, _, _ = self.tokens[self.at]
            if kind == "quoted" or (kind == "name" and token.casefold() not in KEYWORDS):
                self.at += 1
                return token
        self.refuse(wanted)

    def number(self) -> float:
        token = self.tokens[self.at][1] if self.at < len(self.tokens) else ""
        try:
            value = float(token)
        except ValueError:
            value = float("nan")
        if not math.isfinite(value):
            self.refuse("a number such as 0.8")
        if not 0 < value < 1:
            raise ConditionError(
                f"a score lies between 0 and 1, so a comparison with {token} is always true or never: "
                f"write a limit between them"
            )
        self.at += 1
        return value

    def refuse(self, wanted: str) -> NoReturn:
        comes = f"stands {self.tokens[self.at][1]!r}" if self.at < len(self.tokens) else "nothing follows"
        before = f"after {self.written(max(0, self.at - 3))!r}" if self.at else "at the beginning"
        raise ConditionError(f"{before} {comes}: write {wanted}")

    def written(self, start: int) -> str:
        """The tokens from `start` up to the next, as they stand in the text."""
        first, last = self.tokens[start], self.tokens[self.at - 1]
        begin = first[2] - (first[0] == "quoted")
        return self.text[begin : last[3]]
