"""Label tables from JSON annotations in which nothing is unknown: COCO's `instances_*.json`, and the lists of VG-500.

Microsoft COCO: Common Objects in Context (Lin et al. 2014), arXiv:1405.0312: a category is present in an image that has
an annotation of it. COCO annotates every category in every image; crowds count as present, as in ML-GCN.

VG-500: a list of images per split, and a JSON of the indices of each image's labels. Learning Semantic-Specific Graph
Representation for Multi-Label Image Recognition (Chen et al. 2019), arXiv:1908.07325: `train_list_500.txt`,
`test_list_500.txt` and `vg_category_500_labels_index.json`.
"""

import json
from pathlib import Path
from typing import Any

import numpy as np

from foundation.errors import RecordError
from foundation.records import leads_down, read_text
from subdatasets.errors import DataError
from subdatasets.labels.table import ABSENT, PRESENT, LabelTable

MOST_BYTES = 2**33  # COCO's largest file has 470 MB


def read_coco(annotations: Path, images: Path, *, split: str = "") -> LabelTable:
    """The table of one file; `stacked` puts train and val together.

    Args:
        annotations: a JSON file with the lists `images`, `annotations` and `categories`.
        images: the folder of the images; each is `images / file_name`.
        split: the split of them all.

    Raises:
        DataError: not such a file, or an annotation of an image or category that it does not list.
    """
    content = read_json(annotations)
    lists = {}
    for key in ("images", "annotations", "categories"):
        entries = content.get(key) if isinstance(content, dict) else None
        if not isinstance(entries, list):
            raise DataError(f"{annotations} has no list '{key}': give one of COCO's instances_*.json")
        lists[key] = entries
    try:
        row = {image["id"]: number for number, image in enumerate(lists["images"])}
        column = {category["id"]: number for number, category in enumerate(lists["categories"])}
        labels = tuple(str(category["name"]) for category in lists["categories"])
        paths = tuple(image_in(images, image["file_name"], annotations) for image in lists["images"])
        pairs = [(each["image_id"], each["category_id"]) for each in lists["annotations"]]
    except (KeyError, TypeError, AttributeError) as error:
        raise DataError(f"{annotations} has an entry without {error}: give one of COCO's instances_*.json") from error
    states = np.full((len(row), len(column)), ABSENT, dtype=np.int8)
    for image, category in pairs:
        if image not in row or category not in column:
            what, which = ("image", image) if image not in row else ("category", category)
            raise DataError(f"{annotations} annotates {what} {which}, which it does not list: repair the file")
        states[row[image], column[category]] = PRESENT
    return LabelTable(paths, labels, states, (split,) * len(paths))


def image_in(images: Path, name: object, source: Path) -> Path:
    """The image of that name below the folder. Raises: DataError for a name that leads out of it."""
    if not leads_down(name):
        raise DataError(
            f"{source} names the image {str(name)[:80]!r}, which does not lie below {images}: repair the file"
        )
    return images / str(name)


def read_json(path: Path) -> Any:
    """What a JSON file holds.

    Raises:
        DataError: no such file, or no JSON, with the line.
    """
    try:
        return json.loads(read_text(path, MOST_BYTES))
    except OSError as error:
        raise DataError(f"{path} cannot be read ({error.strerror}): check the path") from error
    except json.JSONDecodeError as error:
        raise DataError(f"{path}, line {error.lineno}: the file is no JSON ({error.msg}): repair it") from error
    except (RecordError, ValueError, RecursionError) as error:
        raise DataError(f"{path} is no JSON text ({error}): name a JSON file") from error


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
    paths = tuple(image_in(images, file, listed) for file in files)
    return LabelTable(paths, tuple(labels), states, (split,) * len(files))


def _lines(path: Path) -> list[str]:
    try:
        return [line.strip() for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path} cannot be read as text: name a list with one entry per line") from error
