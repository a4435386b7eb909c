"""Photos to persons: crops on disk, their boxes, and a table of labels that can be imported like any other.

`out/crops/*.png`, `out/boxes.csv` (path, image, person, left, top, right, bottom, score), `out/persons.csv` (path, the
columns of the photos' table, split where it has one, group). A photo's record is written when its crops are; a job that
was killed and is called again does what is missing, and photos, masks or settings that changed are done anew.
"""

import csv
import hashlib
import io
import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from PIL import Image

from foundation.files import write_bytes
from foundation.history import Progress
from subdatasets.errors import DataError
from subdatasets.files.memory import FileMemory
from subdatasets.image_files import content_hashes, read_image
from subdatasets.persons.crops import CropSettings, Segmenter, person_crops
from subdatasets.reading.forms import PATH_COLUMNS, cell, group_of, ragged, required_column
from subdatasets.reading.problems import Problem, Reading, refusal
from subdatasets.reading.tables import Locations, read_table
from subdatasets.reading.walk import images_below, leave_out_nowhere

OWN_COLUMNS = ("split", "group")


class Photo(NamedTuple):
    """An image file, {column: cell} of its labels ("" where unknown), its split ("" where none is given), its group."""

    path: Path
    labels: dict[str, str]
    split: str = ""
    group: str | None = None


def read_photos(
    source: Path,
    *,
    images: Path | None = None,
    columns: Sequence[str] | None = None,
    besides: Sequence[Path] = (),
    passed_over: dict[str, int] | None = None,
) -> list[Photo]:
    """The photos of a folder and all folders in it, or of a table; each once.

    Args:
        source: the folder or the table.
        images: the folder that relative paths of a table count from; None: the table's.
        columns: the columns of labels to keep; None: all but those of the path, the split and the group.
        besides: folders in the folder whose pictures are no photos, such as the crops of an earlier call.
        passed_over: gets what is passed over in a folder, reason -> how many.

    Raises:
        DataError: no image, a table that cannot be read, a row without its image, a photo twice, an unknown column.
    """
    if source.is_dir():
        reading = Reading(source.name, source)
        found = sorted(images_below(source.absolute(), reading, besides=besides))
        lost = leave_out_nowhere(found, reading)
        files = [file for file in found if file not in lost]
        if not files:
            listed = ", ".join(f"{count:,} {reason}" for reason, count in reading.passed_over.items())
            seen = f" (passed over: {listed})" if listed else ""
            raise DataError(f"there is no image in {source}{seen}: name a folder of pictures, or a table of them")
        if passed_over is not None:
            passed_over.update(reading.passed_over)
        return [Photo(path, {}) for path in files]
    table = read_table(source)
    file_column = required_column(table, "path", PATH_COLUMNS)
    own = {title: table.column(title) for title in OWN_COLUMNS}
    kept = {title: required_column(table, title, (title,)) for title in columns or ()}
    if columns is None:
        taken = {file_column, *own.values()}
        kept = {title: column for column, title in enumerate(table.header) if title and column not in taken}
    locations = Locations(images or source.absolute().parent)
    problems: list[Problem] = []
    photos: dict[Path, Photo] = {}
    for row in table.rows:
        name = cell(row.cells, file_column)
        path = locations.existing(name) if name else None
        wrong = ragged(row, table)
        if wrong is None and path is None:
            wrong = f"there is no image {name!r} in {locations.folder} (correct or delete the row)"
        elif wrong is None and path in photos:
            wrong = f"{name!r} is there twice (keep one row for each image)"
        if wrong is not None or path is None:
            problems.append(Problem("error", source, row.line, str(wrong)))
            continue
        labels = {title: cell(row.cells, column) for title, column in kept.items()}
        photos[path] = Photo(path, labels, cell(row.cells, own["split"]), group_of(row.cells, own["group"]))
    if problems:
        raise refusal(source, problems)
    if not photos:
        raise DataError(f"{source} has a header and no rows: add one row per photo")
    return list(photos.values())


CROPS, RECORDS, BOXES, TABLE = "crops", "records", "boxes.csv", "persons.csv"
BOX_COLUMNS = ("left", "top", "right", "bottom")


class PersonsSummary(NamedTuple):
    """What a job made: `table` is to be imported; photos with no, one and several persons; crops; photos done now."""

    table: Path
    boxes: Path
    none: int
    one: int
    several: int
    crops: int
    computed: int


