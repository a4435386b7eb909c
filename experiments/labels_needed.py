"""Labels that `graftnet label` needs to be as good as 1,000 labels of pictures drawn at random.

    python -m experiments.labels_needed PROJECT --attributes hat scarf trousers [--seeds 0 1 2] [--pool N] [--test N]

The project's sub-datasets answer (an oracle); their train and val images are the pool, their test images are measured
and never asked about. Both ways ask in pages of 24 and keep 30 % of the pictures for val and test, as the page does;
`random` draws the rest too, `chosen` takes what `graftnet.data.labelling.choosing` says. What is compared after each
page is the test AUROC of the page's own probe, fitted on the labels of train. PROJECT has a trunk; the averages of its
depths are computed once and kept.

OUT gets a line per attribute, way and seed, with the whole curve; the table is printed.
"""

import argparse
import json
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

import numpy as np
import torch
from scipy.stats import t as student

from branches.measures.metrics import auroc
from foundation.provenance import machine
from graftnet.data.labelling.choosing import choose, random_count, shuffled, split_of
from graftnet.data.labelling.fitting import fitted_scores, reduced
from graftnet.project.folder import Project, open_project
from graftnet.searches.features import cache_of
from graftnet.terminal.output import show_progress
from graftnet.trunks.versions import open_trunk
from subdatasets.image_files import content_hashes
from trunk.features.averages import AverageCache

PAGE, SHARE, LABELS = 24, 0.3, 1000
HOLDS = 3  # pages that must reach a figure before it counts as reached
CPU = torch.device("cpu")
REDUCED: dict[tuple[str, ...], Any] = {}  # the same images of several attributes are read once


class Oracle:
    """The averages of an attribute's images, their labels, and which of them are the pool and which are test."""

    def __init__(self, project: Project, name: str, *, pool: int, test: int) -> None:
        examples = project.read(name).examples
        drawn = np.random.default_rng(0).permutation(len(examples)).tolist()
        tested = [number for number in drawn if examples[number].split == "test"][: test or None]
        asked = [number for number in drawn if examples[number].split != "test"][: pool or None]
        chosen = [examples[number] for number in [*asked, *tested]]
        trunk = open_trunk(project, CPU)
        averages = AverageCache(cache_of(project, trunk))
        with show_progress() as progress:
            hashes = content_hashes([example.path for example in chosen], progress=progress)
            averages.fill({content: path for path, content in hashes.items()}, progress=progress)
        self.contents = [hashes[example.path] for example in chosen]
        key = tuple(self.contents)
        if key not in REDUCED:
            REDUCED[key] = reduced(averages.read(self.contents), seed=0)
        self.rows = REDUCED[key]
        self.labels = np.array([example.value for example in chosen], dtype=np.int64)
        self.pool, self.test = np.arange(len(asked)), np.arange(len(asked), len(chosen))
        self.values = len(project.read(name).attribute.values)


def curve(oracle: Oracle, way: str, seed: int) -> list[dict[str, Any]]:
    """After each page: labels given, those of train, examples of the rarest value in train, and the test AUROC."""
    split = {number: split_of(oracle.contents[number], seed=seed, share=SHARE) for number in oracle.pool.tolist()}
    number = {oracle.contents[each]: each for each in oracle.pool.tolist()}
    order = [number[content] for content in shuffled(list(number), seed=seed)]
    free = [each for each in order if split[each] == "train"]
    known: list[int] = []
    scores, labelled, held_out, points = None, 0, 0, []
    rarest = int(np.bincount(oracle.labels[oracle.pool]).argmin())
    while labelled < LABELS and len(known) < len(free):
        at_random = random_count(PAGE, held_out, labelled, SHARE)
        if way == "random":
            known = free[: len(known) + PAGE - at_random]
        else:
            counts = np.bincount(oracle.labels[known], minlength=oracle.values).tolist()
            waiting = np.setdiff1d(free, known)
            known += choose(oracle.rows, waiting, scores, counts, PAGE - at_random, seed=(seed + labelled) % 2**32)
        held_out, labelled = held_out + at_random, labelled + PAGE
        given = oracle.labels[known]
        scores = fitted_scores(oracle.rows, np.array(known), given, oracle.values)
        test = 0.5 if scores is None else auroc(scores[oracle.test], oracle.labels[oracle.test])
        points.append({"labels": labelled, "train": len(known), "rare": int((given == rarest).sum()), "auroc": test})
    return points


