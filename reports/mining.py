"""Page of a mining of hard negatives: the clusters by distance, and pictures of each."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from reports.layout.figures import legend, light, panel, styled
from reports.layout.formats import NOTHING, count, score, share
from reports.layout.pages import (
    Gallery,
    Listing,
    Page,
    Photo,
    Picture,
    Section,
    Table,
    Verdict,
    picture,
    sections_of,
    write_page,
)
from reports.summaries.values import items, number, numbers_of, table, text

STYLE = """
#examples .gallery { margin-top: 20px; }
#examples ul { gap: 4px; margin-top: 8px; }
#examples li { width: auto; }
#examples img { width: 72px; height: 72px; border-radius: 4px; }
"""


class Strip(NamedTuple):
    """Example images of one group: a heading, a remark, and the pictures as data URLs."""

    title: str
    note: str
    pictures: tuple[str, ...]


class Bar(NamedTuple):
    """One cluster in the figure: its number from 1, distance, size, how many are kept, and whether all are."""

    number: int
    distance: float
    size: float
    kept: float
    close: bool


def write_mining_report(record: Mapping[str, object], strips: Sequence[Strip], destination: Path) -> Path:
    """Write the page of one mining and return its path.

    Args:
        record: what ``NAME.mining.json`` holds. strips: example images, in the order they are shown.

    Raises:
        ReportError: it cannot be written.
    """
    name, seed = text(record.get("attribute")) or "", number(record.get("seed"))
    page = Page(
        title=f"{name}: hard negatives",
        kind="Hard negatives",
        heading=name,
        about=(
            f"mined from {text(record.get('mined_from'))}",
            f"positive: {text(record.get('positive'))}",
            f"trunk {(text(record.get('fingerprint')) or '')[:12]}",
            f"seed {seed:.0f}" if seed is not None else None,
            text(record.get("created")),
        ),
        skip=("clusters", "the clusters"),
        verdict=Verdict("", "What is kept", sentence(record)),
        sections=sections_of(SECTIONS, record, strips),
        contents=False,
        style=STYLE,
    )
    return write_page(page.html(), destination)


def sentence(record: Mapping[str, object]) -> str:
    """What was kept of what there was."""
    kept, before, positives = (number(record.get(key)) for key in ("kept", "negatives", "positives"))
    part = share(kept / before) if kept is not None and before else NOTHING
    close = sum(bar.close for bar in bars(record))
    return (
        f"{count(kept)} of {count(before)} train negatives are kept ({part}), beside {count(positives)} positives: the "
        f"{close} closest of {len(bars(record))} clusters whole, the others thinned. Val and test are as they were."
    )


def bars(record: Mapping[str, object]) -> tuple[Bar, ...]:
    """The clusters whose numbers are all there, closest first."""
    clusters = []
    for index, entry in enumerate(map(table, items(record.get("clusters"))), 1):
        distance, size, kept = (number(entry.get(key)) for key in ("distance", "size", "kept"))
        if distance is not None and size is not None and kept is not None:
            clusters.append(Bar(index, distance, size, kept, entry.get("close") is True))
    return tuple(clusters)


def clusters_section(record: Mapping[str, object], _: Sequence[Strip]) -> Section:
    """A figure of distances and sizes, and the table with all figures."""
    drawn = bars(record)
    pictures: tuple[Picture, ...] = ()
    if drawn:
        caption = "The clusters by earth mover's distance to the positives; a cluster all of whose images stay is hard."
        pictures = (
            picture("distances", "How far from the positives", distance_figure(drawn), caption),
            picture("sizes", "How much is kept", size_figure(drawn), "Images of each cluster, kept and removed."),
        )
    rows = []
    for index, entry in enumerate(map(table, items(record.get("clusters"))), 1):
        values = numbers_of(entry.get("values"))
        size, kept = number(entry.get("size")), number(entry.get("kept"))
        rows.append(
            (
                str(index),
                "whole" if entry.get("close") is True else "thinned",
                score(number(entry.get("distance")), 3),
                score(number(entry.get("similarity")), 3),
                count(size),
                f"{count(kept)}\n{share(kept / size) if kept is not None and size else ''}",
                ", ".join(f"{count(n)} {value}" for value, n in values.items()),
            )
        )
    head = ("cluster", "kept how", "distance", "similarity", "images", "kept", "by value")
    caption = (
        "Distance: earth mover's, in units of the embeddings. Similarity: cosine of the means of cluster and positives."
    )
    lead = "Train negatives, clustered by k-means on the trunk's averaged features; closest to the positives first."
    table_ = Table(caption, head, tuple(rows))
    return Section("clusters", "Clusters", lead, pictures, (table_,), placement="stacked")


def examples_section(_: Mapping[str, object], strips: Sequence[Strip]) -> Section | None:
    """Example images of each group."""
    galleries = tuple(
        Gallery(
            strip.title,
            strip.note,
            tuple(Photo(source, f"{strip.title}, example {n}") for n, source in enumerate(strip.pictures, 1)),
        )
        for strip in strips
    )
    return Section("examples", "Examples", galleries=galleries) if galleries else None


@styled
def distance_figure(drawn: Sequence[Bar]) -> Figure:
    """The distance of each cluster."""
    figure, axes = panel("cluster, closest first", "earth mover's distance to the positives")
    for close, role, hatch, label in ((True, "random", "", "kept whole"), (False, "tail", "///", "thinned")):
        chosen = [bar for bar in drawn if bar.close is close]
        if chosen:
            x, height = [bar.number for bar in chosen], [bar.distance for bar in chosen]
            axes.bar(x, height, color=light(role), hatch=hatch, edgecolor=light("surface"), label=label)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    legend(axes)
    return figure


@styled
def size_figure(drawn: Sequence[Bar]) -> Figure:
    """How many images of each cluster are kept and removed."""
    figure, axes = panel("cluster, closest first", "images")
    numbers, kept = [bar.number for bar in drawn], [bar.kept for bar in drawn]
    axes.bar(numbers, kept, color=light("winner"), label="kept")
    removed = [bar.size - bar.kept for bar in drawn]
    axes.bar(numbers, removed, bottom=kept, color=light("grid"), edgecolor=light("muted"), hatch="///", label="removed")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    legend(axes)
    return figure


def repeat_section(record: Mapping[str, object], _: Sequence[Strip]) -> Section:
    """The command and what it started from."""
    listings = (
        Listing("Command", text(record.get("command")) or NOTHING),
        Listing("Source", f"{text(record.get('source'))}\nSHA-256 {text(record.get('source_digest'))}"),
    )
    return Section("repeat", "To repeat it", listings=listings)


SECTIONS = (clusters_section, examples_section, repeat_section)
