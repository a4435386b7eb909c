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
    "sha",
    "checksum",
    "mimetype",
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
_FOLDS = ("fold", "folds", "kfold", "k_fold", "cv", "cv_fold", "fold_nr")
# How people name the splits in cells, beside `SPLIT_NAMES`.
_SPLIT_WORDS = SPLIT_NAMES | {
    **dict.fromkeys(
        ("trn", "tr", "entrainement", "entraînement", "treino", "entrenamiento", "训练", "训练集"), "train"
    ),
    **dict.fromkeys(("dev", "development", "devel", "validierung", "validación", "validação", "验证", "验证集"), "val"),
    **dict.fromkeys(("tst", "teste", "prueba", "测试", "测试集"), "test"),
}
# Titles that name whom or what several images are of, where the cells are numbers or codes.
_OF_WHOM: tuple[str, ...] = (
    "patient",
    "subject",
    "person",
    "identity",
    "individual",
    "specimen",
    "video",
    "clip",
    "sequence",
    "scene",
)
_OF_WHOM += ("session", "burst", "track", "case", "study", "slide", "animal", "participant")
_CODE = re.compile(r"[^\W\d]{0,12}[ _-]?\d+")
_ENDINGS = ("jpg", "jpeg", "png", "webp", "gif", "bmp", "tif", "tiff", "heic", "raw", "mp4", "avi", "mov")
_COMMA_NUMBER = re.compile(r"[+-]?\d+,\d+")
_DECIMAL = re.compile(r"[+-]?[0-9]*[.,][0-9]*[1-9][0-9]*([eE][+-]?[0-9]+)?")
_NUMBER_OF = re.compile(r".*[ _-](?:id|ids|idx|uid|index|number|nr)|(?:id|idx)[ _-].*|unnamed:_?\d+|idx|uid|nr")
_DIGITS = re.compile(r"[+-]?\d[\d.:/ T+-]*")
_SEPARATORS = (";", "|", ",")


def split_meaning(title: str, cells: Sequence[str]) -> dict[str, str] | str | None:
    """What the cells of a column mean as splits: cell -> train, val or test; a sentence where that is open; else None.

    None: the column is no split.
    """
    name = _plain(title)
    found = sorted(set(cells))
    shown = ", ".join(f"'{cell}'" for cell in found[:4])
    known = {cell.casefold() for cell in found}
    if name in _OF_ONE:
        if not known <= {*_TRUE, *_FALSE} or not known & set(_TRUE):
            return None
        this, other = _OF_ONE[name], "train" if _OF_ONE[name] != "train" else "test"
        return {cell: this if cell.casefold() in _TRUE else other for cell in found}
    given = known - {""}
    meant = {_SPLIT_WORDS[word] for word in given if word in _SPLIT_WORDS}
    if name not in _SPLITS:
        # Whatever the column is called: who writes train, val and test in every row speaks of splits.
        whole = given == known and given <= _SPLIT_WORDS.keys() and "train" in meant and len(meant) > 1
        return {cell: _SPLIT_WORDS[cell.casefold()] for cell in found} if whole else None
    if given and given <= _SPLIT_WORDS.keys():
        return {cell: _SPLIT_WORDS[cell.casefold()] for cell in found if cell}
    if "train" in meant:
        return f"holds {shown}, and nothing says which of them is train, val or test"
    if given == set(_NUMBERED) and name != "fold":
        return {cell: _NUMBERED[cell] for cell in found if cell}
    if name != "fold" and given and all(re.fullmatch(r"[0-9]+(\.0+)?", cell) for cell in given) and len(given) <= 3:
        return f"holds {shown}, and nothing says which of them is train, val or test"
    return None


def is_split_title(title: str) -> bool:
    """Whether a column is called like a split."""
    return _plain(title) in (*_SPLITS, *_OF_ONE)


def _plain(title: str) -> str:
    """A title as it is compared: "isTrain", "Is train" and "is_train" are one."""
    return re.sub(r"[ _-]+", "_", re.sub(r"(?<=[a-z])(?=[A-Z])", "_", title.strip()).casefold())


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
    name = _plain(title)
    numbers = all(_DIGITS.fullmatch(label) for label in counts)
    if is_split_title(title) or (name in _FOLDS and numbers):
        return f"is called like a split ({named})"
    if {label.casefold().lstrip(".").removeprefix("image/") for label in counts} <= {*_ENDINGS}:
        return f"describes the file ({named})"
    if name in _ABOUT_THE_FILE or (name in _MEASURED and numbers and distinct > 2):
        return f"describes the file ({named})"
    codes = name in _OF_WHOM and all(_CODE.fullmatch(label) for label in counts)
    if (codes or _NUMBER_OF.fullmatch(name)) and (numbers or distinct > 2) and (distinct > 2 or not codes):
        return f"is called like a number of something ({named}; --group-column keeps together what shares one)"
    # Of several labels in a cell some rows have but one; "0,5" in every row is a number.
    commas = all(_COMMA_NUMBER.fullmatch(label) for label in counts)
    several = None if commas else several_labels(counts)
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