def write_persons(
    photos: Sequence[Photo],
    out: Path,
    segmenter: Segmenter,
    settings: CropSettings,
    *,
    to_all: bool = False,
    white: int = 0,
    progress: Progress | None = None,
    memory: FileMemory | None = None,
) -> PersonsSummary:
    """Cut the persons out of every photo, and write the two tables when all are done.

    Args:
        to_all: whether a photo's labels are given to each of several persons, which is right for labels of the scene;
            otherwise only to a person who is alone in the photo, for nobody knows whose hat it is.
        white: of grey photos of 16 or 32 bits, whose crops have 8; 0: what their files can hold.
        progress: hears the stage "photos".
        memory: of files, which need not be read again.

    Raises:
        DataError: a photo or mask that is missing (found before the first is cut) or broken; or no person at all.
    """
    hashes = content_hashes([photo.path for photo in photos], memory=memory)
    locations = Locations(out)
    names = [locations.cell(photo.path) for photo in photos]
    keys = [
        _key(hashes[photo.path], name, segmenter.identity(photo.path), settings, white)
        for photo, name in zip(photos, names, strict=True)
    ]
    crops_of: list[list[dict[str, Any]]] = []
    computed = 0
    for number, (photo, key) in enumerate(zip(photos, keys, strict=True), 1):
        crops = _recorded(out, key)
        if crops is None:
            crops = _cut(photo, out, key, segmenter, settings, white)
            computed += 1
        crops_of.append(crops)
        if progress is not None:
            progress("photos", number, len(photos), {"persons": sum(len(boxes) for boxes in crops_of)})
    counts = [len(crops) for crops in crops_of]
    if not any(counts):
        raise DataError(
            f"no person was found in {len(photos):,} photos: lower the score of {settings.score:g}, or the "
            f"smallest side of {settings.smallest} pixels"
        )
    _write_boxes(names, crops_of, out)
    _write_table(photos, names, crops_of, out, to_all=to_all)
    one = counts.count(1)
    none, several = counts.count(0), len(counts) - counts.count(0) - one
    return PersonsSummary(out / TABLE, out / BOXES, none, one, several, sum(counts), computed)


def _key(content: str, name: str, segmenter: str, settings: CropSettings, white: int) -> str:
    """The name is part of it: two photos alike under two names may be labelled differently."""
    identity = json.dumps([content, name, segmenter, asdict(settings), *([white] if white else [])], sort_keys=True)
    return hashlib.sha256(identity.encode("utf-8")).hexdigest()[:24]


def _recorded(out: Path, key: str) -> list[dict[str, Any]] | None:
    """The crops of a photo that is done; None where its record or one of its crops is missing."""
    try:
        crops: list[dict[str, Any]] = json.loads((out / RECORDS / f"{key}.json").read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        return None
    return crops if all((out / CROPS / crop["file"]).is_file() for crop in crops) else None


def _cut(
    photo: Photo, out: Path, key: str, segmenter: Segmenter, settings: CropSettings, white: int
) -> list[dict[str, Any]]:
    pixels = np.asarray(read_image(photo.path, white=white or None))
    crops = []
    for number, crop in enumerate(person_crops(pixels, segmenter(pixels, photo.path), settings)):
        encoded = io.BytesIO()
        Image.fromarray(crop.pixels).save(encoded, "PNG", compress_level=3)
        name = f"{key}-{number}.png"
        write_bytes(out / CROPS / name, encoded.getvalue(), durable=False, error=DataError)
        crops.append({"file": name, "box": list(crop.box), "score": crop.score})
    write_bytes(out / RECORDS / f"{key}.json", json.dumps(crops).encode(), durable=False, error=DataError)
    return crops


def _write_boxes(names: Sequence[str], crops_of: Sequence[list[dict[str, Any]]], out: Path) -> None:
    rows = [
        [f"{CROPS}/{crop['file']}", name, number, *crop["box"], f"{crop['score']:.4f}"]
        for name, crops in zip(names, crops_of, strict=True)
        for number, crop in enumerate(crops)
    ]
    write_bytes(out / BOXES, _csv([["path", "image", "person", *BOX_COLUMNS, "score"], *rows]), error=DataError)


def _write_table(
    photos: Sequence[Photo],
    names: Sequence[str],
    crops_of: Sequence[list[dict[str, Any]]],
    out: Path,
    *,
    to_all: bool,
) -> None:
    """Persons of one photo form a group, so that they share a split."""
    titles = list(photos[0].labels)
    with_split = any(photo.split for photo in photos)
    rows = []
    for photo, name, crops in zip(photos, names, crops_of, strict=True):
        known = to_all or len(crops) == 1
        labels = [photo.labels[title] if known else "" for title in titles]
        about = [*([photo.split] if with_split else []), photo.group or name]
        rows += [[f"{CROPS}/{crop['file']}", *labels, *about] for crop in crops]
    write_bytes(
        out / TABLE, _csv([["path", *titles, *(["split"] if with_split else []), "group"], *rows]), error=DataError
    )


def _csv(rows: Sequence[Sequence[object]]) -> bytes:
    text = io.StringIO(newline="")
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue().encode("utf-8")
