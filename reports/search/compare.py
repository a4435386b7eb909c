"""Two search folders of one attribute -> one page: what changed in architecture, score, cost, settings and data."""

from pathlib import Path

from reports.layout.formats import change, interval, signed
from reports.layout.palette import css_variables
from reports.search.page import templates, write_page
from reports.search.pair_sections import architecture_pair_section, asked_section, images_section, score_section
from reports.search.two_searches import Pair, difference, metric_name, pair_of, winner_of
from reports.search.verdict import attribute_of
from reports.summaries.search import read_records

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
    found = difference(pair)
    standing = found.judgement if found else "unfinished"
    sections = [build(pair) for build in (score_section, architecture_pair_section, asked_section, images_section)]
    return (
        templates()
        .get_template("compare.html.jinja")
        .render(
            attribute=attribute_of(pair.after),
            names=pair.names,
            standing=standing,
            headline=HEADLINES[standing],
            sentence=sentence(pair),
            problems=[
                f"{name}: {problem}"
                for name, one in zip(pair.names, pair.both, strict=True)
                for problem in one.problems
            ],
            sections=sections,
            light=css_variables("light"),
            dark=css_variables("dark"),
        )
    )


def sentence(pair: Pair) -> str:
    """What changed in score and in size, in one sentence."""
    found, (before, after) = difference(pair), (winner_of(one) for one in pair.both)
    parts = []
    if found:
        ends = interval(found.low, found.high)
        parts.append(f"test {metric_name(pair)} {signed(found.value)}{f' ({ends})' if ends else ''}")
    if before and after and before.parameters and after.parameters is not None:
        parts.append(f"parameters {change(1 - after.parameters / before.parameters)}")
    if before and after and before.latency_ms and after.latency_ms is not None:
        parts.append(f"latency {change(1 - after.latency_ms / before.latency_ms)}")
    return (
        f"From {pair.names[0]} to {pair.names[1]}: {', '.join(parts)}." if parts else "There is nothing to compare yet."
    )
