"""INDeeD on PASCAL VOC 2007: all or multi-label training images, tested on single-label or all test images.

Tables 3 (from scratch) and 5 and figure 4 of INDeeD (Adiya and Lee). `all` trains on trainval, `split` on its images of
two classes or more; `single` tests on the test images of one class, `entire` on all. For these choices a "difficult"
object counts as present: by the published label table that gives 2,203 and 2,841 images, near the paper's 2,208 and
2,848 (without them it would be 1,908 and 3,192). As a label of that class it is unknown: neither trained nor scored.

    python -m experiments.indeed_voc VOCdevkit/VOC2007 OUT_FOLDER --device cuda --epochs 400

Differs from the paper: AdamW and a half cosine after a warm-up, in place of Adam and OneCycleLR. The paper gives no
image size (224 here), batch size (64) or lambda (1). Every training continues after a stop, and has its line in
OUT_FOLDER/voc.jsonl when it is done.
"""

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np

from experiments.confidence_map import confidence_csv, confidence_figure, confidence_map
from experiments.indeed_measures import average_precisions, markdown
from experiments.voc_folder import VocPart, read_part, subdatasets_of
from foundation.files import write_bytes
from graftnet.project.machine import choose_device
from graftnet.terminal.output import show_progress
from trunk.preprocessing import Preprocessing
from trunk.pretraining.methods import IndeedPretraining
from trunk.pretraining.multi_label import MultiLabelPretraining
from trunk.pretraining.settings import IndeedSettings, PretrainSettings

ARMS: dict[str, IndeedSettings | None] = {
    "baseline": None,
    "INDeeD min-max": IndeedSettings("minmax"),
    "INDeeD L2": IndeedSettings("l2"),
    "identical min-max": IndeedSettings("minmax", blocks="identical"),
    "identical L2": IndeedSettings("l2", blocks="identical"),
    "disparate min-max": IndeedSettings("minmax", blocks="disparate"),
    "disparate L2": IndeedSettings("l2", blocks="disparate"),
}
TRAININGS, TESTS = ("all", "split"), ("single", "entire")


def trained(
    arm: str, part: VocPart, classes: tuple[str, ...], folder: Path, arguments: argparse.Namespace
) -> MultiLabelPretraining:
    """One training, continued where it was stopped."""
    steps = max(1, arguments.epochs * (len(part.paths) // arguments.batch_size))
    settings = PretrainSettings(steps=steps, batch_size=arguments.batch_size, warmup_steps=steps // 20)
    data = (subdatasets_of(part, classes), arguments.backbone, Preprocessing(arguments.size), settings)
    keywords: dict[str, Any] = {"folder": folder, "seed": arguments.seed, "device": choose_device(arguments.device)}
    indeed = ARMS[arm]
    if indeed is None:
        training = MultiLabelPretraining(*data, **keywords)
    else:
        training = IndeedPretraining(*data, indeed=indeed, **keywords)
    training.resume()
    with show_progress() as progress:
        training.run(progress=progress)
    training.graph.to(training.device)
    return training


def measured(training: MultiLabelPretraining, test: VocPart) -> dict[str, Any]:
    """mAP on all test images and on those of one class, and the confidence map of the latter."""
    scores = training.scores(test.paths)
    single = test.classes_per_image == 1
    return {
        "single": float(np.nanmean(average_precisions(scores[single], test.labels[single]))),
        "entire": float(np.nanmean(average_precisions(scores, test.labels))),
        "confidence": np.nan_to_num(confidence_map(scores[single], test.labels[single])).round(4).tolist(),
        "seconds": round(training.seconds, 1),
    }


def table(records: list[dict[str, Any]]) -> str:
    """mAP as in table 3: a row per arm, a column per training and test."""
    rows = []
    for arm in dict.fromkeys(record["arm"] for record in records):
        cells = []
        for part in TRAININGS:
            found = [record for record in records if (record["arm"], record["training"]) == (arm, part)]
            cells += [f"{100 * fmean(one[test] for one in found):.2f}" if found else "–" for test in TESTS]
        rows.append([arm, *cells])
    return markdown(["mAP, %", *(f"{part}, {test}" for part in TRAININGS for test in TESTS)], rows)


def main(call: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("voc", type=Path, help="a VOC2007 folder with ImageSets and JPEGImages")
    parser.add_argument("out", type=Path)
    parser.add_argument("--backbone", default="tresnet_m")
    parser.add_argument("--size", type=int, default=224, help="of the images, in pixels")
    parser.add_argument("--epochs", type=int, default=400)
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--arms", nargs="+", choices=tuple(ARMS), default=list(ARMS))
    parser.add_argument("--trainings", nargs="+", choices=TRAININGS, default=list(TRAININGS))
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--device", default="auto")
    arguments = parser.parse_args(call)
    trainval, classes = read_part(arguments.voc, "trainval")
    test, _ = read_part(arguments.voc, "test")
    parts = {"all": trainval, "split": trainval.of(trainval.classes_per_image >= 2)}
    singles = int((test.classes_per_image == 1).sum())
    print(f"train: all {len(parts['all'].paths)}, split {len(parts['split'].paths)}; ", end="")
    print(f"test: entire {len(test.paths)}, single {singles}", flush=True)
    path = arguments.out / "voc.jsonl"
    records = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()] if path.exists() else []
    shared = {name: getattr(arguments, name) for name in ("backbone", "size", "epochs", "batch_size", "seed")}
    for name in arguments.trainings:
        for arm in arguments.arms:
            identity = {"training": name, "arm": arm, **shared}
            if any(identity.items() <= record.items() for record in records):
                continue
            folder = arguments.out / "-".join(map(str, identity.values())).replace(" ", "_")
            records.append({**identity, **measured(trained(arm, parts[name], classes, folder, arguments), test)})
            write_bytes(path, "".join(json.dumps(record) + "\n" for record in records).encode())
    mine = [record for record in records if shared.items() <= record.items()]
    print(table(mine))
    maps = [
        [(f"{one['training']}, {one['arm']}", np.array(one["confidence"])) for one in mine if one["training"] == name]
        for name in dict.fromkeys(record["training"] for record in mine)
    ]
    confidence_figure(maps, classes).savefig(arguments.out / "voc_confidence.png", dpi=110)
    for title, values in (pair for row in maps for pair in row):
        target = arguments.out / f"voc_{title.replace(', ', '_').replace(' ', '_')}.csv"
        target.write_text(confidence_csv(values, classes), encoding="utf-8")


if __name__ == "__main__":
    main()
