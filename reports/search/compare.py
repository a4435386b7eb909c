"""Page that compares two searches of one attribute: architecture, score, cost, settings and data."""

from pathlib import Path

from matplotlib.figure import Figure

from reports.drawing.branch import architecture_figure
from reports.drawing.cells import cell_pictures
from reports.drawing.graph import architecture_of, branch_graph, describe
from reports.drawing.surroundings import surroundings
from reports.layout.figures import light, panel, styled
from reports.layout.formats import (
    METRIC_NAMES,
    NOTHING,
    change,
    count,
    duration,
    interval,
    milliseconds,
    score,
    short_count,
    signed,
    span,
)
from reports.layout.pages import Page, Picture, Section, Table, Verdict, picture, sections_of, write_page
from reports.search.two_searches import (
    Change,
    Pair,
    decisions,
    difference,
    interval_on_test,
    metric_name,
    pair_of,
    same_test,
    score_on_test,
    settings,
    surroundings_of,
)
from reports.summaries.comparison import winner_of
from reports.summaries.search import Records, attribute_of, counts_of, read_records
from reports.summaries.values import numbers_of
from search_spaces import SpaceError

STYLE = """
#architecture .pictures { grid-template-columns: minmax(0, 1fr) minmax(0, 1fr); }
#settings td { text-align: left; overflow-wrap: anywhere; }
#settings thead th { text-align: left; }
#settings td { font-family: var(--mono); font-size: .8125rem; }
.pictures.scores { grid-template-columns: minmax(0, 1fr) minmax(0, 1.15fr); }
@media (max-width: 860px) { .pictures.scores { grid-template-columns: minmax(0, 1fr); } }
@media (max-width: 560px) { #architecture .pictures { grid-template-columns: minmax(0, 1fr); } }
"""
HEADLINES = {
    "better": "The later one scores higher",
    "worse": "The later one scores lower",
    "not told apart": "The test split does not tell them apart",
    "unfinished": "Not both are finished",
}


def write_comparison(before: Path, after: Path, destination: Path) -> Path:
    """Write the page that compares two searches, from their records alone, and return its path.

    Raises ReportError when one of the folders is not there or the page cannot be written.
    """
    pair = pair_of(*(read_records(folder, whole=False) for folder in (before, after)))
    return write_page(render_comparison(pair), destination)


def render_comparison(pair: Pair) -> str:
    """The page as text; the same records give the same page."""
    gained, attribute = difference(pair), attribute_of(pair.after)
    standing = gained.judgement if gained else "unfinished"
    both = zip(pair.names, pair.both, strict=True)
    return Page(
        title=f"{attribute}: {' and '.join(pair.names)} compared",
        kind="Two searches compared",
        heading=attribute,
        about=(f"{pair.names[0]}, then {pair.names[1]}",),
        skip=("scores", "the scores"),
        verdict=Verdict(standing, HEADLINES[standing], sentence(pair)),
        sections=sections_of(SECTIONS, pair),
        problems=[f"{name}: {problem}" for name, records in both for problem in records.problems],
        style=STYLE,
    ).html()


def sentence(pair: Pair) -> str:
    """What changed in score and in size, in one sentence."""
    gained, (before, after) = difference(pair), (winner_of(search) for search in pair.both)
    parts = []
    if gained:
        ends = interval(gained.low, gained.high)
        parts.append(f"test {metric_name(pair)} {signed(gained.value)}{f' ({ends})' if ends else ''}")
    if before and after and before.parameters and after.parameters is not None:
        parts.append(f"parameters {change(1 - after.parameters / before.parameters)}")
    if before and after and before.latency_ms and after.latency_ms is not None:
        parts.append(f"latency {change(1 - after.latency_ms / before.latency_ms)}")
    return (
        f"From {pair.names[0]} to {pair.names[1]}: {', '.join(parts)}." if parts else "There is nothing to compare yet."
    )


def score_section(pair: Pair) -> Section:
    """Both scores with their intervals, and what both cost."""
    scores = [score_on_test(search, pair.metric) for search in pair.both]
    pictures: tuple[Picture, ...] = ()
    missing = tuple(
        f"{name} has no test score" for name, known in zip(pair.names, scores, strict=True) if known is None
    )
    if any(known is not None for known in scores):
        spoken = ", ".join(f"{name} {score(known)}" for name, known in zip(pair.names, scores, strict=True))
        caption = "The bar is the 95 % interval over test images."
        drawn = picture("scores", f"Test {metric_name(pair)}", pair_figure(pair), caption, f"{spoken}.")
        pictures = (drawn,)
    table = _figures_table(pair)
    return Section("scores", "Score and cost", _about_test(pair), pictures, (table,), (), missing, placement="beside")


@styled
def pair_figure(pair: Pair) -> Figure:
    """One mark per search, the later one above."""
    figure, axes = panel("", f"test {metric_name(pair)}", width=5.2, height=1.5)
    for index, (records, role, marker) in enumerate(zip(pair.both, ("tail", "winner"), "so", strict=True)):
        if (known := score_on_test(records, pair.metric)) is None:
            continue
        if ends := interval_on_test(records, pair.metric):
            axes.plot(ends, [index, index], color=light(role), linewidth=3, alpha=0.35)
        axes.plot([known], [index], marker, color=light(role), markersize=6.5)
    axes.set_yticks((0, 1), pair.names)
    axes.tick_params(axis="y", length=0, labelcolor=light("ink"))
    axes.set_ylim(-0.6, 1.6)
    axes.grid(visible=False, axis="y")
    return figure


