"""The records of a search that are about single images, written at its end, before `result.json` makes it finished."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from torch import nn

from foundation.files import write_json
from graftnet.picturing import write_pictures
from graftnet.plans import SearchPlan
from graftnet.scored_images import ImageFile, scored_images, write_predictions
from nas.kept_scores import read_scores
from nas.settings import JobData
from subdatasets.splits import SPLITS

NOT_WANTED = "this project keeps no pictures (`pictures = false` in graftnet.toml)"


def image_files(plan: SearchPlan) -> dict[str, list[ImageFile]]:
    """The images of each split in the order of its features, named as they lie in the project's folder."""
    home = plan.project.folder

    def named(path: Path) -> ImageFile:
        name = path.relative_to(home) if path.is_relative_to(home) else path
        return ImageFile(path, name.as_posix(), plan.hashes[path])

    return {split: [named(example.path) for example in plan.subdataset.split(split)] for split in SPLITS}


def record_images(
    job: JobData,
    folder: Path,
    branch: nn.Module,
    files: Mapping[str, Sequence[ImageFile]] | None,
    *,
    threshold: float | None,
    device: torch.device,
    pictures: bool = True,
) -> None:
    """Write ``predictions.csv`` and ``pictures.json``, from the scores that the job kept; nothing is measured again.

    pictures: whether the second may hold any; the file is there in any case, and says what it lacks.
    """
    features = {"train": job.train, "val": job.val} | ({} if job.test is None else {"test": job.test})
    labels = {split: part.labels for split, part in features.items()}
    rows = scored_images(read_scores(folder), labels, files, threshold)
    write_predictions(folder / "predictions.csv", rows, job.values)
    if not pictures:
        write_json(folder / "pictures.json", {"missing": [NOT_WANTED]})
        return
    examples = list(zip(files["train"], labels["train"].tolist(), strict=True)) if files else []
    write_pictures(
        folder / "pictures.json", rows, examples, job.values, branch=branch, features=features, device=device
    )
