"""Text to condition: `holding_baby >= 0.8 and not (night or age is child)`. A recursive descent; nothing is evaluated.

    condition := both ("or" both)*
    both      := one ("and" one)*
    one       := "not" one | "(" condition ")" | question
    question  := attribute ["[" value "]"] (">=" | ">" | "<=" | "<") number      a score against a limit
               | attribute "is" ["not"] value | attribute                        the predicted value

Names that hold spaces or signs, or are called and, or, not, is, stand in quotes. What an attribute or value means is
asked of `bind`, so that the parser knows no bundle.
"""

import re
from collections.abc import Callable
from math import isfinite
from typing import NoReturn

from deployment.rules.conditions import All, Leaf, Node, Not, Some

TOKEN = re.compile(r"""\s*(?:(>=|<=|[<>()\[\]]|==|!=|=)|"([^"]*)"|'([^']*)'|([^\s()\[\]<>=!"']+))""")
SIGNS = (">=", ">", "<=", "<")
KEYWORDS = ("and", "or", "not", "is")
DEEPEST = 40
END = ""

# (the text of a question, attribute, value or None for the positive one, operator, limit) -> leaf
Bind = Callable[[str, str, str | None, str, float | None], Leaf]


class ConditionError(ValueError):
    """What is wrong with a condition, in words that quote it."""


def parse_condition(text: str, bind: Bind) -> Node:
    """The condition that `text` describes. Raises: ConditionError, its own or one of `bind`."""
    return _Parser(text, bind).whole()


class _Parser:
    def __init__(self, text: str, bind: Bind) -> None:
        self.text, self.bind = text, bind
        self.tokens: list[tuple[str, str, int, int]] = []  # kind ("sign", "name", "quoted"), what it says, from, to
        self.place = self.depth = 0
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
        if self.place < len(self.tokens):
            self.refuse("'and', 'or' or the end")
        return node

    def condition(self) -> Node:
        return self.joined("or", Some, lambda: self.joined("and", All, self.one))

    def joined(self, keyword: str, kind: type[All] | type[Some], part: Callable[[], Node]) -> Node:
        parts = [part()]
        while self.taken(keyword):
            parts.append(part())
        return parts[0] if len(parts) == 1 else kind(tuple(parts))

    def one(self) -> Node:
        self.depth += 1
        if self.depth > DEEPEST:
            raise ConditionError(f"the condition is nested more than {DEEPEST} deep: write it as several rules")
        if self.taken("not"):
            node: Node = Not(self.one())
        elif self.taken("("):
            node = self.condition()
            self.expect(")")
        else:
            node = self.question()
        self.depth -= 1
        return node

    def question(self) -> Node:
        start = self.place
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
            if self.place < len(self.tokens) and self.tokens[self.place][1] in ("=", "==", "!="):
                self.refuse("'is' or 'is not' before a value, or one of >=, >, <=, < before a number")
            return self.bind(self.written(start), attribute, None, "is", None)
        denied = self.taken("not")
        value = self.name("a value")
        leaf = self.bind(f"{attribute} is {value}", attribute, value, "is", None)
        return Not(leaf) if denied else leaf

    def taken(self, word: str) -> bool:
        """Whether the next token is this keyword or sign; then it is passed."""
        if self.place == len(self.tokens):
            return False
        kind, found, _, _ = self.tokens[self.place]
        if kind == "quoted" or (found.casefold() if kind == "name" else found) != word:
            return False
        self.place += 1
        return True

    def expect(self, word: str) -> None:
        if not self.taken(word):
            self.refuse(f"'{word}'")

    def name(self, wanted: str) -> str:
        if self.place < len(self.tokens):
            kind, found, _, _ = self.tokens[self.place]
            if kind == "quoted" or (kind == "name" and found.casefold() not in KEYWORDS):
                self.place += 1
                return found
        self.refuse(wanted)

    def number(self) -> float:
        found = self.tokens[self.place][1] if self.place < len(self.tokens) else END
        try:
            value = float(found)
        except ValueError:
            value = float("nan")
        if not isfinite(value):
            self.refuse("a number such as 0.8")
        if not 0 < value < 1:
            raise ConditionError(
                f"a score lies between 0 and 1, so a comparison with {found} is always true or never: "
                f"write a limit between them"
            )
        self.place += 1
        return value

    def refuse(self, wanted: str) -> NoReturn:
        place = self.place
        found = f"stands {self.tokens[place][1]!r}" if place < len(self.tokens) else "nothing follows"
        before = f"after {self.written(max(0, place - 3))!r}" if place else "at the beginning"
        raise ConditionError(f"{before} {found}: write {wanted}")

    def written(self, start: int) -> str:
        """The tokens from `start` up to this place, as they stand in the text."""
        first, last = self.tokens[start], self.tokens[self.place - 1]
        begin = first[2] - (first[0] == "quoted")
        return self.text[begin : last[3]]