def reached(scores: list[float], labels: list[int], target: float) -> int | None:
    """The labels at which a figure is reached that then stays for some pages; None where it never is."""
    for place in range(len(scores) - HOLDS + 1):
        if min(scores[place : place + HOLDS]) >= target:
            return labels[place]
    return None


def interval(differences: list[float]) -> str:
    """The mean, and its 95 % t interval."""
    half = student.ppf(0.975, len(differences) - 1) * stdev(differences) / len(differences) ** 0.5
    return f"{fmean(differences):+.3f} [{fmean(differences) - half:+.3f}, {fmean(differences) + half:+.3f}]"


def row(name: str, oracle: Oracle, curves: dict[str, list[list[dict[str, Any]]]]) -> str:
    """The line of an attribute in the table."""
    random_end = [points[-1]["auroc"] for points in curves["random"]]
    labels = [point["labels"] for point in curves["chosen"][0]]
    half = labels.index(min(labels, key=lambda count: abs(count - LABELS / 2)))
    mean = [fmean(points[place]["auroc"] for points in curves["chosen"]) for place in range(len(labels))]
    single = [
        reached([point["auroc"] for point in points], labels, target)
        for points, target in zip(curves["chosen"], random_end, strict=True)
    ]
    needed = reached(mean, labels, fmean(random_end))
    ends = sorted(each if each is not None else LABELS + 1 for each in single)
    span = ", ".join(str(each) if each <= LABELS + PAGE and each != LABELS + 1 else "never" for each in ends)
    share = (oracle.labels[oracle.pool] == np.bincount(oracle.labels[oracle.pool]).argmin()).mean()
    cells = [
        name,
        f"{share:.0%}",
        f"{fmean(random_end):.3f}",
        f"{fmean(points[half]['auroc'] for points in curves['random']):.3f}",
        f"{mean[half]:.3f}",
        interval([points[half]["auroc"] - end for points, end in zip(curves["chosen"], random_end, strict=True)]),
        str(needed or "never"),
        span,
        f"{fmean(points[-1]['rare'] for points in curves['random']):.0f}",
        f"{fmean(points[half]['rare'] for points in curves['chosen']):.0f}",
    ]
    return "| " + " | ".join(cells) + " |"


HEAD = (
    "| attribute | share of the rarer value | random, 1,000 | random, 500 | chosen, 500 | chosen 500 - random 1,000 "
    "| labels needed | by seed | rare in train: random 1,000 | chosen 500 |"
)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("project", type=Path)
    parser.add_argument("--attributes", nargs="+", required=True)
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2, 3, 4])
    parser.add_argument("--pool", type=int, default=0, help="pictures that may be asked about; 0: all")
    parser.add_argument("--test", type=int, default=0, help="pictures that are measured; 0: all")
    parser.add_argument("--out", type=Path, default=Path("labels_needed.jsonl"))
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    project = open_project(arguments.project)
    lines = [HEAD, "|" + " --- |" * (HEAD.count("|") - 1)]
    with open(arguments.out, "a", encoding="utf-8") as out:
        for name in arguments.attributes:
            oracle = Oracle(project, name, pool=arguments.pool, test=arguments.test)
            curves: dict[str, list[list[dict[str, Any]]]] = {"random": [], "chosen": []}
            for way, found in curves.items():
                for seed in arguments.seeds:
                    found.append(curve(oracle, way, seed))
                    record = {"attribute": name, "way": way, "seed": seed, "curve": found[-1]}
                    out.write(json.dumps({**record, "machine": machine(CPU)}) + "\n")
            lines.append(row(name, oracle, curves))
    print("\n".join(lines))


if __name__ == "__main__":
    main()
