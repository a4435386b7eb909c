"""A search's records -> a model card in Markdown: what a branch answers, how well, from what data, at what cost.

After Model Cards for Model Reporting (Mitchell et al., 2019), arXiv:1810.03993: the sections that records can fill.
"""

from collections.abc import Sequence
from pathlib import Path

from reports.layout.formats import (
    METRIC_NAMES,
    MINUS,
    SPACE,
    change,
    count,
    interval,
    metrics_in,
    milliseconds,
    score,
    short_count,
    signed,
    span,
)
from reports.layout.pages import write_page
from reports.search.verdict import verdict
from reports.summaries.comparison import gains, score_interval, winner_name
from reports.summaries.search import (
    Records,
    attribute_of,
    by_hand,
    costs_of,
    counts_of,
    read_records,
    reward_metric,
    values_of,
)
from reports.summaries.values import items, number, numbers_of, table, text, whole

CARD = "card.md"


def write_card(search_folder: Path, destination: Path | None = None) -> Path:
    """Write the card of a search and return its path, `<search_folder>/card.md` unless another is given.

    Raises ReportError when there is no such folder or the card cannot be written.
    """
    return write_page(card_of(search_folder), destination or search_folder / CARD)


def card_of(search_folder: Path, kind: str | None = None) -> str:
    """The text of a search's card; of another kind than its result, where one was grafted by choice.

    Raises ReportError when there is no such folder.
    """
    records = read_records(search_folder, whole=False)
    return card(records if kind is None else taken(records, kind))


def taken(records: Records, kind: str) -> Records:
    """The records as if what is of this kind among the controls were the result, without what compares that."""
    result = records.result
    own = table(table(result.get("controls")).get("linear_probe" if kind == "probe" else kind))
    tail, parameters = number(result.get("tail_parameters")), number(own.get("parameters"))
    test = numbers_of(own.get("test")).get(reward_metric(records))
    told = f", with test {METRIC_NAMES[reward_metric(records)]} {score(test)}" if test is not None else ""
    other = records._replace(result={**result, "kind": kind})
    changed: dict[str, object] = {
        **{key: own.get(key) for key in ("parameters", "macs", "latency_ms", "val", "test")},
        "architecture": table(own.get("architecture")),
        "identity": kind,
        "kind": kind,
        "parameter_reduction": 1 - parameters / tail if parameters is not None and tail else None,
        "gain": {},
        "repeats": {},
        "verdict": f"The {winner_name(other)} was grafted by choice{told}; val chose the {winner_name(records)}.",
    }
    return records._replace(result={**result, **changed}, architecture=table(own.get("architecture")))


def card(records: Records) -> str:
    """The card as Markdown; what the records do not tell is left out, and an unfinished search says so."""
    name, values = attribute_of(records), values_of(records)
    question = f"Answers one question about an image: **{_plain(name)}**"
    question += f", as one of {' / '.join(map(_plain, values))}." if values else "."
    parts = [f"# {_plain(name)}", question, verdict(records).sentence]
    for title, body in (
        ("What it is", _what(records)),
        ("Figures", _figures(records)),
        ("Data", _data(records)),
        ("Cost", _cost(records)),
        ("Limits", _limits(records)),
        ("Where it comes from", _origin(records)),
    ):
        if body:
            parts.append(f"## {title}\n\n{body}")
    return "\n\n".join(part for part in parts if part) + "\n"


def _what(records: Records) -> str:
    trunk = table(records.result.get("trunk"))
    depth, backbone = whole(records.result.get("freeze_depth")), text(trunk.get("backbone"))
    size, threshold = _sides(trunk.get("size")), number(table(records.result.get("val")).get("threshold"))
    values = values_of(records)
    lines = [
        f"- The {winner_name(records)}, architecture `{text(records.result.get('identity')) or 'not chosen yet'}`."
    ]
    if backbone and depth:
        at = f", images of {size} pixels" if size else ""
        lines.append(f"- It reads the first {depth} blocks of a frozen {backbone}{at}.")
    if threshold is not None and len(values) == 2:
        lines.append(f"- “{_plain(values[1])}” is said from a score of {score(threshold)}; val chose this threshold.")
    return "\n".join(lines)


def _sides(value: object) -> str:
    """The size of a trunk's images for people: "96", "224 x 112", or nothing."""
    known = [whole(side) for side in (items(value) or [value])]
    return "" if None in known else " x ".join(map(str, known))


