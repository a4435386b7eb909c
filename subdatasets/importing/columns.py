"""Columns of a table that are no attribute: official splits, folds, numbers of persons, several labels in a cell.

A split under another name is used as it stands, in a way that is said; one whose numbers could mean either is refused,
for a random split in its place would put test images into training without a word.
"""

import re
from collections import Counter
from collections.abc import Mapping, Sequence

from subdatasets.reading.problems import SPLIT_NAMES

# Titles of columns that name a split, and those that are true for the images of one.
_SPLITS: tuple[str, ...] = (
    "split",
    "partition",
    "subset",
    "set",
    "phase",
    "usage",
    "fold",
    "data_split",
    "dataset_split",
    "split_name",
)
_SPLITS += ("image_set", "imageset", "evaluation_status", "train_test", "train_val_test", "train_test_split")
# (A column "train" of 0 and 1 may well speak of trains.)
_OF_ONE = {
    **dict.fromkeys(("is_train", "is_training", "is_training_image", "in_train", "in_training"), "train"),
    **dict.fromkeys(("is_test", "is_testing", "is_test_image", "in_test", "is_holdout"), "test"),
    **dict.fromkeys(("is_val", "is_valid", "is_validation", "in_val"), "val"),
}
# CelebA's, which others took over.
_NUMBERED = {"0": "train", "1": "val", "2": "test"}
_TRUE, _FALSE = ("1", "true", "yes", "t", "y", "1.0"), ("0", "false", "no", "f", "n", "0.0", "")

# Columns that describe the file or how it was labelled, not what it shows.
_ABOUT_THE_FILE: tuple[str, ...] = (
    "width",
    "height",
    "size",
    "id",
    "index",
    "url",
    "md5",
    "sha1",
    "sha256",
    "hash",
    "uuid",
    "filesize",
)
_ABOUT_THE_FILE += ("file_size", "annotator", "annotated_by", "labeler", "labeller", "labelled_by", "labeled_by")
_ABOUT_THE_FILE += (
    "reviewer",
    "worker",
    "comment",
    "comments",
    "remark",
    "remarks",
    "license",
    "author",
    "photographer",
)
# Of these it is the numbers that tell: "top" may be a garment, and "time" day or night.
_MEASURED: tuple[str, ...] = (
    "date",
    "time",
    "datetime",
    "timestamp",
    "created",
    "modified",
    "latitude",
    "longitude",
    "lat",
    "lon",
    "lng",
)
_MEASURED += (
    "xmin",
    "ymin",
    "xmax",
    "ymax",
    "x",
    "y",
    "w",
    "h",
    "x1",
    "y1",
    "x2",
    "y2",
    "left",
    "top",
    "right",
    "bottom",
)
_DECIMAL = re.compile(r"[+-]?[0-9]*\.[0-9]*[1-9][0-9]*([eE][+-]?[0-9]+)?")
_NUMBER_OF = re.compile(r".*[ _-](?:id|ids|idx|uid|index|number|nr)|(?:id|idx)[ _-].*|unnamed: \d+|idx|uid|nr")
_DIGITS = re.compile(r"[+-]?\d[\d.:/ T+-]*")
_SEPARATORS = (";", "|", ",")


def split_meaning(title: str, cells: Sequence[str]) -> dict[str, str] | str | None:
    """What the cells of a column mean as splits: cell -> train, val or test; a sentence where that is open; else None.

    None: the column is no split.
    """
    name = re.sub(r"[ _-]+", "_", title.strip().casefold())
    found = sorted(set(cells))
    shown = ", ".join(f"'{cell}'" for cell in found[:4])
    known = {cell.casefold() for cell in found}
    if name in _OF_ONE:
        if not known <= {*_TRUE, *_FALSE} or not known & set(_TRUE):
            return None
        this, other = _OF_ONE[name], "train" if _OF_ONE[name] != "train" else "test"
        return {cell: this if cell.casefold() in _TRUE else other for cell in found}
    if name not in _SPLITS:
        return None
    given = known - {""}
    if given and given <= SPLIT_NAMES.keys():
        return {cell: SPLIT_NAMES[cell.casefold()] for cell in found if cell}
    if given == set(_NUMBERED) and name != "fold":
        return {cell: _NUMBERED[cell] for cell in found if cell}
    if name != "fold" and given and all(re.fullmatch(r"[0-9]+(\.0+)?", cell) for cell in given) and len(given) <= 3:
        return f"holds {shown}, and nothing says which of them is train, val or test"
    return None


def is_split_title(title: str) -> bool:
    """Whether a column is called like a split."""
    return re.sub(r"[ _-]+", "_", title.strip().casefold()) in (*_SPLITS, *_OF_ONE)


def no_attribute(title: str, counts: Mapping[str, int], distinct: int, *, most: int) -> str | None:
    """Why a column that nobody named is plainly no attribute, or None.

    Args:
        title: of the column.
        counts: its labels, and how often each occurs.
        distinct: how many values the labels are, spelled alike.
        most: values that an attribute may have.
    """
    named = "name the column to import it all the same"
    if not counts:
        return "is blank in every row"
    name = title.strip().casefold()
    if is_split_title(title):
        return f"is called like a split ({named})"
    numbers = all(_DIGITS.fullmatch(label) for label in counts)
    if name in _ABOUT_THE_FILE or (name in _MEASURED and numbers and distinct > 2):
        return f"describes the file ({named})"
    if _NUMBER_OF.fullmatch(name) and (numbers or distinct > 2):
        return f"is called like a number of something ({named}; --group-column keeps together what shares one)"
    several = several_labels(counts)
    if several is not None:
        return (
            f"holds several labels in a cell, such as '{several[0]}' (--several '{title}' makes an attribute of each)"
        )
    if distinct > most:
        return f"holds {distinct} different values, more than {most} ({named})"
    decimal = next((label for label in counts if _DECIMAL.fullmatch(label)), None)
    if decimal is not None:
        return f"holds decimal numbers such as {decimal} ({named})"
    if distinct > 2 and distinct == Counter(counts).total():
        return "holds a different value in every row"
    return None


def several_labels(counts: Mapping[str, int]) -> tuple[str, str] | None:
    """A cell with several labels and what separates them; None where cells hold one label each.

    Several they are when parts come back: alone, or beside other parts.

    >>> several_labels({"animal;pet": 3, "animal": 2, "plant": 4})
    ('animal;pet', ';')
    >>> several_labels({"t-shirt": 3, "black/white": 2, "red": 4}) is None
    True
    """
    for separator in _SEPARATORS:
        divided = [label for label in counts if len(parts(label, separator)) > 1]
        met = Counter(part for label in counts for part in set(parts(label, separator)))
        if divided and sum(met[part] > 1 for label in divided for part in parts(label, separator)) >= len(divided):
            return divided[0], separator
    return None


def parts(cell: str, separator: str) -> list[str]:
    """The labels of a cell, without spaces around them, each once."""
    return list(dict.fromkeys(part.strip() for part in cell.split(separator) if part.strip()))
