"""Panels of maps: a row per image, a column per network."""

import base64
import io
from pathlib import Path

import numpy as np
from PIL import Image

from experiments.panels import Explained, activation_figure


def test_a_panel_has_a_row_per_image_and_a_column_per_network(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    rows = [
        Explained(f"image {n}", rng.integers(0, 255, (16, 16, 3), dtype=np.uint8), [("one", rng.random((4, 4)))] * n)
        for n in (1, 2)
    ]
    figure = activation_figure(rows)
    titles = [[axes.get_title() for axes in figure.axes[row * 3 : row * 3 + 3]] for row in range(2)]
    assert titles == [["image 1", "one", ""], ["image 2", "one", "one"]]
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png")
    assert base64.b64encode(buffer.getvalue())
    assert Image.open(buffer).size[0] > Image.open(buffer).size[1]