def architecture_pair_section(pair: Pair) -> Section:
    """Both winners drawn, and the decisions in which they differ before those in which they do not."""
    drawn, cells, missing = [], [], []
    for key, name, records in zip(("before", "after"), pair.names, pair.both, strict=True):
        try:
            architecture = architecture_of(records.architecture)
            graph = branch_graph(architecture, around := surroundings(records))
        except SpaceError as error:
            missing.append(f"{name} has no architecture that can be drawn ({error})")
            continue
        drawn.append(picture(key, name, architecture_figure(graph, around), "", describe(graph)))
        inside = cell_pictures(architecture, f"{key}-")
        cells += [cell._replace(title=f"{name}, {cell.title[0].lower()}{cell.title[1:]}") for cell in inside]
    taken = decisions(pair)
    changed = [decision for decision in taken if not decision.same]
    tables = []
    if changed:
        tables.append(_changes_table(f"{len(changed)} of {len(taken)} decisions differ.", "decision", changed, pair))
    same = [decision for decision in taken if decision.same]
    lead = "" if changed or not same else "Both searches chose the same architecture."
    if same and changed:
        lead = f"The same in both: {', '.join(f'{decision.name} {decision.after}' for decision in same)}."
    return Section("architecture", "Architecture", lead, (*drawn, *cells), tuple(tables), missing=tuple(missing))


def asked_section(pair: Pair) -> Section:
    """What was asked differently, and where the two were run."""
    tables = [
        _changes_table(caption, head, list(changed), pair)
        for caption, head, changed in (
            ("Settings that differ.", "setting", settings(pair)),
            ("Where and when.", "", surroundings_of(pair)),
        )
        if changed
    ]
    lead = "" if settings(pair) else "The settings are the same."
    return Section("settings", "What was asked", lead, (), tuple(tables))


def images_section(pair: Pair) -> Section:
    """How many images of each value there were."""
    counts = [counts_of(search.result) for search in pair.both]
    rows = []
    for split in dict.fromkeys((*counts[0], *counts[1])):
        for value in dict.fromkeys((*counts[0].get(split, {}), *counts[1].get(split, {}))):
            numbers = [by_split.get(split, {}).get(value, 0) for by_split in counts]
            more = numbers[1] - numbers[0]
            rows.append((f"{split}, {value}", *map(count, numbers), f"{more:+,}".replace("-", "−") if more else ""))
    if not rows:
        return Section("data", "Images", missing=("the number of images is not recorded",))
    same = same_test(pair)
    lead = "" if same is None else "Both had the same images." if same else "The images are not the same."
    return Section("data", "Images", lead, tables=(Table("Images.", ("", *pair.names, "change"), tuple(rows)),))


def _about_test(pair: Pair) -> str:
    gained = difference(pair)
    if gained is None or gained.low is None:
        return ""
    words = f"From one to the other {signed(gained.value)} (95 % interval {interval(gained.low, gained.high)})."
    same = same_test(pair)
    if same:
        return (
            f"{words} Both were measured on the same test images; the interval, made as if they were others, is wide."
        )
    return f"{words} The data is not the same, so part of the change may be that." if same is False else words


def _figures_table(pair: Pair) -> Table:
    metric = metric_name(pair)
    winners = [winner_of(search) for search in pair.both]
    tests = [score_on_test(search, pair.metric) for search in pair.both]
    vals = [numbers_of(search.result.get("val")).get(pair.metric) for search in pair.both]
    rows = [
        (f"test {metric}", *(_with_interval(search, pair.metric) for search in pair.both), signed(_minus(*tests))),
        (f"val {metric}", *map(score, vals), signed(_minus(*vals))),
    ]
    for key in ("accuracy", "precision", "recall", "fpr", "threshold"):
        if key != pair.metric:
            measured = [winner.test.get(key) if winner else None for winner in winners]
            rows.append((f"test {METRIC_NAMES[key]}", *map(score, measured), signed(_minus(*measured))))
    for name, field, written in (
        ("parameters", "parameters", count),
        ("MACs", "macs", short_count),
        ("latency", "latency_ms", milliseconds),
    ):
        costs = [getattr(winner, field) if winner else None for winner in winners]
        grown = -1 + costs[1] / costs[0] if costs[0] and costs[1] is not None else None
        rows.append((name, *map(written, costs), change(None if grown is None else -grown)))
    reductions = [winner.reduction if winner else None for winner in winners]
    rows.append(("against tail", *map(change, reductions), ""))
    seconds = [numbers_of(search.result.get("seconds")).get("total") for search in pair.both]
    rows.append(("time of the whole job", *map(duration, seconds), ""))
    known = tuple(row for row in rows if set(row[1:3]) != {NOTHING})
    caption = "Scores at the threshold that val chose; costs of the branch alone."
    return Table(caption, ("", *pair.names, "change"), known)


def _with_interval(records: Records, metric: str) -> str:
    ends = interval_on_test(records, metric)
    return score(score_on_test(records, metric)) + (f"\n{span(*ends)}" if ends else "")


def _minus(before: float | None, after: float | None) -> float | None:
    return None if before is None or after is None else after - before


def _changes_table(caption: str, head: str, changed: list[Change], pair: Pair) -> Table:
    return Table(caption, (head, *pair.names), tuple((trial.name, trial.before, trial.after) for trial in changed))


SECTIONS = (score_section, architecture_pair_section, asked_section, images_section)
