"""ML-MNIST-N and ML-CIFAR-10-N: N small pictures of N different classes on one canvas of 3 x 3 cells.

INDeeD: Identical and Disparate Feature Decomposition from Multi-label Data (Adiya and Lee), "Experimental Evaluation".
The paper states the canvas (3H x 3W), the different labels and N = 2, 3, 5, 7, and that test images carry one label;
the rest is our reading: classes, pictures and cells are drawn uniformly, empty cells are black, and a test image is one
picture in a cell drawn at random, on a canvas of the same size.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from subdatasets.errors import DataError

GRID = 3
CELLS = GRID * GRID


@dataclass(frozen=True)
class Composites:
    """Canvases that are put together when they are asked for.

    pictures: uint8 (M, H, W) or (M, H, W, channels), the small pictures.
    members: int64 (N, k), which k pictures canvas n holds; cells: int64 (N, k), where they lie, 0-8 row by row.
    labels: int8 (N, classes), 1 for the classes on the canvas, else 0.
    """

    pictures: NDArray[np.uint8]
    members: NDArray[np.int64]
    cells: NDArray[np.int64]
    labels: NDArray[np.int8]

    def __len__(self) -> int:
        return len(self.members)

    def pixels(self, rows: NDArray[np.integer]) -> NDArray[np.uint8]:
        """The canvases of these rows: uint8 (n, 3H, 3W, channels); grey pictures have one channel."""
        height, width, *rest = self.pictures.shape[1:]
        channels = rest[0] if rest else 1
        canvas = np.zeros((len(rows), GRID, height, GRID, width, channels), dtype=np.uint8)
        where = np.arange(len(rows))[:, None]
        down, across = np.divmod(self.cells[rows], GRID)
        chosen = self.pictures[self.members[rows]]
        canvas[where, down, :, across] = chosen.reshape(*chosen.shape[:4], channels)
        return canvas.reshape(len(rows), GRID * height, GRID * width, channels)


def compose(
    pictures: NDArray[np.uint8], labels: NDArray[np.integer], per_canvas: int, count: int, *, classes: int, seed: int
) -> Composites:
    """`count` canvases with `per_canvas` pictures of different classes each, for training.

    Args:
        pictures: uint8 (M, H, W) or (M, H, W, channels).
        labels: (M,) class numbers below `classes`.
        per_canvas: N of ML-MNIST-N.
        count: how many canvases.
        classes: how many classes there are.
        seed: decides everything that is drawn.

    Raises:
        DataError: `per_canvas` does not fit the grid or the classes, or a class has no picture.
    """
    check_pictures(pictures, labels, classes)
    if not 1 <= per_canvas <= min(CELLS, classes):
        raise DataError(
            f"{per_canvas} pictures of different classes do not fit {CELLS} cells and {classes} classes: choose 1 to "
            f"{min(CELLS, classes)}"
        )
    counts = np.bincount(labels, minlength=classes)
    if not counts.all():
        raise DataError(f"class {int(counts.argmin())} has no picture: give at least one of each of {classes} classes")
    rng = np.random.default_rng(seed)
    drawn = rng.permuted(np.tile(np.arange(classes), (count, 1)), axis=1)[:, :per_canvas]
    cells = rng.permuted(np.tile(np.arange(CELLS), (count, 1)), axis=1)[:, :per_canvas]
    by_class, first = np.argsort(labels, kind="stable"), np.cumsum(counts) - counts
    members = by_class[first[drawn] + rng.integers(0, counts[drawn])]
    return Composites(pictures, members, cells, multi_hot(drawn, classes))


def alone(pictures: NDArray[np.uint8], labels: NDArray[np.integer], *, classes: int, seed: int) -> Composites:
    """Every picture by itself on a canvas, in a cell drawn at random: the single-label test.

    Raises:
        DataError: pictures or labels that do not fit each other or `classes`.
    """
    check_pictures(pictures, labels, classes)
    cells = np.random.default_rng(seed).integers(0, CELLS, size=(len(pictures), 1))
    drawn = labels.astype(np.int64)[:, None]
    return Composites(pictures, np.arange(len(pictures))[:, None], cells, multi_hot(drawn, classes))


def multi_hot(drawn: NDArray[np.int64], classes: int) -> NDArray[np.int8]:
    """Class numbers (N, k) -> int8 (N, classes)."""
    labels = np.zeros((len(drawn), classes), dtype=np.int8)
    np.put_along_axis(labels, drawn, 1, axis=1)
    return labels


def check_pictures(pictures: NDArray[np.uint8], labels: NDArray[np.integer], classes: int) -> None:
    """Refuse what cannot be composed.

    Raises:
        DataError: a wrong shape or type, lengths that differ, or a class number out of range.
    """
    if pictures.dtype != np.uint8 or pictures.ndim not in (3, 4):
        raise DataError(
            f"pictures to compose must be a uint8 array (M, H, W) or (M, H, W, channels), are {pictures.dtype} "
            f"{pictures.shape}: convert them"
        )
    if len(pictures) != len(labels) or not len(labels):
        raise DataError(f"{len(pictures)} pictures have {len(labels)} labels: give one label for each, at least one")
    if not 0 <= int(labels.min()) <= int(labels.max()) < classes:
        raise DataError(
            f"class numbers must lie between 0 and {classes - 1}, reach from {int(labels.min())} to "
            f"{int(labels.max())}: correct them, or the number of classes"
        )
