"""What trunks are judged with: their features of one set of images, a linear probe and one fixed branch."""

import json
import os
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from branches.branch import Branch
from branches.settings import FitSettings
from branches.training import Fit, fit
from foundation.files import replace_atomically
from search_spaces import Architecture, macro_space
from subdatasets.image_files import content_hash
from subdatasets.subdataset import SubDataset
from trunk.features.source import ArrayFeatures, LabelledFeatures
from trunk.images import pixel_batches
from trunk.precision import autocast, resolve_precision
from trunk.preprocessing import Preprocessing
from trunk.trunk import Trunk

BATCH_SIZE = 128


class Pictures:
    """Distinct images of several sub-datasets, decoded once and held as uint8 (N, S, S, 3)."""

    def __init__(self, subdatasets: Iterable[SubDataset], preprocessing: Preprocessing, splits: Iterable[str]) -> None:
        wanted, examples = set(splits), [e for subdataset in subdatasets for e in subdataset.examples]
        paths = list(dict.fromkeys(example.path for example in examples if example.split in wanted))
        self.preprocessing = preprocessing
        self.row = {path: row for row, path in enumerate(paths)}
        self.pixels = torch.cat(list(pixel_batches(paths, preprocessing, BATCH_SIZE)))

    @torch.inference_mode()
    def features(self, trunk: Trunk, depth: int) -> Tensor:
        """float16 (N, C, H, W): every image through the trunk once, in its number format of training."""
        device = torch.device("cpu")
        limit, found = torch.finfo(torch.float16).max, []
        for pixels in self.pixels.split(BATCH_SIZE):
            with autocast(resolve_precision("auto", device), device):
                features = trunk(self.preprocessing.normalise(pixels), depth)
            found.append(features.float().clamp(-limit, limit).half().contiguous(memory_format=torch.channels_last))
        return torch.cat(found)

    def labelled(self, features: Tensor, subdataset: SubDataset, split: str) -> LabelledFeatures:
        """One split of a sub-dataset, in its order."""
        examples = subdataset.split(split)
        rows = torch.tensor([self.row[example.path] for example in examples])
        labels = torch.tensor([example.value for example in examples])
        return LabelledFeatures(ArrayFeatures(features[rows]), labels, len(subdataset.attribute.values))


def shrunk(subdatasets: list[SubDataset], preprocessing: Preprocessing, folder: Path) -> list[SubDataset]:
    """The same sub-datasets over copies of their images at the trunk's size, as PNG: the same pixels, read faster."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = list(dict.fromkeys(e.path for subdataset in subdatasets for e in subdataset.examples))
    copies = {path: folder / f"{content_hash(path)[:16]}.png" for path in paths}
    missing = [path for path in paths if not copies[path].exists()]
    decoded = (pixels.numpy() for batch in pixel_batches(missing, preprocessing, 32) for pixels in batch)
    for path, pixels in zip(missing, decoded, strict=True):
        image = Image.fromarray(pixels)
        replace_atomically(copies[path], lambda temporary, image=image: image.save(temporary, "PNG"))
    return [replace(s, examples=tuple(replace(e, path=copies[e.path]) for e in s.examples)) for s in subdatasets]


def some(split: LabelledFeatures, rows: np.ndarray[Any, Any]) -> LabelledFeatures:
    """These rows of a split."""
    index = torch.from_numpy(rows)
    assert isinstance(split.features, ArrayFeatures)
    return LabelledFeatures(ArrayFeatures(split.features.array[index]), split.labels[index], split.values)


def fixed_branch() -> Architecture:
    """Two 3x3 convolutions of width 32 in a chain, average pooling, and the trunk's averaged features beside it."""
    space = macro_space(2, widths=(32,), operations=("conv3x3",), activations=("relu",), poolings=("average",))
    answers: dict[str, Any] = {"edge1-2": True, "head.shortcut": True}
    return space.architecture([d.choices.index(answers.get(d.name, d.choices[0])) for d in space.decisions])


def fitted_branch(
    train: LabelledFeatures, val: LabelledFeatures, settings: FitSettings, seed: int
) -> tuple[Branch, Fit]:
    """The fixed branch, trained from scratch."""
    generator = torch.Generator().manual_seed(seed)
    branch = Branch(fixed_branch(), train.features.shape, train.values, generator=generator)
    return branch, fit(branch, train, val, settings, seed=seed)


def read_records(path: Path) -> list[dict[str, Any]]:
    """The finished lines of a file; a line that a kill tore is left out."""
    if not path.exists():
        return []
    found = []
    for line in path.read_text(encoding="utf-8").splitlines():
        try:
            found.append(json.loads(line))
        except json.JSONDecodeError:
            continue
    return found


def append_record(path: Path, record: dict[str, Any]) -> None:
    """Add one line, at once and on a line of its own."""
    path.parent.mkdir(parents=True, exist_ok=True)
    torn = path.exists() and not path.read_bytes().endswith(b"\n") and path.stat().st_size > 0
    line = ("\n" if torn else "") + json.dumps(record) + "\n"
    with open(path, "ab", buffering=0) as file:
        os.write(file.fileno(), line.encode())
