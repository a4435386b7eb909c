"""INDeeD against multi-label training alone, both from published weights, on the 58 tags of the clothing photographs.

The form of INDeeD's table 5 ("pre-trained", Adiya and Lee), on photographs: trained on the train split, tested on all
test images and on those with the fewest tags (`--few` or fewer; no photograph has one tag alone). mAP over the tags
that the tested images have and lack.

    python -m experiments.indeed_clothing labels.csv PHOTOS OUT --trunk TRUNK [--seeds 0 1 2] [--steps 400]

TRUNK is a trunk's folder: `runs/trunk/VERSION` of a project where `graftnet trunk use imagenet` was called. Each
training continues after a stop, and has its line in OUT/records.jsonl when it is done.
"""

import argparse
from dataclasses import replace
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

import numpy as np
import torch

from experiments.iml_gcn_data import clothing_table
from experiments.indeed_measures import average_precisions, markdown
from experiments.indeed_voc import ARMS
from experiments.trunk_judging import append_record, read_records
from experiments.voc_folder import VocPart, subdatasets_of
from graftnet.terminal.output import show_progress
from subdatasets.labels.table import LabelTable
from trunk.pretraining.methods import IndeedPretraining
from trunk.pretraining.multi_label import MultiLabelPretraining
from trunk.pretraining.settings import PretrainSettings, settings_from
from trunk.trunk import Trunk

COMPARED = ("baseline", "INDeeD min-max", "INDeeD L2")


def part_of(table: LabelTable, split: str, kept: np.ndarray | None = None) -> VocPart:
    """The images of one split, with the chosen tags alone."""
    own = table.of_split(split)
    return VocPart(own.images, own.states if kept is None else own.states[:, kept])


def trained(
    arm: str, part: VocPart, names: tuple[str, ...], start: Trunk, settings: PretrainSettings, seed: int, folder: Path
) -> MultiLabelPretraining:
    """One training, continued where it was stopped."""
    data = (subdatasets_of(part, names), start.backbone, start.preprocessing, settings)
    keywords: dict[str, Any] = {"folder": folder, "seed": seed, "start": start}
    indeed = ARMS[arm]
    training = (
        MultiLabelPretraining(*data, **keywords)
        if indeed is None
        else IndeedPretraining(*data, indeed=indeed, **keywords)
    )
    training.resume()
    with show_progress() as progress:
        training.run(progress=lambda _, *rest: progress(folder.name, *rest))
    return training


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("labels", type=Path)
    parser.add_argument("photos", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--trunk", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=400)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--few", type=int, default=6)
    parser.add_argument("--threads", type=int, default=2)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    table, start = clothing_table(arguments.labels, arguments.photos), Trunk.load(arguments.trunk)
    # A tag that no training image has, or all have, has nothing to learn from.
    states = table.of_split("train").states
    kept = np.flatnonzero((states == 1).any(axis=0) & (states == 0).any(axis=0))
    names = tuple(table.labels[column] for column in kept)
    train, test = part_of(table, "train", kept), part_of(table, "test", kept)
    few = (test.labels == 1).sum(axis=1) <= arguments.few
    print(
        f"{len(names)} tags; train {len(train.paths)}, test {len(test.paths)}, of few tags {int(few.sum())}", flush=True
    )
    settings = settings_from(PretrainSettings(tune_steps=arguments.steps), weights=True)
    settings = replace(settings, validate_every=settings.steps)
    for seed in arguments.seeds:
        for arm in COMPARED:
            identity = {"arm": arm, "seed": seed, "steps": arguments.steps, "start": start.fingerprint}
            if any(identity.items() <= record.items() for record in read_records(arguments.out / "records.jsonl")):
                continue
            folder = arguments.out / f"{arm.replace(' ', '-')}-{seed}"
            scores = trained(arm, train, names, start, settings, seed, folder).scores(test.paths)
            figures = {
                "few": float(np.nanmean(average_precisions(scores[few], test.labels[few]))),
                "entire": float(np.nanmean(average_precisions(scores, test.labels))),
            }
            append_record(arguments.out / "records.jsonl", {**identity, **figures})
    rows = []
    for arm in COMPARED:
        found = [r for r in read_records(arguments.out / "records.jsonl") if r["arm"] == arm]
        rows.append([arm, *(spread([record[test] for record in found]) for test in ("few", "entire"))])
    print(markdown(["mAP, %", "few tags", "all test images"], rows))


def spread(values: list[float]) -> str:
    """Mean, and deviation over seeds, in percent."""
    return f"{100 * fmean(values):.2f}" + (f" ± {100 * stdev(values):.2f}" if len(values) > 1 else "")


if __name__ == "__main__":
    main()
