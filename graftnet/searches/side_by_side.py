"""Compare an attribute's branch on the old trunk with the one on the new: figures of both on the same images."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from branches.measures.metrics import measure, paired_bootstrap
from branches.saved import load_branch
from branches.training import predict_scores
from foundation.history import Progress
from graftnet.project.folder import Project
from graftnet.searches.features import AttributeData, whole_data
from graftnet.terminal.output import text_table
from trunk.features.source import LabelledFeatures
from trunk.trunk import Trunk

ROUNDS = 300
Figures = dict[str, float | None]


@dataclass(frozen=True)
class Renewed:
    """One attribute's branch on both trunks; ``error`` says why there is no new one.

    branch: the new one's folder. old, new: {"val", "test"}, on today's images; "test" is None without a test split.
    difference: of the metric on test, new less old, with its 95 % interval over images.
    """

    attribute: str
    metric: str
    old: Mapping[str, Figures | None]
    new: Mapping[str, Figures | None] | None = None
    branch: Path | None = None
    difference: tuple[float, float, float] | None = None
    error: str | None = None

    def value(self, side: str, split: str) -> float | None:
        """The metric of side "old" or "new" on a split; None where it is not known."""
        figures = (self.old if side == "old" else self.new or {}).get(split)
        return figures[self.metric] if figures else None

    def record(self) -> dict[str, Any]:
        """Plain values for --json and for ``switch.json``."""
        return {
            "attribute": self.attribute,
            "old": dict(self.old),
            "new": dict(self.new) if self.new else None,
            "difference": list(self.difference) if self.difference else None,
            "branch": str(self.branch) if self.branch else None,
            "error": self.error,
        }


def compare_branches(
    old: tuple[Project, Trunk, Path],
    new: tuple[Project, Trunk, Path],
    metric: str,
    *,
    seed: int,
    progress: Progress | None = None,
) -> Renewed:
    """Both branches on today's images; where the attribute's values changed, the old one's recorded figures.

    Args:
        old, new: a view of the project on a trunk, that trunk, and the folder of the branch.
    """
    before, after = load_branch(old[2])[1], load_branch(new[2])[1]
    data = whole_data(*new[:2], after.attribute, after.freeze_depth)
    figures, scores = measure_branch(data, new[2], progress)
    if before.values != data.subdataset.attribute.values:
        return Renewed(after.attribute, metric, before.metrics, figures, new[2])
    view = replace(data.project, version=old[0].version)
    old_data = replace(data, project=view, trunk=old[1], depth=before.freeze_depth)
    old_figures, old_scores = measure_branch(old_data, old[2], progress)
    difference = None
    if scores is not None and old_scores is not None:
        labels = [example.value for example in data.subdataset.split("test")]
        difference = paired_bootstrap(scores, old_scores, labels, metric, seed % 2**32, rounds=ROUNDS)
    return Renewed(after.attribute, metric, old_figures, figures, new[2], difference)


def measure_branch(
    data: AttributeData, branch: Path, progress: Progress | None = None
) -> tuple[dict[str, Figures | None], npt.NDArray[np.float64] | None]:
    """What a saved branch scores on today's images at its own threshold: {"val", "test"}, and its test scores (N, V).

    Without a test split, ``test`` and the scores are None.
    """
    module, record = load_branch(branch)
    module.to(data.device)
    held_out = tuple(example for example in data.subdataset.examples if example.split != "train")
    splits = replace(data, subdataset=replace(data.subdataset, examples=held_out)).splits(
        sources=bool(record.sources), progress=progress
    )
    figures: dict[str, Figures | None] = {"val": None, "test": None}
    scores = None
    for split in figures:
        scores = scores_on(module, splits[split], data.device)
        if scores is not None:
            figures[split] = measure(scores, splits[split].labels.numpy(), threshold=record.threshold)
    return figures, scores


def scores_on(module: torch.nn.Module, part: LabelledFeatures, device: torch.device) -> npt.NDArray[np.float64] | None:
    """Probabilities (N, V) of a split; None where it is empty."""
    return predict_scores(module, part.features, device=device) if len(part) else None


def table_lines(branches: Sequence[Renewed], old: str, new: str) -> list[str]:
    """The figures side by side, a line per attribute, for a person."""
    if not branches:
        return ["No branch is grafted."]
    metric = branches[0].metric.replace("_", " ")
    rows: list[tuple[str, ...]] = [("attribute", "val old", "val new", "test old", "test new", "test new - old")]
    for renewed in branches:
        if renewed.error:
            rows.append((renewed.attribute, f"FAILED: {renewed.error}"))
            continue
        cells = (score_text(renewed.value(side, split)) for split in ("val", "test") for side in ("old", "new"))
        rows.append((renewed.attribute, *cells, difference_text(renewed.difference)))
    return [f"{metric} on trunk {old} (old) and {new} (new)", *text_table(rows, "<>>>>")]


def score_text(value: float | None) -> str:
    return "-" if value is None else f"{value:.4f}"


def difference_text(difference: tuple[float, float, float] | None) -> str:
    """The difference with its 95 % interval over images."""
    if difference is None:
        return "not comparable"
    return "{:+.4f} [{:+.4f}, {:+.4f}]".format(*difference)
