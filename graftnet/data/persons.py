"""Persons cut out of photos: which segmenter, where the crops go, and the sub-datasets made of them."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from foundation.files import described_file, set_aside
from foundation.history import Progress
from graftnet.data.imports import ImportChoices, import_labels_table, import_lines
from graftnet.errors import ConfigError
from graftnet.project.folder import IMAGES, Project
from subdatasets.importing.depth import depth_note
from subdatasets.importing.write import ImportSummary
from subdatasets.persons.crops import Crop, CropSettings, Pixels, Segmenter, person_crops
from subdatasets.persons.masks import MaskFiles
from subdatasets.persons.write import BOXES, CROPS, RECORDS, TABLE, PersonsSummary, read_photos, write_persons

FOLDER = "persons"  # below a project's data/images


class Persons(NamedTuple):
    """What a call made: crops and tables, in a project the sub-datasets; files passed over, by reason; a note."""

    crops: PersonsSummary
    imported: ImportSummary | None
    passed_over: Mapping[str, int]
    note: str = ""


def segmenter_of(masks: Path | None, weights: Path | None, *, device: str) -> Segmenter:
    """Masks on disk, or Mask R-CNN with weights from a file or by download.

    Raises:
        ConfigError: both are named. DataError: they cannot be read.
    """
    if masks is not None and weights is not None:
        raise ConfigError("Persons come from --masks or from --weights; give one of them.")
    if masks is not None:
        return MaskFiles(masks)
    from graftnet.project.machine import choose_device
    from subdatasets.persons.mask_rcnn import load_mask_rcnn

    return load_mask_rcnn(weights, device=str(choose_device(device)))


def finder(weights: Path | None, *, smallest: int, device: str) -> Callable[[Pixels], list[Crop]]:
    """What `graftnet serve` asks for the persons in a picture from memory: Mask R-CNN, and the crops of what it finds.

    Raises:
        DataError: the weights cannot be read.
    """
    segmenter, settings = segmenter_of(None, weights, device=device), CropSettings(smallest=smallest)
    return lambda image: person_crops(image, segmenter(image), settings)


def cut_persons(
    project: Project | None,
    source: Path,
    segmenter: Segmenter,
    settings: CropSettings,
    *,
    out: Path | None = None,
    images: Path | None = None,
    columns: Sequence[str] | None = None,
    to_all: bool = False,
    replace: bool = False,
    seed: int = 0,
    progress: Progress | None = None,
) -> Persons:
    """Cut persons out of the photos of ``source``; without ``out``, into the project and its sub-datasets.

    Raises:
        ConfigError: neither a project nor ``out``. DataError: of the photos and masks, or of the import.
    """
    folder = out or (project.data / IMAGES / FOLDER if project else Path(FOLDER))
    passed_over: dict[str, int] = {}
    # The crops of an earlier call may lie among the photos; they are no photos.
    ours = [folder / CROPS] if (folder / RECORDS).is_dir() else []
    photos = read_photos(source, images=images, columns=columns, besides=ours, passed_over=passed_over)
    if out is None and project is None:
        raise ConfigError("There is no project here to put the persons into; name a folder with --out DIR.")
    set_strangers_aside(folder, replace=replace)
    white = project.config.data.white if project else 0
    deep = depth_note([photo.path for photo in photos], set_white=white)
    memory = project.memory if project else None
    crops = write_persons(
        photos, folder, segmenter, settings, to_all=to_all, white=white, progress=progress, memory=memory
    )
    if out is not None or project is None or not photos[0].labels:
        return Persons(crops, None, passed_over, deep[0] if deep else "")
    choices = ImportChoices(only=tuple(columns or ()), replace=replace)
    imported = import_labels_table(project, crops.table, folder, choices, seed=seed)
    return Persons(crops, imported, passed_over, deep[0] if deep else "")


def set_strangers_aside(place: Path, *, replace: bool) -> None:
    """Keep tables of these names that no earlier call wrote there.

    Raises:
        ConfigError: there are some, and they are not to be replaced.
    """
    strangers = [path for path in (place / BOXES, place / TABLE) if path.exists() and not (place / RECORDS).is_dir()]
    for path in strangers:
        if not replace:
            raise ConfigError(
                f"{path} is there already and no earlier call wrote it ({described_file(path)}); choose another --out, "
                "or add --replace, which keeps it under a dated name."
            )
        set_aside(path)


def persons_record(people: Persons) -> dict[str, Any]:
    """What came out."""
    attributes = people.imported.subdatasets if people.imported else ()
    return {
        **people.crops._asdict(),
        "passed_over": dict(people.passed_over),
        "notes": [people.note] if people.note else [],
        "attributes": {subdataset.attribute.name: subdataset.counts() for subdataset in attributes},
    }


def persons_lines(people: Persons) -> list[str]:
    """What came out, for a person."""
    crops = people.crops
    lines = [
        f"{crops.crops:,} persons cut out: of {crops.one:,} photos one, of {crops.several:,} several, of "
        f"{crops.none:,} none ({crops.computed:,} photos done now).",
        f"  boxes  {crops.boxes}",
        f"  labels {crops.table}",
        *(f"passed over: {count:,} {reason}" for reason, count in people.passed_over.items()),
        *([f"note: {people.note}"] if people.note else []),
    ]
    if people.imported is None:
        return [*lines, f"Next: graftnet data import {crops.table}"]
    return [*lines, *import_lines(people.imported)]
