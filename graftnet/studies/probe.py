"""Probe the trunk's depths for attributes: one pass over their images, fits, records, and the table that is shown.

Train fits and val judges; the test split's images are not read.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from branches.costs.trunk import depth_milliseconds
from branches.measures.depths import PENALTIES, DepthScore, ProbedRows, advised, probe_depths
from foundation.files import write_json
from foundation.history import Progress
from foundation.provenance import identity_of, machine, this_command, timestamp
from graftnet.errors import ConfigError
from graftnet.project.folder import Project, open_project
from graftnet.project.machine import choose_device
from graftnet.searches.features import cache_of, check_values, device_of
from graftnet.terminal.output import Answer, show_progress, text_table
from graftnet.trunks.advice import probe_file, probes_on, shared_advice
from graftnet.trunks.versions import open_trunk
from subdatasets.subdataset import SubDataset, image_hashes
from trunk.backbones.find import find_backbone
from trunk.features.averages import AverageCache
from trunk.trunk import Trunk

FLOOR = (
    "The table is a floor, what a depth's averages hold: a trained branch reads whole maps, and one from the middle of "
    "the trunk can beat every probe (with 6,700 images it did)."
)
RULE = (
    "Advised (*): the cheapest depth whose val AUROC falls short of the best one by no more than one standard error of "
    "the difference (paired bootstrap over val images)."
)


def probe_call(folder: Path | None, attributes: Sequence[str], *, device: str) -> Answer:
    """Probe attributes of a project, by default all, as the command line does."""
    project = open_project(folder)
    with show_progress() as progress:
        record = probe_attributes(project, attributes, device=choose_device(device), progress=progress)
    return Answer(record, "\n".join(probe_lines(record)))


def probe_attributes(
    project: Project, attributes: Sequence[str], *, device: torch.device, progress: Progress | None = None
) -> dict[str, Any]:
    """Probe attributes (none named: all) on the trunk in use, write their records, and say what they advise.

    Images whose averages are kept, of whichever attribute, do not pass the trunk again; what was stopped goes on.

    Raises:
        ConfigError, DataError: an attribute is unknown, or cannot be used. TrunkError: there is no trunk.
    """
    names = list(dict.fromkeys(attributes)) or project.questions()
    if not names:
        raise ConfigError(f"{project.data} has no sub-dataset; bring one in with `graftnet data import`.")
    subdatasets = [seen(project.read(name)) for name in names]
    trunk = open_trunk(project, device)
    hashes = image_hashes(subdatasets, progress=progress, memory=project.memory)
    averages = AverageCache(cache_of(project, trunk))
    averages.fill({content: path for path, content in hashes.items()}, progress=progress)
    milliseconds = depth_milliseconds(trunk)
    for number, subdataset in enumerate(subdatasets):
        if progress:
            progress("probe", number, len(subdatasets), {})
        record = probe_one(trunk, averages, subdataset, hashes, milliseconds)
        write_json(probe_file(project, trunk.fingerprint, subdataset.attribute.name), record)
    if progress:
        progress("probe", len(subdatasets), len(subdatasets), {})
    probes = probes_on(project, trunk.fingerprint)
    return {
        "fingerprint": trunk.fingerprint,
        "attributes": {name: probes[name] for name in names},
        "project": shared_advice(probes),
        "floor": FLOOR,
    }


def seen(subdataset: SubDataset) -> SubDataset:
    """The images that a probe may look at: those of train and val, which must hold every value."""
    check_values(subdataset)
    return replace(subdataset, examples=tuple(example for example in subdataset.examples if example.split != "test"))


def probe_one(
    trunk: Trunk,
    averages: AverageCache,
    subdataset: SubDataset,
    hashes: Mapping[Path, str],
    milliseconds: Sequence[float],
) -> dict[str, Any]:
    """Fit every depth for one attribute: the record of its probe."""
    splits = {}
    for split in ("train", "val"):
        examples = subdataset.split(split)
        labels = np.array([example.value for example in examples], dtype=np.int64)
        splits[split] = ProbedRows(averages.read([hashes[example.path] for example in examples]), labels)
    probed = probe_depths(splits["train"], splits["val"], averages.widths)
    names = find_backbone(trunk.backbone).block_names
    rows = [
        {
            "depth": depth,
            "name": names[depth - 1],
            **dict(zip(("channels", "height", "width"), trunk.feature_shape(depth), strict=True)),
            **score_record(score),
            "milliseconds": round(milliseconds[depth - 1], 3),
        }
        for depth, score in zip(trunk.depths, probed.scores, strict=True)
    ]
    return {
        "attribute": subdataset.attribute.name,
        "values": list(subdataset.attribute.values),
        "fingerprint": trunk.fingerprint,
        "backbone": trunk.backbone,
        "data": identity_of(
            {"rows": sorted((hashes[each.path], each.split, each.value) for each in subdataset.examples)}
        ),
        "images": {split: len(rows_of.labels) for split, rows_of in splits.items()},
        "depths": rows,
        "joined": {"channels": sum(averages.widths), **score_record(probed.joined)},
        "advised": advised([score.auroc for score in probed.scores], probed.covariance),
        "covariance": probed.covariance.tolist(),
        "penalties": list(PENALTIES),
        "precision": averages.cache.precision,
        "command": this_command(),
        "created": timestamp(),
        "machine": machine(device_of(trunk)),
    }


def score_record(score: DepthScore) -> dict[str, float]:
    """A score as the record holds it."""
    return {"auroc": score.auroc, "low": score.low, "high": score.high, "inverse_penalty": score.inverse_penalty}


HEAD = ("", "depth", "name", "channels", "map", "val AUROC", "95 % interval", "ms")
MEAN_HEAD = ("", "depth", "name", "channels", "map", "mean val AUROC", "ms")


def probe_lines(record: Mapping[str, Any]) -> list[str]:
    """The tables as text: one per attribute, one of the means where there are several, and what follows from them."""
    lines: list[str] = []
    for name, probe in record["attributes"].items():
        images = probe["images"]
        lines += [f"{name}: {images['train']:,} images of train, {images['val']:,} of val"]
        lines += [*text_table([HEAD, *attribute_rows(probe)], "<><>>><>"), ""]
    together = record["project"]
    if len(together["attributes"]) > 1:
        rows = [
            (*depth_cells(row, together["advised"]), f"{row['auroc']:.3f}", milliseconds_cell(row))
            for row in together["depths"]
        ]
        lines += [f"All {len(together['attributes'])} attributes that were probed on this trunk"]
        lines += [*text_table([MEAN_HEAD, *rows], "<><>>>>"), ""]
    own = [f"{name} {record['attributes'][name]['advised']}" for name in record["attributes"]]
    return [
        *lines,
        RULE,
        FLOOR,
        f"Advice: depth {together['advised']} for the project; by attribute: {', '.join(own)}. New searches take it "
        f"where trunk.freeze_depth is 0.",
    ]


def attribute_rows(probe: Mapping[str, Any]) -> list[tuple[str, ...]]:
    """A row per depth, the advised one marked, and one of all depths joined."""
    rows = [
        (*depth_cells(row, probe["advised"]), f"{row['auroc']:.3f}", interval_cell(row), milliseconds_cell(row))
        for row in probe["depths"]
    ]
    joined = probe["joined"]
    whole = ("", "all", "joined", f"{joined['channels']:,}", "", f"{joined['auroc']:.3f}", interval_cell(joined), "")
    return [*rows, whole]


def depth_cells(row: Mapping[str, Any], marked: int) -> tuple[str, ...]:
    """What a depth is; the mark of the advised one before it."""
    mark = "*" if row["depth"] == marked else ""
    return mark, str(row["depth"]), row["name"], f"{row['channels']:,}", f"{row['height']}x{row['width']}"


def interval_cell(score: Mapping[str, Any]) -> str:
    """The interval as text."""
    return f"{score['low']:.3f} to {score['high']:.3f}"


def milliseconds_cell(row: Mapping[str, Any]) -> str:
    """The trunk's time down to a depth, for one image."""
    return f"{row['milliseconds']:.2f}"
