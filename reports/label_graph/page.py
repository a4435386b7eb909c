"""A run of the label graph -> one HTML file: the graph drawn, what it gains, and the figures of every method."""

from collections.abc import Mapping
from pathlib import Path

from reports.label_graph.records import GraphRecords, read_graph_records
from reports.label_graph.sections import gain_section, graph_section, labels_section, methods_section, repeat_section
from reports.layout.formats import count
from reports.layout.palette import css_variables
from reports.search.page import templates, write_page
from reports.summaries.values import items, number, table, text

SECTIONS = (gain_section, graph_section, methods_section, labels_section, repeat_section)


def write_label_graph_report(folder: Path, destination: Path | None = None) -> Path:
    """Write the page of a finished run, ``FOLDER/report.html`` unless another place is given, and return its path.

    Raises:
        ReportError: the folder holds no result, or the page cannot be written.
    """
    records = read_graph_records(folder)
    return write_page(render(records), destination or folder / "report.html")


def render(records: GraphRecords) -> str:
    """The page as text; the same records give the same page."""
    return (
        templates()
        .get_template("label_graph.html.jinja")
        .render(
            title=f"{len(records.nodes)} labels",
            about=about(records),
            sentence=text(records.result.get("verdict")) or "",
            standing=standing(records),
            notes=[note for note in map(text, items(records.result.get("notes"))) if note],
            sections=[build(records) for build in SECTIONS],
            light=css_variables("light"),
            dark=css_variables("dark"),
        )
    )


def about(records: GraphRecords) -> str:
    """One line below the title: the trunk, the images, the seed, the date."""
    result = records.result
    trunk, images = table(result.get("trunk")), table(result.get("images"))
    depth, seed = number(result.get("freeze_depth")), number(result.get("seed"))
    counts = [f"{count(number(images.get(split)))} {split}" for split in ("train", "val", "test") if split in images]
    parts = [
        f"on {text(trunk.get('backbone'))} to block {depth - 1:.0f}" if depth else None,
        f"images: {', '.join(counts)}" if counts else None,
        f"seed {seed:.0f}" if seed is not None else None,
        text(result.get("created")),
    ]
    return " · ".join(part for part in parts if part)


def standing(records: GraphRecords) -> str:
    """Whether the chosen graph can be told apart from no graph: "better", "worse" or "not-told-apart"."""
    found: Mapping[str, object] = table(table(records.result.get("gains")).get(f"{records.chosen} over none"))
    low, high = number(found.get("low")), number(found.get("high"))
    if low is None or high is None:
        return "unfinished"
    return "better" if low > 0 else "worse" if high < 0 else "not-told-apart"
