"""Section with the architecture: the winner drawn, what it costs beside the tail, node by node in a table."""

import networkx as nx

from reports.drawing.branch import architecture_figure
from reports.drawing.cells import cell_pictures, cell_tables
from reports.drawing.graft import backbone_of, graft_figure
from reports.drawing.graph import architecture_of, branch_graph, describe
from reports.drawing.surroundings import Surroundings, surroundings
from reports.layout.formats import NOTHING, change, count, file_size, milliseconds, short_count
from reports.layout.pages import Picture, Section, Table, picture
from reports.summaries.comparison import kind_of_result, winner_name
from reports.summaries.search import Records, judge_of
from reports.summaries.values import number, table
from search_spaces import Architecture, SpaceError

ROWS = (
    ("parameters", "parameters", count),
    ("MACs per image", "macs", short_count),
    ("latency", "latency_ms", milliseconds),
    ("size on disk", "bytes", file_size),
)


# What has no architecture to draw.
PLAIN = {
    "probe": "The result is the linear probe: the averages of the trunk's maps and one linear layer. Nothing was "
    "searched for it; the searched branch stands among what it is compared with.",
    "joined_probe": "The result is the linear probe of all depths: the averages of the trunk's maps down to the cut "
    "and one linear layer. Nothing was searched for it; the searched branch stands among what it is compared with.",
    "tail": "The result is the fine-tuned tail: the backbone's own blocks behind the trunk, to their end. Nothing was "
    "searched for it; the searched branch stands among what it is compared with.",
}


def architecture_section(records: Records) -> Section:
    """The winner drawn, and node by node in a table; the best candidate so far while there is no winner."""
    title, anchor = "Architecture", "architecture"
    record, lead, around = records.architecture, "", surroundings(records)
    if not record:
        best = max(
            (
                training
                for training in records.of("candidate")
                if number(training.get("score")) is not None and table(training.get("architecture"))
            ),
            key=lambda training: number(training.get("score")) or 0.0,
            default=None,
        )
        if best is None:
            return Section(anchor, title, missing=("no architecture has been chosen, and none proposed, yet",))
        record, lead = (
            table(best.get("architecture")),
            f"Not the winner: the best candidate so far, {judge_of(records)}.",
        )
        around = around._replace(
            parts=(), parameters=number(best.get("parameters")), macs=number(best.get("macs")), threshold=None
        )
    if "space" not in record and (named := PLAIN.get(kind_of_result(records.result))):
        beside = (cost,) if (cost := cost_table(records)) else ()
        return Section(anchor, title, named, _graft_picture(records, around), beside, placement="beside")
    try:
        architecture = architecture_of(record)
    except SpaceError as error:
        return Section(anchor, title, lead, missing=(f"the architecture in the records cannot be read: {error}",))
    try:
        graph = branch_graph(architecture, around)
    except SpaceError:
        note = f"there is no drawing for the {architecture.space!r} space; its choices are in the table"
        return Section(anchor, title, lead, tables=(_choices_table(architecture),), missing=(note,))
    caption = _legend(graph)
    drawn = picture(
        "architecture", "From the trunk to the values", architecture_figure(graph, around), caption, describe(graph)
    )
    pictures = (*_graft_picture(records, around), drawn, *cell_pictures(architecture))
    costs = (table_,) if (table_ := cost_table(records)) else ()
    tables = (*costs, _nodes_table(graph, architecture, around), *cell_tables(architecture))
    return Section(anchor, title, lead, pictures, tables, placement="beside")


def _graft_picture(records: Records, around: Surroundings) -> tuple[Picture, ...]:
    """Where on the backbone the branch sits; nothing where the records do not tell, as of features from a file."""
    backbone = backbone_of(records)
    if backbone is None:
        return ()
    frozen, left = backbone.frozen, backbone.blocks - backbone.frozen
    words = (
        f"{around.backbone or 'The backbone'} has {backbone.blocks} blocks; the first {frozen} are the frozen trunk."
    )
    words += f" The branch reads what block {frozen - 1} gives"
    words += f" and replaces the other {left}." if left else "."
    return (picture("graft", "Where it is grafted", graft_figure(backbone, around), words),)


def _legend(graph: nx.DiGraph) -> str:
    """What the lines and colours of this drawing mean, and of those only what is in it."""
    kinds = {kind for _, _, kind in graph.edges(data="kind")} | {kind for _, kind in graph.nodes(data="kind")}
    kinds |= {"part"} if any("weights" in vertex for _, vertex in graph.nodes(data=True)) else set()
    past = "Orange lines: what a cell reads from two cells back."
    sentences = (
        ("skip", past if "cell" in kinds else "Orange lines: skips past other nodes; a plus sums what meets."),
        ("loose", "Blue lines: loose ends, averaged for the head."),
        ("node", "Boxes: blue convolution, green separable convolution, orange pooling; every node has batch norm"),
        ("node", "before its activation."),
        ("cell", "Boxes: blue normal cells, orange reduction cells, with the shapes of their maps."),
        ("block", "Boxes: the backbone's own blocks, with the trunk's weights at first, then fine-tuned."),
        ("part", "Last in a box: its parameters."),
        ("tail", "The bar at the right shows the branch's parameters as part of the tail's, to scale."),
    )
    return " ".join(words for kind, words in sentences if kind in kinds)


def _nodes_table(graph: nx.DiGraph, architecture: Architecture, around: Surroundings) -> Table:
    rows = []
    for name, vertex in graph.nodes(data=True):
        if vertex["kind"] in ("trunk", "values", "tail"):
            continue
        reads = ", ".join(_called(source) for source in graph.predecessors(name))
        computes = ", ".join(part for part in (vertex["title"].removeprefix("stem: "), vertex["detail"]) if part)
        rows.append(
            (_called(name), computes, reads, count(number(vertex.get("weights")) or (0 if around.parts else None)))
        )
    drawn = {"head" if name == "linear" else name for name in graph}
    rows += [(part, "", "", count(weights)) for part, weights in around.parts if part not in drawn]
    caption = f"Architecture {architecture.identity} of the {architecture.space} space."
    if around.parameters is not None:
        caption += f" {count(around.parameters)} parameters, {count(around.macs)} MACs per image."
    return Table(caption, ("part", "what it computes", "reads", "parameters"), tuple(rows))


def _called(vertex: str) -> str:
    numbered = vertex
    for part in ("node", "cell", "block"):
        numbered = numbered.replace(part, f"{part}\N{NO-BREAK SPACE}")
    return {"pool": "pooling"}.get(vertex, numbered)


def _choices_table(architecture: Architecture) -> Table:
    rows = tuple((name, str(choice)) for name, choice in architecture.choices)
    return Table(
        f"Architecture {architecture.identity} of the {architecture.space} space.", ("decision", "choice"), rows
    )


def cost_table(records: Records) -> Table | None:
    """A row per cost that is known of the branch; None before there is a winner."""
    result, rows = records.result, []
    for name, key, written in ROWS:
        own, tail = number(result.get(key)), number(result.get(f"tail_{key}"))
        if own is not None:
            saved = change(1 - own / tail) if tail else NOTHING
            rows.append((name, written(own), written(tail), saved))
    if not rows:
        return None
    caption = "What the branch costs on top of the trunk, which all attributes share, and the tail that it replaces."
    return Table(caption, ("", winner_name(records), "tail", "change"), tuple(rows))
