import numpy as np
import pytest

from experiments.composites import Composites, alone, compose
from subdatasets.errors import DataError

LABELS = np.random.default_rng(0).permutation(np.arange(60) % 10)
PICTURES = np.random.default_rng(1).integers(1, 256, (60, 4, 5), dtype=np.uint8)  # no black pixel in any
COLOURED = np.random.default_rng(2).integers(1, 256, (60, 4, 5, 3), dtype=np.uint8)


def cell_of(canvas: np.ndarray, cell: int) -> np.ndarray:
    """Cell 0-8, row by row, of a canvas of 3 x 3 cells of 4 x 5 pixels."""
    down, across = divmod(cell, 3)
    return canvas[4 * down : 4 * down + 4, 5 * across : 5 * across + 5]


@pytest.mark.parametrize("per_canvas", [1, 2, 3, 5, 7, 9])
def test_canvases_hold_pictures_of_different_classes_in_different_cells(per_canvas: int) -> None:
    canvases = compose(COLOURED, LABELS, per_canvas, 30, classes=10, seed=0)
    pixels = canvases.pixels(np.arange(30))
    assert pixels.shape == (30, 12, 15, 3)
    assert pixels.dtype == np.uint8
    for canvas, members, cells, labels in zip(pixels, canvases.members, canvases.cells, canvases.labels, strict=True):
        assert len(set(cells.tolist())) == per_canvas
        assert set(np.flatnonzero(labels).tolist()) == set(LABELS[members].tolist())
        assert labels.sum() == per_canvas
        for member, cell in zip(members, cells, strict=True):
            assert np.array_equal(cell_of(canvas, cell), COLOURED[member])
        for cell in set(range(9)) - set(cells.tolist()):
            assert not cell_of(canvas, cell).any()


def test_grey_pictures_have_one_channel_and_rows_are_put_together_on_demand() -> None:
    canvases = compose(PICTURES, LABELS, 3, 20, classes=10, seed=0)
    everything = canvases.pixels(np.arange(20))
    assert everything.shape == (20, 12, 15, 1)
    assert np.array_equal(canvases.pixels(np.array([7, 2, 7])), everything[[7, 2, 7]])


def test_classes_pictures_and_cells_are_drawn_evenly() -> None:
    canvases = compose(PICTURES, LABELS, 3, 4000, classes=10, seed=0)
    assert np.abs(canvases.labels.mean(axis=0) - 0.3).max() < 0.03
    assert np.abs(np.bincount(canvases.cells.flatten(), minlength=9) / 12000 - 1 / 9).max() < 0.01
    assert np.abs(np.bincount(canvases.members.flatten(), minlength=60) / 12000 - 1 / 60).max() < 0.006
    together = canvases.labels.T.astype(int) @ canvases.labels
    assert np.abs(together[np.triu_indices(10, 1)] / 4000 - 3 * 2 / 90).max() < 0.02


def test_seeds_decide() -> None:
    def drawn(seed: int) -> Composites:
        return compose(PICTURES, LABELS, 2, 10, classes=10, seed=seed)

    assert np.array_equal(drawn(0).members, drawn(0).members)
    assert np.array_equal(drawn(0).cells, drawn(0).cells)
    assert not np.array_equal(drawn(0).members, drawn(1).members)


def test_the_single_label_test_shows_every_picture_once() -> None:
    canvases = alone(PICTURES, LABELS, classes=10, seed=0)
    assert canvases.members.flatten().tolist() == list(range(60))
    assert np.array_equal(canvases.labels.argmax(axis=1), LABELS)
    assert (canvases.labels.sum(axis=1) == 1).all()
    assert len(set(canvases.cells.flatten().tolist())) == 9
    pixels = canvases.pixels(np.arange(60))
    assert (np.count_nonzero(pixels, axis=(1, 2, 3)) == 20).all()
    assert np.array_equal(cell_of(pixels[11], int(canvases.cells[11, 0]))[..., 0], PICTURES[11])


def test_what_cannot_be_composed_is_refused() -> None:
    with pytest.raises(DataError, match=r"10 pictures of different classes do not fit 9 cells .* choose 1 to 9"):
        compose(PICTURES, LABELS, 10, 5, classes=10, seed=0)
    with pytest.raises(DataError, match="do not fit 9 cells and 2 classes: choose 1 to 2"):
        compose(PICTURES, LABELS % 2, 3, 5, classes=2, seed=0)
    with pytest.raises(DataError, match="class 10 has no picture: give at least one of each of 11 classes"):
        compose(PICTURES, LABELS, 2, 5, classes=11, seed=0)
    with pytest.raises(DataError, match="must lie between 0 and 8, reach from 0 to 9"):
        alone(PICTURES, LABELS, classes=9, seed=0)
    with pytest.raises(DataError, match="60 pictures have 59 labels"):
        alone(PICTURES, LABELS[:-1], classes=10, seed=0)
    with pytest.raises(DataError, match=r"must be a uint8 array .* are float32 \(60, 4, 5\)"):
        alone(PICTURES.astype(np.float32), LABELS, classes=10, seed=0)  # type: ignore[arg-type]
