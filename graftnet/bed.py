"""Where a branch is trained or measured: one version of the trunk, one attribute's data, one cut."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from branches.metrics import measure
from branches.records import load_branch
from branches.training import predict_scores
from foundation.progress import Progress
from graftnet.featuring import check_values, featured
from graftnet.one_attribute import project_of
from graftnet.project import Project
from subdatasets.contents import content_hashes
from subdatasets.subdataset import SubDataset, read_subdataset
from trunk.features import LabelledFeatures
from trunk.precision import resolve_precision
from trunk.trunk import Trunk

Figures = dict[str, float | None]


@dataclass(frozen=True)
class Bed:
    """view: of the project, on this version of the trunk. hashes: the content hash of every image."""

    view: Project
    trunk: Trunk
    subdataset: SubDataset
    hashes: Mapping[Path, str]
    depth: int

    @property
    def precision(self) -> str:
        """The number format that the trunk computes in."""
        return resolve_precision(self.view.config.trunk.feature_precision, self.device)

    @property
    def device(self) -> torch.device:
        return next(self.trunk.parameters()).device

    def splits(self, progress: Progress | None) -> dict[str, LabelledFeatures]:
        """Labelled features of every split as the trunk gives them, whole; computed where they are missing."""
        trunk_table = self.view.config.trunk.model_copy(update={"freeze_depth": self.depth})
        view = replace(self.view, config=self.view.config.model_copy(update={"trunk": trunk_table})).uncompressed
        return featured(
            view, self.trunk, self.subdataset, hashes=self.hashes, precision=self.precision, progress=progress
        )


def bed_for(view: Project, trunk: Trunk, attribute: str, depth: int) -> Bed:
    """Read the attribute's sub-dataset as it is today.

    Raises:
        ConfigError, DataError: it is gone, or cannot be used. TrunkError: the trunk cannot be cut there.
    """
    view = project_of(view, attribute)
    subdataset = read_subdataset(view.source(attribute), seed=view.config.project.seed)
    check_values(subdataset)
    hashes = content_hashes([example.path for example in subdataset.examples])
    return Bed(view, trunk, subdataset, hashes, trunk.check_depth(depth))


def measured(
    bed: Bed, branch: Path, progress: Progress | None = None
) -> tuple[dict[str, Figures | None], npt.NDArray[np.float64] | None]:
    """What a saved branch scores on today's images at its own threshold: {"val", "test"}, and its test scores (N, V).

    Without a test split, ``test`` and the scores are None.
    """
    module, record = load_branch(branch)
    module.to(bed.device)
    held_out = tuple(example for example in bed.subdataset.examples if example.split != "train")
    splits = replace(bed, subdataset=replace(bed.subdataset, examples=held_out)).splits(progress)
    figures: dict[str, Figures | None] = {"val": None, "test": None}
    scores = None
    for split in figures:
        scores = scores_on(module, splits[split], bed.device)
        if scores is not None:
            figures[split] = measure(scores, splits[split].labels.numpy(), threshold=record.threshold)
    return figures, scores


def scores_on(module: torch.nn.Module, part: LabelledFeatures, device: torch.device) -> npt.NDArray[np.float64] | None:
    """Probabilities (N, V) of a split; None where it is empty."""
    return predict_scores(module, part.features, device=device) if len(part) else None
