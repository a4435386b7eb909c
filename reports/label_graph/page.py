"""Page of a label graph's run: the graph drawn, what it gains, and the figures of every method."""

import json
from pathlib import Path

from matplotlib.figure import Figure

from reports.label_graph.drawing import label_graph_figure, most_edges
from reports.label_graph.records import METHODS, GraphRecords, LabelGain, read_graph_records
from reports.layout.figures import DASHES, legend, light, panel, styled
from reports.layout.formats import NOT_TOLD_APART, NOTHING, count, duration, interval, judgement, score, share, signed
from reports.layout.pages import Listing, Page, Picture, Section, Table, Verdict, picture, sections_of, write_page
from reports.summaries.values import items, number, numbers_of, table, text

ROLES = {"cooccurrence": "winner", "identity": "probe", "none": "random"}
COLUMNS = (
    *(("map", "mAP"), ("cp", "CP"), ("cr", "CR"), ("cf1", "CF1"), ("op", "OP"), ("or", "OR"), ("of1", "OF1")),
    *(("mean_accuracy", "mA"), ("image_f1", "F1 per image")),
)
TOP = tuple((f"top3_{key}", name) for key, name in COLUMNS[1:7])
STYLE = """
#graph .pictures, #gain .pictures { grid-template-columns: minmax(0, 1fr); }
#figure-graph svg, #figure-gain svg { margin: 0 auto; }
"""
BAR = 0.2  # inches per label and gain


def write_label_graph_report(folder: Path, destination: Path | None = None) -> Path:
    """Write the page of a finished run, ``FOLDER/report.html`` unless another place is given, and return its path.

    Raises:
        ReportError: the folder holds no result, or the page cannot be written.
    """
    records = read_graph_records(folder)
    return write_page(render(records), destination or folder / "report.html")


def render(records: GraphRecords) -> str:
    """The page as text; the same records give the same page."""
    result, name = records.result, f"{len(records.nodes)} labels"
    trunk, images = table(result.get("trunk")), table(result.get("images"))
    depth, seed = number(result.get("freeze_depth")), number(result.get("seed"))
    counts = [f"{count(number(images.get(split)))} {split}" for split in ("train", "val", "test") if split in images]
    return Page(
        title=f"Label graph: {name}",
        kind="Label graph",
        heading=name,
        about=(
            f"on {text(trunk.get('backbone'))} to block {depth - 1:.0f}" if depth else None,
            f"images: {', '.join(counts)}" if counts else None,
            f"seed {seed:.0f}" if seed is not None else None,
            text(result.get("created")),
        ),
        skip=("gain", "what it gains"),
        verdict=Verdict(standing(records), "Is the graph worth it?", text(result.get("verdict")) or ""),
        sections=sections_of(SECTIONS, records),
        problems=[note for note in map(text, items(result.get("notes"))) if note],
        problems_title="Notes",
        style=STYLE,
    ).html()


def standing(records: GraphRecords) -> str:
    """Whether the chosen graph can be told apart from no graph; "unfinished" where that was not measured."""
    gain = next((gain for gain in records.gains if (gain.a, gain.b) == (records.chosen, "none")), None)
    if gain is None:
        return "unfinished"
    return "too few" if gain.few else judgement(gain.low, gain.high)


