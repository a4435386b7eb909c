"""Class activation maps over the images that they explain, one by one or as a panel of networks beside each other.

INDeeD: Identical and Disparate Feature Decomposition from Multi-label Data (Adiya and Lee), figure 5.
"""

from collections.abc import Sequence
from typing import NamedTuple

import matplotlib
import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray
from PIL import Image

STRENGTH = 0.72  # how much of the image the strongest place hides
COLOURS = "inferno"  # told apart by lightness alone

Pixels = NDArray[np.uint8]


class Explained(NamedTuple):
    """One image (H, W, 3), uint8, and for each network or class a title with its map (h, w), whatever its scale."""

    title: str
    image: Pixels
    maps: Sequence[tuple[str, NDArray[np.floating]]]


def overlaid(image: Pixels, values: NDArray[np.floating]) -> Pixels:
    """The image (H, W, 3) under its map (h, w): what speaks for the class glows, the rest is dimmed.

    Only what is positive is shown, by the map's own maximum; the map is enlarged smoothly to the image.
    """
    height, width = image.shape[:2]
    positive = np.clip(values, 0, None)
    small = Image.fromarray((positive / max(float(positive.max()), 1e-12)).astype(np.float32))
    heat = np.clip(np.asarray(small.resize((width, height), Image.Resampling.BICUBIC)), 0, 1)[:, :, None]
    glow = matplotlib.colormaps[COLOURS](heat[:, :, 0])[:, :, :3] * 255
    opacity = STRENGTH * (0.35 + 0.65 * heat)
    blended: Pixels = np.clip(image * (1 - opacity) + glow * opacity, 0, 255).round().astype(np.uint8)
    return blended


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
