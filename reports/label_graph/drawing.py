"""Draw the label graph: labels as circles, P(j | i) as the width of a curved line from i to j."""

import math
from collections.abc import Sequence

import networkx as nx
import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch

from reports.label_graph.records import Edge, Node
from reports.layout.figures import light, styled
from reports.layout.formats import shortened

WIDTH = 8.4  # inches
EDGES_PER_LABEL = 4  # drawn on average, the strongest; more are a ball of wool
THINNEST, THICKEST = 0.4, 4.4  # points
SMALLEST, LARGEST = 4.0, 13.0  # points, a circle's radius
BEND = 0.13
NAME_LENGTH = 22
ROW = 0.55  # inches, of labels without an edge, below the others
PER_ROW = 7


@styled
def label_graph_figure(nodes: Sequence[Node], edges: Sequence[Edge]) -> Figure:
    """The graph; the figure is higher the more labels there are. Estimated edges are dashed."""
    drawn = list(edges[: most_edges(len(nodes))])
    linked = sorted({place for edge in drawn for place in (edge.start, edge.end)})
    alone = [index for index in range(len(nodes)) if index not in set(linked)]
    height = min(8.6, 3.0 + 0.42 * math.sqrt(len(linked)) * 1.7) if linked else 0.4
    rows = math.ceil(len(alone) / PER_ROW)
    figure = Figure(figsize=(WIDTH, height + ROW * rows))
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set(xlim=(0, WIDTH * 72), ylim=(0, (height + ROW * rows) * 72))
    axes.axis("off")
    below = 72 * ROW * rows
    places = spread(linked, drawn, (WIDTH * 72, height * 72), below)
    for number, index in enumerate(alone):
        row, column = divmod(number, PER_ROW)
        in_row = min(PER_ROW, len(alone) - row * PER_ROW)
        places[index] = ((column + 0.5) * WIDTH * 72 / in_row, below - (row + 0.4) * ROW * 72)
    largest = max((node.positives for node in nodes), default=1) or 1
    radius = [SMALLEST + (LARGEST - SMALLEST) * math.sqrt(node.positives / largest) for node in nodes]
    for edge in reversed(drawn):
        axes.add_patch(
            FancyArrowPatch(
                places[edge.start],
                places[edge.end],
                connectionstyle=f"arc3,rad={BEND}",
                arrowstyle="-|>",
                mutation_scale=7,
                shrinkA=radius[edge.start],
                shrinkB=radius[edge.end] + 1,
                linewidth=THINNEST + (THICKEST - THINNEST) * edge.probability,
                linestyle=(0, (3, 1.5)) if edge.estimated else "solid",
                color=light("winner"),
                alpha=0.25 + 0.5 * edge.probability,
            )
        )
    for index, node in enumerate(nodes):
        x, y = places[index]
        fill = "convolution_fill" if index in set(linked) else "surface"
        axes.plot(
            [x],
            [y],
            marker="o",
            markersize=2 * radius[index],
            color=light(fill),
            markeredgecolor=light("muted"),
            markeredgewidth=0.9,
            zorder=3,
        )
        axes.text(
            x,
            y - radius[index] - 3,
            shortened(node.name, NAME_LENGTH),
            ha="center",
            va="top",
            size=8.5,
            zorder=4,
            bbox={"facecolor": light("surface"), "edgecolor": "none", "alpha": 0.75, "pad": 0.6},
        )
    return figure


def most_edges(labels: int) -> int:
    """How many edges are drawn at most."""
    return EDGES_PER_LABEL * labels


def spread(
    linked: Sequence[int], edges: Sequence[Edge], size: tuple[float, float], below: float
) -> dict[int, tuple[float, float]]:
    """Where the labels with an edge stand, in points: close where they are likely together; the same each time."""
    if not linked:
        return {}
    graph: nx.Graph = nx.Graph()
    graph.add_nodes_from(linked)
    for edge in edges:
        known = graph.get_edge_data(edge.start, edge.end, {"weight": 0.0})["weight"]
        graph.add_edge(edge.start, edge.end, weight=max(known, edge.probability))
    layout = nx.spring_layout(graph, k=2.2 / math.sqrt(len(linked)), iterations=200, seed=0)
    at = np.array([layout[place] for place in linked])
    low, high = at.min(axis=0), at.max(axis=0)
    at = (at - low) / np.where(high > low, high - low, 1.0)
    at[:, high <= low] = 0.5
    margin = np.array([58.0, 30.0])
    at = margin + at * (np.array(size) - 2 * margin)
    return {place: (float(x), float(y) + below) for place, (x, y) in zip(linked, at, strict=True)}
