"""Read a TOML file of rules and check it against the attributes of a bundle; every mistake is named with its line.

band = 0.05                       # for all rules; here and there optional, 0 otherwise

[[rule]]
when = "holding_baby >= 0.8 and not night"
action = "push diapers"
name = "diapers"                  # the action's name otherwise
weight = 2                        # 1 otherwise
priority = 1                      # 0 otherwise
cooldown = 60                     # seconds, 0 otherwise
band = 0.1
"""

import difflib
import math
import re
import tomllib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from deployment.calibration import calibrated
from deployment.errors import BundleError, RulesError
from deployment.rules.conditions import ConditionError, Leaf, Node, leaves, parse_condition

Contracts = Mapping[str, Mapping[str, Any]]  # attribute -> its branch.json, as `Runtime.contracts` has them
WIDEST = 0.5
LARGEST = 1e300
ROUNDING = 1e-9
KEY = re.compile(r"""\s*\[?["']?([A-Za-z0-9_-]+)["']?\s*(?:=\s*(.*)|\])""")
LONG_QUOTES = ('"""', "'''")


@dataclass(frozen=True)
class Rule:
    """One rule, checked. `when` is what the user wrote, on `line`; `cooldown` in seconds; `band` of scores, 0..0.5."""

    name: str
    action: str
    when: str
    condition: Node
    line: int
    weight: float = 1.0
    priority: int = 0
    cooldown: float = 0.0
    band: float = 0.0


NUMBERS: Mapping[str, tuple[Callable[[float], bool], str]] = {
    "weight": (lambda value: value > 0, "a number above 0"),
    "priority": (lambda value: value == int(value), "a whole number"),
    "cooldown": (lambda value: value >= 0, "a number of seconds, 0 or more"),
    "band": (lambda value: 0 <= value < WIDEST, f"a number from 0 to below {WIDEST}"),
}
TEXTS = ("when", "action", "name")


def read_rules_file(path: Path, contracts: Contracts) -> tuple[Rule, ...]:
    """The rules of a file, in its order.

    Raises: BundleError for a file that is missing or no text; RulesError with everything that is wrong in it.
    """
    try:
        if path.exists() and not path.is_file():
            raise BundleError(f"{path} is no file: name a TOML file of rules")  # a pipe would be waited for
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError as error:
        raise BundleError(f"there is no file {path}: check the path") from error
    except (OSError, UnicodeDecodeError) as error:
        raise BundleError(f"{path} cannot be read as text ({error}): name a TOML file of rules") from error
    try:
        table = tomllib.loads(text)
    except RecursionError as error:
        raise BundleError(f"{path} is nested too deeply: write plain rules, as docs/actions.md shows") from error
    except tomllib.TOMLDecodeError as error:
        where = re.search(r" \(at (?:line (\d+), column \d+|end of document)\)", str(error))
        line = int(where[1]) if where and where[1] else len(text.splitlines())
        message = str(error).removesuffix(where[0]) if where else str(error)
        raise RulesError(path, [(max(1, line), f"{message}: correct the TOML")]) from error
    reading = _Reading(lines_of(text, "rule"), contracts)
    rules = reading.rules(table)
    if reading.problems:
        raise RulesError(path, reading.problems)
    return rules