def _figures(records: Records) -> str:
    val, test = numbers_of(records.result.get("val")), numbers_of(records.result.get("test"))
    names = metrics_in(val, test)
    if not names:
        return ""
    counts = counts_of(records.result).get("test", {})
    rows = []
    for key in names:
        ends = score_interval(key, test[key], counts) if key in test else None
        written = span(*ends, 4) if ends else ""
        rows.append((METRIC_NAMES[key], score(val.get(key)), score(test.get(key)), written))
    lines = [_table(("metric", "val", "test", "95 % interval over test images"), rows)]
    gained = gains(records)
    if gained:
        lines.append(
            f"Test {METRIC_NAMES[reward_metric(records)]} against controls trained alike: "
            + "; ".join(
                f"{signed(gain.difference)} over {gain.name}"
                + (f" ({interval(gain.low, gain.high)})" if gain.low is not None else "")
                for gain in gained
            )
            + "."
        )
    return "\n\n".join(lines)


def _data(records: Records) -> str:
    counts = counts_of(records.result)
    splits = [split for split in ("train", "val", "test") if split in counts]
    values = list(dict.fromkeys(value for split in splits for value in counts[split]))
    if not values:
        return ""
    rows = [(value, *(count(counts[split].get(value, 0)) for split in splits)) for value in values]
    return _table(("images", *splits), rows)


def _cost(records: Records) -> str:
    branch = costs_of(records.result)
    tail = costs_of(records.result, "tail_")
    if branch.parameters is None:
        return ""
    rows = [
        (name, count(ours.parameters), short_count(ours.macs), milliseconds(ours.latency_ms))
        for name, ours in (("branch", branch), ("tail that it replaces", tail))
        if ours.parameters is not None
    ]
    lines = [_table(("", "parameters", "MACs per image", "latency"), rows)]
    reduction = number(records.result.get("parameter_reduction"))
    if reduction is not None:
        lines.append(f"{change(reduction)} of parameters against the tail; the trunk is shared and not counted.")
    return "\n\n".join(lines)


def _limits(records: Records) -> str:
    """What the figures do not say, as far as the records themselves show it."""
    lines = ["- It answers this question alone, on images like those it was trained on; it was measured on no others."]
    counts = counts_of(records.result)
    test = counts.get("test", {})
    if not numbers_of(records.result.get("test")):
        lines.append("- It was not measured on a test split; val figures chose it and are too good.")
    elif test and min(test.values()) < FEW:
        rare = min(test, key=lambda value: test[value])
        lines.append(f"- Only {count(test[rare])} test images are “{_plain(rare)}”: figures about them are rough.")
    if test and len(test) == 2 and (total := sum(test.values())):
        share_of = max(test.values()) / total
        common = max(test, key=lambda value: test[value])
        lines.append(
            f"- Saying “{_plain(common)}” always would be right for {share_of:.0%} of the test images: read accuracy "
            "beside that."
        )
    unsure = [gain.name for gain in gains(records) if gain.judgement == "not told apart"]
    if unsure and not by_hand(records):
        lines.append(f"- Test does not tell it apart from: {', '.join(unsure)}.")
    return "\n".join(lines)


FEW = 100  # test images of a value


def _origin(records: Records) -> str:
    result = records.result
    seed = number(result.get("seed"))
    facts = (
        ("command", text(result.get("command"))),
        ("created", text(result.get("created"))),
        ("machine", text(result.get("machine"))),
        ("seed", f"{seed:.0f}" if seed is not None else None),
        ("trunk fingerprint", text(result.get("fingerprint"))),
        ("data digest", text(table(result.get("data")).get("digest"))),
        ("versions", ", ".join(f"{name} {value}" for name, value in table(result.get("versions")).items()) or None),
    )
    return "\n".join(f"- {name}: `{value}`" for name, value in facts if value)


def _table(head: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    """A Markdown table; the first column is words, the others numbers."""
    lines = [head, (":--", *("--:" for _ in head[1:])), *rows]
    return "\n".join(f"| {' | '.join(map(_plain, line))} |" for line in lines)


def _plain(words: str) -> str:
    """Characters that mean something in Markdown, or do not type, replaced or escaped."""
    for special in "\\`*_[]<>|":
        words = words.replace(special, f"\\{special}")
    return words.replace(MINUS, "-").replace(SPACE, " ").replace("\n", " ")
