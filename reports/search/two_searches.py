"""Differences between two searches of one attribute: score, cost, architecture, settings, data. No drawing."""

import json
from collections.abc import Mapping
from typing import NamedTuple

from reports.layout.formats import METRIC_NAMES, judgement
from reports.summaries.comparison import Interval, few_test_images, score_interval, winner_of
from reports.summaries.search import Records, attribute_of, counts_of, reward_metric
from reports.summaries.values import table, text

ABSENT = "–"


class Pair(NamedTuple):
    """The records of two searches, what each is called, and the metric both are compared by."""

    before: Records
    after: Records
    names: tuple[str, str]
    metric: str

    @property
    def both(self) -> tuple[Records, Records]:
        return self.before, self.after


class Change(NamedTuple):
    """One thing that both searches have, written; `same`: it did not change."""

    name: str
    before: str
    after: str

    @property
    def same(self) -> bool:
        return self.before == self.after


class Difference(NamedTuple):
    """The later test score minus the earlier one, with its 95 % interval where both have one."""

    value: float
    low: float | None
    high: float | None

    @property
    def judgement(self) -> str:
        """ "better", "worse" or "not told apart", of the later one."""
        return judgement(self.low, self.high)


def pair_of(before: Records, after: Records) -> Pair:
    """The pair, named by the folders; by AUROC where the two searches maximised different metrics."""
    metrics = {reward_metric(search) for search in (before, after)}
    metric = metrics.pop() if len(metrics) == 1 else "auroc"
    names = tuple(search.folder.resolve().name for search in (before, after))
    attributes = tuple(attribute_of(search) for search in (before, after))
    if attributes[0] != attributes[1]:
        names = tuple(f"{attribute} {name}" for attribute, name in zip(attributes, names, strict=True))
    return Pair(before, after, (names[0], names[1]), metric)


def score_on_test(records: Records, metric: str) -> float | None:
    """The mean test score over trainings, or that of the training shown where the metric is not the search's own."""
    winner = winner_of(records)
    if winner is None:
        return None
    return winner.test_score if reward_metric(records) == metric else winner.test.get(metric)


def interval_on_test(records: Records, metric: str) -> Interval | None:
    """The 95 % interval of `score_on_test` over test images."""
    score = score_on_test(records, metric)
    return None if score is None else score_interval(metric, score, counts_of(records.result).get("test", {}))


def difference(pair: Pair) -> Difference | None:
    """The gain from one search to the next, None while one has no test score.

    The interval joins those of the two scores (Newcombe, 1998, Statistics in Medicine 17, method 10), as if they were
    measured on different images; on the same images, whose luck both share, it is wider than need be.
    """
    scores = [score_on_test(search, pair.metric) for search in pair.both]
    if scores[0] is None or scores[1] is None:
        return None
    value = scores[1] - scores[0]
    ends = [interval_on_test(search, pair.metric) for search in pair.both]
    if ends[0] is None or ends[1] is None or any(few_test_images(search) for search in pair.both):
        return Difference(value, None, None)
    (before_low, before_high), (after_low, after_high) = ends[0], ends[1]
    down = ((scores[1] - after_low) ** 2 + (before_high - scores[0]) ** 2) ** 0.5
    up = ((after_high - scores[1]) ** 2 + (scores[0] - before_low) ** 2) ** 0.5
    return Difference(value, value - down, value + up)


def same_test(pair: Pair) -> bool | None:
    """Whether both were measured on the same data; None where the records do not tell."""
    digests = [text(table(search.result.get("data")).get("digest")) for search in pair.both]
    return digests[0] == digests[1] if all(digests) else None


def decisions(pair: Pair) -> tuple[Change, ...]:
    """Every decision of the two architectures; one that only one of the spaces has is absent from the other."""
    choices = [table(search.architecture.get("choices")) for search in pair.both]
    spaces = [{"space": text(search.architecture.get("space")) or ABSENT} for search in pair.both]
    return changes(*({**space, **chosen} for space, chosen in zip(spaces, choices, strict=True)))


def settings(pair: Pair) -> tuple[Change, ...]:
    """What was asked of each search: its settings, seed, depth and trunk. Only what is not the same."""
    asked: list[dict[str, object]] = []
    for search in pair.both:
        kept = {key: value for key, value in search.config.items() if key not in (*LEFT_OUT, *PLACED, "settings")}
        asked.append({**kept, **table(search.config.get("settings"))})
    return tuple(decision for decision in changes(*asked) if not decision.same)


def surroundings_of(pair: Pair) -> tuple[Change, ...]:
    """Where and when: trunk, machine, versions, command. Only what is not the same."""
    asked = [{key: search.config.get(key, search.result.get(key)) for key in PLACED} for search in pair.both]
    return tuple(decision for decision in changes(*asked) if not decision.same)


LEFT_OUT: tuple[str, ...] = ("data", "order", "decisions", "space_settings", "feature_shape", "space", "attribute")
LEFT_OUT += ("strategy", "stages", "budgeted")
PLACED = ("created", "fingerprint", "trunk", "device", "machine", "versions", "command")


def changes(before: Mapping[str, object], after: Mapping[str, object]) -> tuple[Change, ...]:
    """Nested values by dotted name, in the order of the first and then the second."""
    flat = [_flat(search) for search in (before, after)]
    names = dict.fromkeys((*flat[0], *flat[1]))
    return tuple(Change(name, flat[0].get(name, ABSENT), flat[1].get(name, ABSENT)) for name in names)


def _flat(value: Mapping[str, object], prefix: str = "") -> dict[str, str]:
    leaves: dict[str, str] = {}
    for key, entry in value.items():
        name = f"{prefix}{key}"
        if isinstance(entry, Mapping):
            leaves.update(_flat(table(entry), f"{name}."))
        else:
            leaves[name] = _written(entry)
    return leaves


def _written(value: object) -> str:
    if value is None:
        return "off"
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)


def metric_name(pair: Pair) -> str:
    """What the two are compared by, in words."""
    return METRIC_NAMES[pair.metric]
