"""VG-500's form of a label table: a list of images per split, and a JSON of the indices of each image's labels.

Learning Semantic-Specific Graph Representation for Multi-Label Image Recognition (Chen et al. 2019), arXiv:1908.07325:
`train_list_500.txt`, `test_list_500.txt` and `vg_category_500_labels_index.json`. Nothing is unknown.
"""

from pathlib import Path

import numpy as np

from subdatasets.errors import DataError
from subdatasets.multilabel import ABSENT, PRESENT, LabelTable
from subdatasets.multilabel_coco import read_json


def read_label_lists(
    listed: Path, index: Path, images: Path, *, names: Path | None = None, split: str = ""
) -> LabelTable:
    """The table of one list; `stacked` puts train and test together.

    Args:
        listed: a text file, one image's file name per line.
        index: a JSON object, file name -> list of label numbers, from 0.
        images: the folder of the images.
        names: a text file with the labels' names, one per line in the order of their numbers; None: the numbers, up to
            the highest that the index holds.
        split: the split of all the images.

    Raises:
        DataError: a file that cannot be read, a listed image that the index lacks, or a number without a name.
    """
    numbers = read_json(index)
    if not isinstance(numbers, dict) or not all(
        isinstance(each, list) and all(isinstance(number, int) and number >= 0 for number in each)
        for each in numbers.values()
    ):
        raise DataError(f"{index} is not an object of lists of label numbers: give {{'IMAGE': [0, 7], ...}}")
    files = _lines(listed)
    highest = max((number for each in numbers.values() for number in each), default=-1)
    labels = _lines(names) if names is not None else [str(number) for number in range(highest + 1)]
    if highest >= len(labels):
        raise DataError(f"{index} holds label {highest}, and {names} names only {len(labels)}: give all their names")
    if not labels:
        raise DataError(f"{index} holds no label: give an index that names some")
    states = np.full((len(files), len(labels)), ABSENT, dtype=np.int8)
    for line, file in enumerate(files):
        if file not in numbers:
            raise DataError(f"{listed} lists '{file}', which {index} lacks: give the index of these images")
        states[line, numbers[file]] = PRESENT
    return LabelTable(tuple(images / file for file in files), tuple(labels), states, (split,) * len(files))


def _lines(path: Path) -> list[str]:
    try:
        return [line.strip() for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path} cannot be read as text: name a list with one entry per line") from error
