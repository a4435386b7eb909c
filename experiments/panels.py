"""Panels of class activation maps: a row per image, a column per network.

INDeeD: Identical and Disparate Feature Decomposition from Multi-label Data (Adiya and Lee), figure 5.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from reports.search.images import Pixels, overlaid


class Explained(NamedTuple):
    """One image (H, W, 3), uint8, and for each network or class a title with its map (h, w), whatever its scale."""

    title: str
    image: Pixels
    maps: Sequence[tuple[str, NDArray[np.floating]]]


def activation_figure(rows: Sequence[Explained], *, side: float = 1.5) -> Figure:
    """A row per image: the image, then each of its maps over it. `side`: inches of one of them."""
    columns = 1 + max((len(row.maps) for row in rows), default=0)
    figure = Figure(figsize=(side * columns, (side + 0.25) * len(rows)), layout="constrained")
    axes = figure.subplots(len(rows), columns, squeeze=False)
    for line, row in zip(axes, rows, strict=True):
        for plot in line:
            plot.set_axis_off()
        for plot, (title, pixels) in zip(
            line,
            [(row.title, row.image), *((title, overlaid(row.image, values)) for title, values in row.maps)],
            strict=False,
        ):
            plot.imshow(pixels, interpolation="nearest" if max(pixels.shape) <= 64 else None)
            plot.set_title(title, fontsize=8)
    return figure