def graph_section(records: GraphRecords) -> Section:
    """The graph drawn, and what it is made of."""
    nodes, edges = records.nodes, records.edges
    about = table(records.result.get("graph"))
    tau, estimated = number(about.get("tau")), about.get("estimated") is True
    lead = (
        f"{len(nodes)} labels, {len(edges)} edges: from i to j where P(j | i), the share of training images with j "
        f"among those with i, is at least {score(tau, 2)}. A line is as wide as P(j | i) is large, a circle as large "
        f"as the label is frequent."
    )
    if len(edges) > most_edges(len(nodes)):
        lead += f" The {most_edges(len(nodes))} strongest edges are drawn."
    if estimated:
        lead += (
            " Dashed edges are estimated: no training image is labelled for both, so calibrated predictions say how "
            "often they meet."
        )
    alone = [nodes[int(i)].name for i in items(about.get("isolated")) if isinstance(i, int) and i < len(nodes)]
    missing = (f"edges of {', '.join(alone)}, which meet no other label often enough",) if alone else ()
    pictures: tuple[Picture, ...] = ()
    if nodes:
        named = "; ".join(f"{nodes[e.start].name} to {nodes[e.end].name} {e.probability:.2f}" for e in edges[:12])
        figure = label_graph_figure(nodes, edges)
        pictures = (picture("graph", "The label graph", figure, "", f"The label graph. Strongest edges: {named}."),)
    return Section("graph", "The graph", lead, pictures, missing=missing)


def gain_section(records: GraphRecords) -> Section:
    """What the graph gains, in all and label by label."""
    rows = tuple(
        (
            f"{METHODS[gain.a]} over {METHODS[gain.b]}",
            signed(100 * gain.total, 2)
            + ("" if gain.few else f"\n95 % interval {interval(100 * gain.low, 100 * gain.high, 2)}"),
            verdict_word(gain),
            str(sum(difference is not None and difference > 0 for difference in gain.labels)),
            str(sum(difference is not None and difference < 0 for difference in gain.labels)),
        )
        for gain in records.gains
    )
    caption = (
        f"Points of mAP on {records.split}; the interval is a bootstrap over images, the same draw for both. Better "
        f"and worse count labels by their average precision."
    )
    tables = (Table(caption, ("what over what", "points of mAP", "told apart", "better", "worse"), rows),)
    drawn = [gain for gain in records.gains if gain.a == records.chosen and gain.b in ROLES]
    pictures: tuple[Picture, ...] = ()
    if drawn and any(difference is not None for gain in drawn for difference in gain.labels):
        caption = "Average precision of each label with the graph, minus that of the same training without."
        pictures = (picture("gain", "Gain per label", gain_figure(records, drawn), caption),)
    return Section("gain", "What the graph gains", "", pictures, tables if rows else (), placement="stacked")


def verdict_word(gain: LabelGain) -> str:
    """Whether the interval leaves out 0."""
    if gain.few:
        return "too few images"
    return {NOT_TOLD_APART: "no"}.get(word := judgement(gain.low, gain.high), word)


@styled
def gain_figure(records: GraphRecords, gains: list[LabelGain]) -> Figure:
    """Bars to the right where the graph is better; labels by their gain over the first comparison."""
    names = [node.name for node in records.nodes]
    first = gains[0].labels
    order = sorted((index for index in range(len(names)) if index < len(first)), key=lambda label: first[label] or 0.0)
    height = 1.1 + BAR * len(order) * len(gains)
    figure, axes = panel(f"points of average precision on {records.split}", "", width=6.4, height=height)
    for number_, gain in enumerate(gains):
        at = [row + (0.5 - (number_ + 0.5) / len(gains)) * 0.8 for row in range(len(order))]
        values = [100 * (gain.labels[label] or 0.0) for label in order]
        hatch = "" if number_ == 0 else "////"
        axes.barh(
            at,
            values,
            height=0.76 / len(gains),
            color=light(ROLES[gain.b]),
            hatch=hatch,
            edgecolor=light("surface"),
            label=f"over {METHODS[gain.b]}",
        )
    axes.axvline(0, color=light("ink"), linewidth=0.9)
    axes.set_yticks(range(len(order)), [names[label] for label in order])
    axes.set_ylim(-0.7, len(order) - 0.3)
    axes.grid(axis="y", visible=False)
    legend(axes)
    return figure