class _Reading:
    """Collects the rules and what is wrong with them."""

    def __init__(self, lines: Mapping[tuple[int, str], int], contracts: Contracts) -> None:
        self.lines, self.contracts = lines, contracts
        self.problems: list[tuple[int, str]] = []

    def rules(self, table: Mapping[str, Any]) -> tuple[Rule, ...]:
        self.refuse_unknown(table, -1, ("rule", "band"))
        band = self.numbers(table, -1, ("band",)).get("band", 0.0)
        entries = table.get("rule", [])
        if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
            self.wrong(-1, "rule", "'rule' is no list of tables: begin each rule with [[rule]]")
            return ()
        if not entries:
            self.wrong(-1, "rule", "there is no rule: add one that begins with [[rule]]")
        rules: list[Rule] = []
        for number, entry in enumerate(entries):
            rule = self.rule(entry, number, band)
            if rule is None:
                continue
            twice = next((other for other in rules if other.name == rule.name), None)
            if twice is None:
                rules.append(rule)
            else:
                text = f"the rule of line {twice.line} is called {rule.name!r} too: give one of them another name"
                self.wrong(number, "name" if "name" in entry else "action", text)
        return tuple(rules)

    def rule(self, entry: Mapping[str, Any], number: int, band: float) -> Rule | None:
        before = len(self.problems)
        self.refuse_unknown(entry, number, (*TEXTS, *NUMBERS))
        for key in TEXTS:
            if key not in entry and key != "name":
                self.wrong(number, "", f"the rule has no {key!r}: add one")
            elif key in entry and not (isinstance(entry[key], str) and entry[key].strip()):
                self.wrong(number, key, f"{key} = {entry[key]!r} is no text: write it in quotes")
        numbers = self.numbers(entry, number, tuple(NUMBERS))
        if not (isinstance(entry.get("when"), str) and entry["when"].strip()):
            return None
        try:
            condition = parse_condition(entry["when"], self.bind)
            self.check_band(condition, number, numbers.get("band", band))
        except ConditionError as error:
            self.wrong(number, "when", str(error))
        if len(self.problems) > before:
            return None
        return Rule(
            name=entry.get("name", entry["action"]).strip(),
            action=entry["action"].strip(),
            when=" ".join(entry["when"].split()),
            condition=condition,
            line=self.line(number, "when"),
            weight=numbers.get("weight", 1.0),
            priority=int(numbers.get("priority", 0)),
            cooldown=numbers.get("cooldown", 0.0),
            band=numbers.get("band", band),
        )

    def check_band(self, condition: Node, number: int, band: float) -> None:
        """A band that reaches beyond 0 or 1 leaves no score that is surely on that side: the rule would never fire."""
        for leaf in leaves(condition):
            room = WIDEST if leaf.limit is None else min(leaf.limit, 1 - leaf.limit)
            if band > room + ROUNDING:
                widest = math.floor(1000 * room) / 1000
                text = (
                    f"a band of {band:g} around {leaf.limit:.3g} ({leaf.text}) reaches beyond 0 or 1, so one side "
                    f"could never be sure: write a band of at most {widest:g}, or another limit"
                )
                self.wrong(number, "band" if (number, "band") in self.lines else "when", text)

    def numbers(self, table: Mapping[str, Any], number: int, keys: tuple[str, ...]) -> dict[str, float]:
        numbers = {}
        for key in keys:
            value = table.get(key, 0)
            allowed, wanted = NUMBERS[key]
            plain = isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < LARGEST
            if key not in table:
                continue
            if plain and allowed(value):
                numbers[key] = float(value)
            else:
                self.wrong(number, key, f"{key} = {value!r} is not allowed: write {wanted}")
        return numbers

    def bind(self, text: str, attribute: str, value: str | None, operator: str, limit: float | None) -> Leaf:
        """The question with its attribute's own words. Raises: ConditionError for a name that the bundle has not."""
        contract = self.contracts.get(attribute)
        if contract is None:
            raise ConditionError(f"the bundle has no attribute {attribute!r}: {_near(attribute, self.contracts)}")
        values = contract["values"]
        if value is None and len(values) > 2:
            example = f"{attribute} is {values[0]}" if operator == "is" else f"{attribute}[{values[0]}] {operator} 0.8"
            raise ConditionError(
                f"{attribute} has {len(values)} values ({', '.join(values)}): name one, as in {example!r}"
            )
        value = values[1] if value is None else value
        if value not in values:
            raise ConditionError(f"{attribute} has no value {value!r}: {_near(value, values)}")
        if operator == "is" and len(values) == 2:
            threshold = 0.5 if contract["threshold"] is None else contract["threshold"]
            table = calibrated(contract.get("calibration"), [[1 - threshold, threshold]])
            limit = float(threshold if table is None else table[0, 1])
            limit = limit if value == values[1] else 1 - limit
        return Leaf(text, attribute, value, operator, limit)

    def refuse_unknown(self, table: Mapping[str, Any], number: int, known: tuple[str, ...]) -> None:
        for key in table:
            if key not in known:
                self.wrong(number, key, f"there is no setting {key!r}: {_near(key, known)}")

    def wrong(self, number: int, key: str, text: str) -> None:
        self.problems.append((self.line(number, key), text))

    def line(self, number: int, key: str) -> int:
        """The line of a key of a rule (-1: of the file), of the rule's first line where it has none."""
        return self.lines.get((number, key)) or self.lines.get((number, ""), 1)


def _near(name: str, known: Iterable[str]) -> str:
    names = list(known)
    close = difflib.get_close_matches(name, names, n=1)
    return f"did you mean {close[0]!r}?" if close else f"write one of {', '.join(names[:10])}"


def lines_of(text: str, array: str) -> dict[tuple[int, str], int]:
    """(number of the table in the array of tables `array`, -1 before the first; its key, "" for its header) -> line.

    The standard library's reader does not tell. Lines count from 1. Text of several lines is passed over; keys in
    one-line tables (`{...}`) are not found.

    >>> lines_of('band = 0.1\\n[[rule]]\\nwhen = "hat"', "rule")
    {(-1, 'band'): 1, (0, ''): 2, (0, 'when'): 3}
    """
    header = re.compile(rf"""\s*\[\[\s*["']?{re.escape(array)}["']?\s*\]\]""")
    lines: dict[tuple[int, str], int] = {}
    table, closing = -1, ""
    for number, line in enumerate(text.split("\n"), 1):
        if closing:
            closing = "" if closing in line else closing
        elif header.match(line):
            table += 1
            lines[table, ""] = number
        elif key := KEY.match(line):
            lines.setdefault((table, key[1]), number)
            quotes = (key[2] or "")[:3]
            if quotes in LONG_QUOTES and quotes not in key[2][3:]:
                closing = quotes
    return lines
