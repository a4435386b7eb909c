"""Simulate rules on labelled images: how often each fires, whether it should have, and the false pushes to expect.

A rule should have fired where the labels make its condition true: `holding_baby >= 0.8 and not night` where a baby is
held and it is not night. Only images that are labelled for all attributes of a rule judge it: where a label is missing,
the others often tell when it was wrong and never when it was right. All images count for how often it fires.
Intervals are of 95 %, after Wilson, Probable Inference, the Law of Succession, and Statistical Inference (1927).
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from math import sqrt
from typing import Any

from deployment.rules.conditions import Found, Truth, by_label, leaves, truth
from deployment.rules.file import Rule
from deployment.rules.rules import Rules

NORMAL = 1.959964  # of 95 %


@dataclass
class _Tally:
    """(what the scores say, what the labels say) of one rule -> images; and how often its action was taken."""

    rule: Rule
    images: Counter[tuple[Truth, Truth]] = field(default_factory=Counter)
    pushes: int = 0

    def to_json(self) -> dict[str, Any]:
        images = self.images
        fires, unsure = (sum(count for (holds, _), count in images.items() if holds is kind) for kind in (True, None))
        meant = sum(count for (_, label), count in images.items() if label is True)
        other = sum(count for (_, label), count in images.items() if label is False)
        return {
            "rule": self.rule.name,
            "line": self.rule.line,
            "when": self.rule.when,
            "action": self.rule.action,
            "fires": fires,
            "abstains": unsure,
            "pushes": self.pushes,
            "precision": share(images[True, True], images[True, True] + images[True, False]),
            "recall": share(images[True, True], meant),
            "false_alarms": share(images[True, False], other),
        }


def labelled_truth(rule: Rule, labels: Mapping[str, str]) -> Truth:
    """Whether the labels {attribute: value} make a rule's condition true; None unless all its attributes have one."""
    if any(leaf.attribute not in labels for leaf in leaves(rule.condition)):
        return None
    return truth(rule.condition, partial(by_label, labels=labels))


def share(part: int, whole: int) -> dict[str, float | int] | None:
    """{"value", "low", "high", "part", "whole"} of part / whole with its interval; None of nothing."""
    if not whole:
        return None
    value, spread = part / whole, NORMAL**2 / whole
    centre = (value + spread / 2) / (1 + spread)
    half = NORMAL * sqrt(value * (1 - value) / whole + spread / (4 * whole)) / (1 + spread)
    low, high = max(0.0, centre - half), min(1.0, centre + half)
    return {"value": value, "low": low, "high": high, "part": part, "whole": whole}


def simulate(
    rules: Sequence[Rule],
    images: Iterable[tuple[Mapping[str, Found], Mapping[str, str]]],
    *,
    every: float | None = None,
) -> dict[str, Any]:
    """Let the rules decide image by image.

    Args:
        images: what was predicted (`attributes` of a row of `Runtime.predict`), and {attribute: value} as labelled;
            an attribute whose label is not known is left out.
        every: seconds between one image and the next, for which cool-downs count; None: every image stands alone.

    Returns:
        `images`; `pushes` (an action was taken); `no_action`; `abstained` (no action, and some rule was unsure);
        `actions`: {action: pushes}; `false_pushes`: a `share` of the images of which the labels tell, whose `value`
        times 1,000 is what to expect per 1,000 images like these; and `rules`, one record each: `fires`, `abstains`
        (unknown by its scores), `pushes` (fired and won), the shares `precision` (of the images that it fired on),
        `recall` (of those that it should fire on) and `false_alarms` (of those that it should not), whether it won or
        not.
    """
    engine = Rules(rules)
    tallies = {rule.name: _Tally(rule) for rule in rules}
    actions: Counter[str] = Counter()
    total = abstained = false = judged = 0
    for attributes, labels in images:
        unsure = False
        told: dict[str, Truth] = {}
        for judgement in engine.judge(attributes):
            rule = judgement.rule
            told[rule.name] = labelled_truth(rule, labels)
            tallies[rule.name].images[judgement.holds, told[rule.name]] += 1
            unsure |= judgement.holds is None
        action = (engine if every is not None else Rules(rules)).decide(attributes, total * (every or 0.0))
        total += 1
        if action is None:
            abstained += unsure
            judged += 1
            continue
        actions[action.action] += 1
        tallies[action.rule].pushes += 1
        judged += told[action.rule] is not None
        false += told[action.rule] is False
    return {
        "images": total,
        "every": every,
        "pushes": actions.total(),
        "no_action": total - actions.total(),
        "abstained": abstained,
        "actions": dict(actions),
        "false_pushes": share(false, judged),
        "rules": [tally.to_json() for tally in tallies.values()],
    }
