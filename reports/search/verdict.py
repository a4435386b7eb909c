"""Verdict of a search: its standing against random search, one sentence, and the key figures."""

from reports.layout.formats import METRIC_NAMES, change, count, duration, interval, score, short_count, signed, span
from reports.layout.pages import Tile, Verdict
from reports.summaries.comparison import Method, few_test_images, gain_over_random, winner_name, winner_of
from reports.summaries.search import Records, by_hand, reward_metric
from reports.summaries.values import number, numbers_of, table, text

_HEADLINES = {
    "better": "Better than random search",
    "worse": "Worse than random search",
    "not told apart": "Not told apart from random search",
    "too few": "Too few test images to tell",
    "uncompared": "Finished, without a comparison",
    "by hand": "Chosen by hand, not searched",
    "ship": "Ship the {name}",
    "ship and label more": "Ship the {name}, and label more",
    "label more": "Label more before you ship the {name}",
    "unfinished": "Not finished yet",
}


def verdict(records: Records) -> Verdict:
    """The standing is the record's advice, of earlier searches the gain over random ones; the sentence is its own."""
    result = records.result
    over_random = gain_over_random(records)
    finished = text(result.get("status")) == "complete"
    alone = "by hand" if by_hand(records) else "uncompared"
    if over_random and few_test_images(records):
        alone, over_random = "too few", None
    action = (text(table(result.get("advice")).get("action")) or "").replace(",", "")
    if not finished:
        standing = "unfinished"
    elif action in _HEADLINES and not few_test_images(records) and not by_hand(records):
        standing = action
    else:
        standing = over_random.judgement if over_random else alone
    sentence = text(result.get("verdict")) or _progress(records)
    return Verdict(standing, _HEADLINES[standing].format(name=winner_name(records)), sentence, _tiles(records))


def _progress(records: Records) -> str:
    done = [
        f"{count(len(records.of(kind)))} {name if len(records.of(kind)) == 1 else plural}"
        for kind, name, plural in (
            ("child_epoch", "child epoch", "child epochs"),
            ("controller_update", "controller update", "controller updates"),
            ("candidate", "candidate", "candidates"),
            ("retraining", "retraining", "retrainings"),
            ("control", "control", "controls"),
        )
        if records.of(kind)
    ]
    if not done:
        return "This folder holds no result and no history yet."
    return f"There is no verdict yet. So far: {', '.join(done)}."


def _tiles(records: Records) -> tuple[Tile, ...]:
    result = records.result
    winner = winner_of(records)
    tiles = []
    if winner and (tile := _score_tile(winner, reward_metric(records))):
        tiles.append(tile)
    over_random = gain_over_random(records)
    if over_random and not few_test_images(records):
        ends = interval(over_random.low, over_random.high)
        tiles.append(Tile("gain over random", signed(over_random.difference), f"95 % interval {ends}" if ends else ""))
    if winner and winner.parameters is not None:
        note = f"{change(winner.reduction)} against the tail" if winner.reduction is not None else ""
        tiles.append(Tile("parameters", short_count(winner.parameters), note))
    if winner and winner.macs is not None:
        tail = number(result.get("tail_macs"))
        note = f"{change(1 - winner.macs / tail)} against the tail" if tail else "multiply-adds"
        tiles.append(Tile("MACs per image", short_count(winner.macs), note))
    seconds = numbers_of(result.get("seconds"))
    if "total" in seconds:
        note = f"of it the search {duration(seconds['search'])}" if "search" in seconds else ""
        tiles.append(Tile("time", duration(seconds["total"]), note))
    return tuple(tiles)


def _score_tile(winner: Method, metric: str) -> Tile | None:
    split = "test" if winner.test_score is not None else "val"
    seeds, value = winner.test_seeds if split == "test" else winner.val_seeds, winner.score(split)
    if value is None:
        return None
    note = "no test split measured" if split == "val" else ""
    if len(seeds) > 1:
        note = f"mean of {len(seeds)} trainings, {span(min(seeds), max(seeds))}"
    return Tile(f"{METRIC_NAMES[metric]}, {split}", score(value), note)
