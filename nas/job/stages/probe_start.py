"""Begin a job's branches at the linear probe: the probe, fitted first and once, and whether a search does so.

As in Fixup Initialization: Residual Learning Without Normalization (Zhang, Dauphin, Ma, 2019), arXiv:1901.09321, the
last layer of what is added starts at zero: the shared weights and every training give the probe's own scores at first
(`branches.layers.Head`), and a reward says what a path adds. That takes the head's shortcut, which is no question of
the search then; where limits say what a branch may cost it stays one, and a branch without it begins from nothing.
"""

from dataclasses import replace
from pathlib import Path

import torch

from branches.probe import LinearProbe, Probe, linear_probe
from foundation.files import read_json_if_whole
from nas.settings import BY_HAND, JobData, JobSettings
from search_spaces import Space
from trunk.checkpoints import load_checkpoint, restoring, save_checkpoint

FILE = Path("trainings", "probe_start.safetensors")
SHORTCUT = "head.shortcut"


def as_begun(settings: JobSettings, folder: Path) -> JobSettings:
    """The settings as the search in `folder` follows them: one that began before there was such a start has none."""
    wanted = settings.retrain.probe_start and settings.strategy != BY_HAND
    if wanted and (folder / "config.json").exists():
        wanted = bool(read_json_if_whole(folder / "config.json").get("probe_start", False))
    space = settings.space
    if not wanted:
        return replace(settings, retrain=replace(settings.retrain, probe_start=False))
    return settings if settings.search.limits else replace(settings, space=with_shortcut(space))


def with_shortcut(space: Space) -> Space:
    """The space whose heads all read the trunk's averages, where it has such heads; its settings stay."""
    decisions = tuple(
        replace(decision, choices=(True,)) if decision.name == SHORTCUT and True in decision.choices else decision
        for decision in space.decisions
    )
    return replace(space, decisions=decisions)


def begun(data: JobData, settings: JobSettings, folder: Path) -> JobData:
    """The data with the probe that the job's branches begin at; it is fitted once per folder and metric."""
    if not settings.retrain.probe_start or settings.strategy == BY_HAND or data.probe is not None:
        return data
    path = folder / FILE
    with torch.random.fork_rng(devices=[]):  # a linear layer draws its first weights from torch's own generator
        if not path.exists():
            keep(linear_probe(data.train, data.val, metric=settings.search.reward), path)
        return replace(data, probe=kept(path))


def keep(probe: Probe, path: Path) -> None:
    """Write a fitted probe."""
    linear = probe.module.linear
    tensors = {"weight": linear.weight, "bias": linear.bias, "mean": probe.mean, "variance": probe.variance}
    record = {"inverse_penalty": probe.inverse_penalty, "val_score": probe.val_score, "curve": probe.curve}
    save_checkpoint(
        path,
        {**tensors, "val_scores": torch.from_numpy(probe.val_scores)},
        {**record, "seconds": probe.seconds},
    )


def kept(path: Path) -> Probe:
    """Read what `keep` wrote. Raises: TrunkError for another file."""
    tensors, record = load_checkpoint(path)
    with restoring(path):
        values, channels = tensors["weight"].shape
        module = LinearProbe(channels, values)
        module.linear.load_state_dict({"weight": tensors["weight"], "bias": tensors["bias"]})
        return Probe(
            module.eval(),
            record["inverse_penalty"],
            record["val_score"],
            tensors["val_scores"].numpy(),
            record["curve"],
            tensors["mean"],
            tensors["variance"],
            record["seconds"],
        )
