"""Record what a report shows of single images: every score, and pictures of mistakes, examples and activation maps.

`pictures.json` holds small pictures inside, so that a page is made of it where the images are not.
"""

import base64
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from torch import Tensor, nn

from branches.activation_maps import CAM, activation_maps
from branches.errors import BranchError
from branches.measures.metrics import Scores
from foundation.files import write_json
from nas.job.predictions import ImageFile, ScoredImage, most_confident, scored_images, write_predictions
from nas.settings import JobData
from subdatasets.errors import DataError
from subdatasets.image_files import read_image
from trunk.features.source import LabelledFeatures

SIDE = 96  # pixels, of the longer side
SHARP = 48  # a picture this small is kept without loss
MISTAKES, MAPPED, EXAMPLES = 24, 12, 30  # pictures in all, shared out among the values
MAP_VALUES = 6  # maps of so many values at most
NOT_WANTED = "this project keeps no pictures (`pictures = false` in graftnet.toml)"
NO_IMAGES = "the search was given features, not images"


def record_images(
    job: JobData,
    folder: Path,
    branch: nn.Module,
    scores: Mapping[str, Scores],
    files: Mapping[str, Sequence[ImageFile]] | None,
    *,
    threshold: float | None,
    device: torch.device,
    pictures: bool = True,
) -> None:
    """Write ``predictions.csv`` and ``pictures.json``, from the winner's scores; nothing is measured again.

    branch: as it was trained, on the features of the job. scores: (N, V) on "val" and, where there is one, on "test".
    pictures: whether the second may hold any; the file is there in any case, and says what it lacks.
    """
    features = {"train": job.train, "val": job.val} | ({} if job.test is None else {"test": job.test})
    labels = {split: part.labels for split, part in features.items()}
    rows = scored_images(scores, labels, files, threshold)
    write_predictions(folder / "predictions.csv", rows, job.values)
    if not pictures:
        write_json(folder / "pictures.json", {"missing": [NOT_WANTED]})
        return
    examples = list(zip(files["train"], labels["train"].tolist(), strict=True)) if files else []
    write_pictures(
        folder / "pictures.json", rows, examples, job.values, branch=branch, features=features, device=device
    )


def write_pictures(
    path: Path,
    rows: Sequence[ScoredImage],
    examples: Sequence[tuple[ImageFile, int]],
    values: Sequence[str],
    *,
    branch: nn.Module,
    features: Mapping[str, LabelledFeatures],
    device: torch.device,
) -> None:
    """Write the record, whole or not at all. An image that is gone by now is left out and counted.

    rows: the scored images. examples: training images with their values. branch: as it was trained, on the features of
    the splits in `features`; activation maps are of val, mistakes of test where there is one.
    """
    if not rows or rows[0].file is None:
        write_json(path, {"missing": [NO_IMAGES]})
        return
    lost: list[str] = []
    wrong = [row for row in rows if row.split == ("test" if "test" in features else "val")]
    mistakes = most_confident(wrong, right=False, values=len(values), each=max(2, MISTAKES // len(values)))
    shown = {
        "mistakes": kept(mistakes, values, lost),
        "examples": kept_examples(examples, values, lost),
        "activation": activation(rows, values, branch, features["val"], device, lost),
    }
    counts = {"shown": len(shown["mistakes"]), "of": sum(not row.right for row in wrong), "images": len(wrong)}
    gone = f"{len(lost)} images could not be read any more (first: {lost[0]})" if lost else ""
    write_json(path, {**shown, "counts": counts, "missing": [gone] if gone else []})


def kept(rows: Sequence[ScoredImage], values: Sequence[str], lost: list[str]) -> list[dict[str, Any]]:
    """What is recorded of scored images; those that cannot be read are named in `lost`."""
    records = []
    for row in rows:
        assert row.file is not None
        if picture := thumbnail(row.file, lost):
            about = {"split": row.split, "image": row.file.name, "content": row.file.content}
            answer = {"label": values[row.label], "predicted": values[row.predicted]}
            records.append({**about, **answer, "score": float(row.scores[row.predicted]), "picture": picture})
    return records


def kept_examples(
    examples: Sequence[tuple[ImageFile, int]], values: Sequence[str], lost: list[str]
) -> list[dict[str, Any]]:
    """A few training images of each value, evenly spread over their order."""
    each, records = max(1, EXAMPLES // len(values)), []
    for value in range(len(values)):
        files = [file for file, of in examples if of == value]
        for file in files[:: max(1, len(files) // each)][:each]:
            if picture := thumbnail(file, lost):
                records.append(
                    {"image": file.name, "content": file.content, "label": values[value], "picture": picture}
                )
    return records[:EXAMPLES]


def activation(
    rows: Sequence[ScoredImage],
    values: Sequence[str],
    branch: nn.Module,
    val: LabelledFeatures,
    device: torch.device,
    lost: list[str],
) -> dict[str, Any]:
    """Maps of the surest hits and mistakes on val, each of the value that was predicted, scaled to -1 .. 1."""
    each = max(1, MAPPED // (2 * len(values)))
    mapped = [row for row in rows if row.split == "val" and row.label < MAP_VALUES]
    chosen = [
        row for right in (True, False) for row in most_confident(mapped, right=right, values=len(values), each=each)
    ]
    try:
        rows_of_split = torch.tensor([row.row for row in chosen], dtype=torch.int64)
        asked = torch.tensor([row.predicted for row in chosen], dtype=torch.int64)
        method, maps = activation_maps(branch, val.features.gather(rows_of_split).to(device), asked.to(device))
    except BranchError as error:
        return {"missing": str(error), "pictures": []}
    pictures = []
    for row, scaled_map in zip(chosen, scaled(maps.cpu()).tolist(), strict=True):
        pictures += [{**record, "map": scaled_map} for record in kept([row], values, lost)]
    how = (
        "CAM: what each position adds to the predicted value's logit, against the others"
        if method == CAM
        else "Grad-CAM: where the branch's last map, weighted by the slope of the predicted value's logit, is strong"
    )
    return {"method": method, "how": how, "pictures": pictures}


def scaled(maps: Tensor) -> Tensor:
    """(N, H, W) -> the same, each map by its largest size, to four digits."""
    largest = maps.abs().amax((1, 2), keepdim=True).clamp(min=1e-12)
    return (maps / largest).double().round(decimals=4)


def thumbnail(file: ImageFile, lost: list[str]) -> str | None:
    """A small picture as a data URL; None, and its name in `lost`, where the image cannot be read."""
    try:
        return small_picture(file.path, SIDE, quality=82, sharp=SHARP, white=file.white)
    except DataError:
        lost.append(file.name)
        return None


def small_picture(path: Path, side: int, *, quality: int, sharp: int = 0, white: int | None = None) -> str:
    """An image as a data URL, its longer side `side` pixels at most: a PNG up to `sharp` pixels, else a JPEG.

    white: of grey pictures of 16 or 32 bits, as the trunk has it: what is shown is what was learnt from.

    Raises:
        DataError: the image cannot be read.
    """
    image = read_image(path, white=white)
    image.thumbnail((side, side), Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    kind = "png" if max(image.size) <= sharp else "jpeg"
    image.save(buffer, kind.upper(), **({"optimize": True} if kind == "png" else {"quality": quality}))
    return f"data:image/{kind};base64,{base64.b64encode(buffer.getvalue()).decode('ascii')}"
