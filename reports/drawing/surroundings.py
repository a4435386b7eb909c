"""Surroundings of a branch in a drawing, from the records: trunk, tail, values, sizes."""

from typing import NamedTuple

from reports.layout.formats import SPACE, score, share, short_count, shortened
from reports.summaries.comparison import winner_of
from reports.summaries.search import Records, values_of
from reports.summaries.values import items, number, numbers_of, table, text, whole


class Surroundings(NamedTuple):
    """What the drawing says about the world around the branch; None where the records do not tell."""

    shape: tuple[int, int, int] | None
    freeze_depth: int | None
    backbone: str | None
    values: tuple[str, ...]
    threshold: float | None
    parameters: float | None
    macs: float | None
    tail_parameters: float | None
    tail_macs: float | None
    parts: tuple[tuple[str, float], ...] = ()  # parameters by part: "stem", "node1" or "cell1" ..., "head"
    context: int = 0  # channels of `shape`, the last, that are averages of earlier depths


def surroundings(records: Records) -> Surroundings:
    """Shapes, sizes and names from result.json, or from config.json while there is none."""
    result, config = records.result, records.config
    shape = tuple(
        side for side in map(whole, items(result.get("feature_shape") or config.get("feature_shape"))) if side
    )
    depth = whole(result.get("freeze_depth"))
    winner = winner_of(records)
    trunk = table(result.get("trunk")) or table(config.get("trunk"))
    return Surroundings(
        (shape[0], shape[1], shape[2]) if len(shape) == 3 else None,
        depth if depth is not None else whole(config.get("freeze_depth")),
        text(trunk.get("backbone")) or text(trunk.get("name")),
        values_of(records),
        number(table(result.get("val")).get("threshold")),
        winner.parameters if winner else None,
        winner.macs if winner else None,
        number(result.get("tail_parameters")),
        number(result.get("tail_macs")),
        tuple(numbers_of(result.get("parts")).items()),
        whole(result.get("context")) or whole(config.get("context")) or 0,
    )


def tail_lines(around: Surroundings) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """What stands beside the tail: its size, and the branch's with its share of the tail's parameters."""
    own = [f"{short_count(around.tail_parameters)} parameters"]
    branch = []
    if around.tail_macs is not None:
        own.append(f"{short_count(around.tail_macs)} MACs")
    if around.parameters is not None:
        branch += ["this branch:", f"{short_count(around.parameters)} parameters"]
        if around.macs is not None:
            branch.append(f"{short_count(around.macs)} MACs")
        if around.tail_parameters:
            branch.append(f"= {share(around.parameters / around.tail_parameters)} of the tail")
    return tuple(own), tuple(branch)


def trunk_title(around: Surroundings) -> str:
    """Which blocks the trunk has."""
    if around.freeze_depth is None:
        return "trunk, frozen"
    last = around.freeze_depth - 1
    return "trunk block 0, frozen" if last <= 0 else f"trunk blocks 0–{last}, frozen"


def shape_of(around: Surroundings) -> str:
    """The shape of the trunk's features; what is averages of earlier depths is counted beside the map."""
    if not around.shape:
        return "features"
    channels, *sides = around.shape
    behind = f" + {around.context} averages" if around.context else ""
    return "×".join(map(str, (channels - around.context, *sides))) + behind


def tail_title(around: Surroundings) -> str:
    """Where the tail begins."""
    return "tail it replaces" if around.freeze_depth is None else f"tail it replaces: from block {around.freeze_depth}"


def values_title(around: Surroundings) -> str:
    """The attribute's values, or how many there are."""
    if not around.values:
        return "scores"
    if len(around.values) > 4:
        return f"scores of {len(around.values)} values"
    return shortened(" · ".join(around.values), 30)


def threshold_of(around: Surroundings) -> str:
    """From which score on the second of two values is predicted."""
    if len(around.values) != 2 or around.threshold is None:
        return "softmax"
    return f"“{shortened(around.values[1], 12)}” from{SPACE}{score(around.threshold, 3)}"
