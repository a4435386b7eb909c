"""The cells of a micro architecture as pictures and tables; nothing for an architecture of another space."""

from reports.drawing.cell_graph import cell_graph, cell_rows, shown_cells
from reports.drawing.cells import cell_figure
from reports.layout.pages import Picture, Table, picture
from search_spaces import Architecture, micro_plan

CAPTION = (
    "Every operation has batch norm; a node sums two of them before its activation. Orange lines come from further "
    "up, blue lines are loose ends. Boxes: blue convolution, green separable convolution, orange pooling."
)
REDUCTION_CAPTION = (
    "In a reduction cell, operations on the cell's inputs have stride 2, so that its map has half the sides."
)


def cell_pictures(architecture: Architecture, prefix: str = "") -> tuple[Picture, ...]:
    """A drawing per kind of cell; `prefix` of their names, where a page shows several architectures."""
    if architecture.space != "micro":
        return ()
    micro = micro_plan(architecture)
    return tuple(
        picture(
            f"{prefix}{cell.kind}-cell",
            f"The {cell.kind} cell",
            cell_figure(cell_graph(cell, micro.width)),
            REDUCTION_CAPTION if cell.reduction else CAPTION,
            f"The {cell.kind} cell. {' '.join(f'{node}: {computes}.' for node, computes, _ in cell_rows(cell))}",
        )
        for cell in shown_cells(micro)
    )


def cell_tables(architecture: Architecture) -> tuple[Table, ...]:
    """A table per kind of cell: what each node computes."""
    if architecture.space != "micro":
        return ()
    return tuple(
        Table(
            f"The {cell.kind} cell; its inputs 0 and 1 are as in the drawing.",
            ("part", "what it computes", "read by"),
            cell_rows(cell),
        )
        for cell in shown_cells(micro_plan(architecture))
    )
