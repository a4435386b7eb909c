"""COCO's `instances_*.json` as a label table: a category is present in an image that has an annotation of it.

Microsoft COCO: Common Objects in Context (Lin et al. 2014), arXiv:1405.0312. COCO annotates every category in every
image, so that nothing is unknown; crowds count as present, as in ML-GCN.
"""

import json
from pathlib import Path
from typing import Any

import numpy as np

from subdatasets.errors import DataError
from subdatasets.multilabel import ABSENT, PRESENT, LabelTable


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
        row = {image["id"]: place for place, image in enumerate(lists["images"])}
        column = {category["id"]: place for place, category in enumerate(lists["categories"])}
        labels = tuple(str(category["name"]) for category in lists["categories"])
        paths = tuple(images / image["file_name"] for image in lists["images"])
        pairs = [(each["image_id"], each["category_id"]) for each in lists["annotations"]]
    except (KeyError, TypeError) as error:
        raise DataError(f"{annotations} has an entry without {error}: give one of COCO's instances_*.json") from error
    states = np.full((len(row), len(column)), ABSENT, dtype=np.int8)
    for image, category in pairs:
        if image not in row or category not in column:
            what, which = ("image", image) if image not in row else ("category", category)
            raise DataError(f"{annotations} annotates {what} {which}, which it does not list: repair the file")
        states[row[image], column[category]] = PRESENT
    return LabelTable(paths, labels, states, (split,) * len(paths))


def read_json(path: Path) -> Any:
    """What a JSON file holds.

    Raises:
        DataError: no such file, or no JSON, with the line.
    """
    try:
        return json.loads(path.read_bytes())
    except OSError as error:
        raise DataError(f"{path} cannot be read ({error.strerror}): check the path") from error
    except json.JSONDecodeError as error:
        raise DataError(f"{path}, line {error.lineno}: the file is no JSON ({error.msg}): repair it") from error
    except UnicodeDecodeError as error:
        raise DataError(f"{path} is no JSON text: name a JSON file") from error
