"""Confidence maps: for images of one class each, how sure a network is on average of every class.

INDeeD: Identical and Disparate Feature Decomposition from Multi-label Data (Adiya and Lee), figures 3 and 4.
"""

import csv
import io
from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray


def confidence_map(scores: NDArray[np.floating], labels: NDArray[np.integer]) -> NDArray[np.float64]:
    """Mean score of every class (columns) over the images of each class (rows): (C, C); nan where a class has no image.

    scores: (N, C) probabilities. labels: (N, C), 1 where the image is of that class.
    """
    members = (labels == 1).astype(np.float64)
    with np.errstate(invalid="ignore"):
        means: NDArray[np.float64] = members.T @ scores / members.sum(axis=0)[:, None]
    return means


def confidence_csv(values: NDArray[np.floating], classes: Sequence[str]) -> str:
    """A confidence map as CSV: a row per class of the images, a column per class the network was asked for."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["images of", *classes])
    for name, row in zip(classes, values.tolist(), strict=True):
        writer.writerow([name, *(f"{value:.4f}" for value in row)])
    return text.getvalue()


def confidence_figure(maps: Sequence[Sequence[tuple[str, NDArray[np.floating]]]], classes: Sequence[str]) -> Figure:
    """Rows of titled confidence maps beside each other, on one scale from 0 (light) to 1 (dark)."""
    rows, columns = len(maps), max(len(row) for row in maps)
    figure = Figure(figsize=(2.6 * columns + 0.6, 2.75 * rows), layout="constrained")
    axes = figure.subplots(rows, columns, squeeze=False)
    for line, row in zip(axes, maps, strict=True):
        for place, plot in enumerate(line):
            if place >= len(row):
                plot.set_axis_off()
                continue
            title, values = row[place]
            image = plot.imshow(values, cmap="viridis_r", vmin=0, vmax=1)
            plot.set_title(title, fontsize=9)
            plot.set_xticks(range(len(classes)), classes, rotation=90, fontsize=6)
            plot.set_yticks(range(len(classes)), classes, fontsize=6)
    figure.colorbar(image, ax=axes, label="mean probability", shrink=0.8)
    return figure