def methods_section(records: GraphRecords) -> Section:
    """All figures of all methods, where they were compared and on val, and the trainings' curves."""
    tables = []
    for split in dict.fromkeys((records.split, "val")):
        rows = tuple(row for method in records.trained if (row := method_row(records, method, split)))
        if rows:
            caption = f"In percent, on {split}. Thresholds are each label's best by F1 on val."
            place = next((n for n, row in enumerate(rows) if row[0] == METHODS[records.chosen]), None)
            head = ("method", "labels", *(name for _, name in COLUMNS))
            tables.append(Table(caption, head, rows, place))
    top = tuple(row for method in records.trained if (row := method_row(records, method, records.split, TOP)))
    if top:
        caption = f"In percent, on {records.split}, at most three labels predicted per image."
        tables.append(Table(caption, ("method", "labels", *(name for _, name in TOP)), top))
    pictures: tuple[Picture, ...] = ()
    if records.curves:
        caption = "The epoch with the best val score is kept."
        pictures = (picture("curves", "Training", curves_figure(records), caption),)
    lead = "The same features, the same images, the same training; only the graph differs."
    return Section("methods", "Figures", lead, pictures, tuple(tables), placement="above")


def method_row(
    records: GraphRecords, method: str, split: str, columns: tuple[tuple[str, str], ...] = COLUMNS
) -> tuple[str, ...]:
    """A method's figures; empty where it has none."""
    figures = records.figures(method, split)
    if not figures:
        return ()
    labels = number(table(table(records.result.get("methods")).get(method)).get("labels"))
    return METHODS[method], count(labels), *(percent(figures.get(key)) for key, _ in columns)


def percent(value: float | None) -> str:
    """0.7345 -> "73.5"."""
    return NOTHING if value is None else f"{100 * value:.1f}"


@styled
def curves_figure(records: GraphRecords) -> Figure:
    """Val mAP after each epoch, of each graph."""
    figure, axes = panel("epoch", "val mAP")
    for graph, points in records.curves.items():
        role = ROLES.get(graph, "tail")
        axes.plot(*zip(*points, strict=True), color=light(role), linestyle=DASHES[role], label=METHODS[graph])
    legend(axes, 2)
    return figure


def labels_section(records: GraphRecords) -> Section:
    """Each label: how many images show it, and its average precision by every method."""
    methods = records.methods
    rows = []
    for entry in map(table, items(records.result.get("per_label"))):
        images = table(entry.get("images"))
        shown = [numbers_of(images.get(split)).get("present") for split in ("train", records.split)]
        by_method = table(entry.get("methods"))
        cells = [
            percent(numbers_of(table(by_method.get(method)).get(records.split)).get("average_precision"))
            for method in methods
        ]
        whole_split = sum(numbers_of(images.get(records.split)).values())
        part = share(shown[1] / whole_split) if shown[1] is not None and whole_split else NOTHING
        rows.append((text(entry.get("name")) or "?", count(shown[0]), f"{count(shown[1])}\n{part}", *cells))
    head = ("label", "in train", f"in {records.split}", *(METHODS[method] for method in methods))
    caption = f"Average precision in percent on {records.split}; beside each label the images that show it."
    return Section("labels", "Labels", tables=(Table(caption, head, tuple(rows)),) if rows else ())


def repeat_section(records: GraphRecords) -> Section:
    """The command, the settings, the versions."""
    result = records.result
    settings = json.dumps(result.get("settings"), indent=2, ensure_ascii=False)
    seconds = numbers_of(result.get("seconds"))
    lead = f"It took {duration(seconds.get('total'))}, {duration(seconds.get('training'))} of it training."
    listings = (
        Listing("Command", text(result.get("command")) or NOTHING),
        Listing("Settings", settings, folded=True),
        Listing("Machine", text(result.get("machine")) or NOTHING, folded=True),
    )
    return Section("repeat", "To repeat it", lead, listings=listings)


SECTIONS = (gain_section, graph_section, methods_section, labels_section, repeat_section)
