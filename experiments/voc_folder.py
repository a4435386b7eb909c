"""PASCAL VOC's classification labels as sub-datasets: a yes/no attribute per class, "difficult" as unknown."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from subdatasets.attribute import Attribute
from subdatasets.labels.voc import read_voc_lists
from subdatasets.subdataset import Example, SubDataset


@dataclass(frozen=True)
class VocPart:
    """The images of one part of VOC and their labels (N, classes): 1 present, 0 absent, -1 difficult only."""

    paths: tuple[Path, ...]
    labels: np.ndarray

    def of(self, chosen: np.ndarray) -> "VocPart":
        """The chosen images, by a mask (N,)."""
        return VocPart(tuple(path for path, kept in zip(self.paths, chosen, strict=True) if kept), self.labels[chosen])

    @property
    def classes_per_image(self) -> np.ndarray:
        """How many classes each image shows, difficult ones too: (N,)."""
        counts: np.ndarray = (self.labels != 0).sum(axis=1)
        return counts


def read_part(folder: Path, part: str) -> tuple[VocPart, tuple[str, ...]]:
    """`part` ("trainval" or "test") of a VOC folder and the class names, from ImageSets/Main/CLASS_PART.txt.

    Raises:
        DataError: the folder has no such files, a line cannot be read, or the classes list different images.
    """
    table = read_voc_lists(folder, (part,))
    return VocPart(table.images, table.states), table.labels


def subdatasets_of(part: VocPart, classes: tuple[str, ...]) -> list[SubDataset]:
    """A yes/no attribute per class, all of it for training; images where it is only difficult are left out of it."""
    return [
        SubDataset(
            Attribute(name, ("no", "yes")),
            tuple(
                Example(path, int(label), "train")
                for path, label in zip(part.paths, column.tolist(), strict=True)
                if label >= 0
            ),
            part.paths[0].parent,
        )
        for name, column in zip(classes, part.labels.T, strict=True)
    ]
