"""The inside of one cell as a directed graph: its inputs, the two operations of every node, their sums, its output.

Vertices have `kind`, `title`, `detail`, and a place: `row` from the top and, for operations, `column` "left" or
"right". Edges have `kind`: "chain" (to what stands next below), "skip" (past something) or "loose" (a loose end's way).
"""

import networkx as nx

from reports.layout.part_names import ACTIVATION_NAMES, OPERATION_NAMES, family_of
from search_spaces import CellPlan, MicroPlan
from search_spaces.micro import FIRST_NODE

SIDES = ("left", "right")


def shown_cells(micro: MicroPlan) -> tuple[CellPlan, ...]:
    """One cell of each kind, the last: the first of a stack has but one input."""
    last = {cell.kind: cell for cell in micro.cells}
    return tuple(sorted(last.values(), key=lambda cell: cell.reduction))


def cell_graph(cell: CellPlan, width: int) -> nx.DiGraph:
    """The graph of a cell of this width."""
    graph = nx.DiGraph()
    above = ""
    for number, source in enumerate(cell.sources):
        if source is not None:
            above = f"input{number}"
            title = _input_title(cell, number)
            graph.add_node(above, kind="input", number=number, title=title, detail="", row=len(graph))
    row = len(graph)
    for number, node in enumerate(cell.nodes, start=FIRST_NODE):
        activation = ACTIVATION_NAMES.get(node.activation, node.activation)
        pairs = list(zip(node.operations, node.inputs, SIDES, strict=True))
        for operation, source, column in pairs:
            name = f"node{number}.{column}"
            stride = ", stride 2" if cell.reduction and source < FIRST_NODE else ""
            graph.add_node(
                name,
                kind="operation",
                family=family_of(operation),
                title=OPERATION_NAMES.get(operation, operation),
                detail=f"of {source}{stride}",
                row=row,
                column=column,
            )
            vertex = _vertex(source)
            graph.add_edge(vertex, name, kind="chain" if vertex == above else "skip")
        above, row = f"node{number}", row + 2
        graph.add_node(above, kind="sum", number=number, title=f"sum, {activation}", detail="", row=row - 1)
        graph.add_edges_from((f"{above}.{column}", above, {"kind": "chain"}) for column in SIDES)
    if len(cell.loose) > 1:
        graph.add_node("join", kind="join", title=f"join {len(cell.loose)} loose ends", detail="", row=row)
        for source in cell.loose:
            vertex = _vertex(source)
            graph.add_edge(vertex, "join", kind="chain" if vertex == above else "loose")
        title, detail = "convolution 1×1", f"ReLU, {len(cell.loose)}·{width} to {width}"
        graph.add_node("merge", kind="merge", title=title, detail=detail, row=row + 1)
        graph.add_edge("join", "merge", kind="chain")
        above, row = "merge", row + 2
    graph.add_node("output", kind="output", title="output of the cell", detail="", row=row)
    graph.add_edge(above, "output", kind="chain")
    return graph


def cell_rows(cell: CellPlan) -> tuple[tuple[str, str, str], ...]:
    """(node, what it computes, what it reads) for a table."""
    rows = []
    for number, node in enumerate(cell.nodes, start=FIRST_NODE):
        parts = [
            f"{OPERATION_NAMES.get(operation, operation)} of {_source_words(source)}"
            for operation, source in zip(node.operations, node.inputs, strict=True)
        ]
        activation = ACTIVATION_NAMES.get(node.activation, node.activation)
        read = "output" if number in cell.loose else "other nodes"
        rows.append((f"node\N{NO-BREAK SPACE}{number}", f"{parts[0]} + {parts[1]}, {activation}", read))
    return tuple(rows)


def _vertex(source: int) -> str:
    return f"node{source}" if source >= FIRST_NODE else f"input{source}"


def _source_words(source: int) -> str:
    return f"{'node' if source >= FIRST_NODE else 'input'}\N{NO-BREAK SPACE}{source}"


def _input_title(cell: CellPlan, number: int) -> str:
    if cell.number == 1:
        return "the stem"
    return "one cell back" if number else f"two cells back{', halved' if cell.halved else ''}"
