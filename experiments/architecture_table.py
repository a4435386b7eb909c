"""Train every network of a small macro space from scratch on a project's cached features: a table to judge searches by.

    python -m experiments.architecture_table PROJECT OUT ATTR... [--images 2000] [--epochs 8] [--part 1/2]

The space has 360 different networks (768 architectures, many of which build the same one): one or two nodes of four
operations, three widths, two poolings, with and without the trunk's own features. Each is trained by the defaults of
`[retrain]` on the first `--images` training images of a seeded shuffle, and scored by its best AUROC on val; test is
never read. OUT/ATTR.jsonl has a line per network: called again, the script goes on with what is missing. `--seed 1`
trains each anew, into OUT/ATTR-seed1.jsonl, which tells how much of a difference is noise. `--part I/N` takes every
N-th network, for several processes.
"""

import argparse
import json
import os
import time
from pathlib import Path

import numpy as np
import torch

from branches.branch import Branch
from branches.costs.module import parameters
from branches.settings import FitSettings
from branches.training import fit
from foundation.provenance import seed_of
from graftnet.project.folder import open_project
from graftnet.searches.run import job_data, plan_search
from graftnet.trunks.versions import open_trunk
from search_spaces import Architecture, Space, macro_space
from trunk.features.source import ArrayFeatures, LabelledFeatures

SPACE = macro_space(
    2,
    widths=(8, 16, 32),
    depths=(1, 2),
    operations=("conv3x3", "separable5x5", "average_pool3x3", "max_pool3x3"),
    activations=("relu",),
)


def networks(space: Space) -> list[Architecture]:
    """One architecture of each different network, in the order of their indices."""
    sizes = [len(decision.choices) for decision in space.decisions]
    found: dict[object, Architecture] = {}
    for indices in np.ndindex(*sizes):
        architecture = space.architecture(indices)
        found.setdefault(space.key(architecture), architecture)
    return list(found.values())


def in_memory(split: LabelledFeatures, limit: int | None) -> LabelledFeatures:
    """The split, or a seeded part of it, as float16 in memory."""
    order = np.random.default_rng(0).permutation(len(split))[:limit]
    index = torch.from_numpy(np.sort(order))
    features = split.features.gather(index).half().contiguous(memory_format=torch.channels_last)
    return LabelledFeatures(ArrayFeatures(features), split.labels[index], split.values)


def load_splits(project_folder: Path, attribute: str, images: int | None) -> tuple[LabelledFeatures, LabelledFeatures]:
    """An attribute's train split (or part of it) and val split, from the project's feature cache."""
    project, device = open_project(project_folder), torch.device("cpu")
    trunk = open_trunk(project, device)
    job = job_data(plan_search(project, trunk, attribute, seed=0, device=device), trunk)
    return in_memory(job.train, images), in_memory(job.val, None)


def finished(path: Path) -> set[str]:
    """The identities of the networks that the file has."""
    if not path.exists():
        return set()
    return {json.loads(line)["identity"] for line in path.read_text(encoding="utf-8").splitlines()}


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("project", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("attributes", nargs="+")
    parser.add_argument("--images", type=int, default=2000)
    parser.add_argument("--epochs", type=int, default=8)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--part", default="1/1")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    part, parts = map(int, arguments.part.split("/"))
    settings = FitSettings(epochs=arguments.epochs)
    arguments.out.mkdir(parents=True, exist_ok=True)
    mine = networks(SPACE)[part - 1 :: parts]
    for attribute in arguments.attributes:
        train, val = load_splits(arguments.project, attribute, arguments.images)
        path = arguments.out / f"{attribute}{f'-seed{arguments.seed}' if arguments.seed else ''}.jsonl"
        done = finished(path)
        for architecture in mine:
            if architecture.identity in done:
                continue
            started = time.perf_counter()
            seed = seed_of(arguments.seed, "table", attribute, architecture.identity)
            branch = Branch(
                architecture, train.features.shape, train.values, generator=torch.Generator().manual_seed(seed)
            )
            score = fit(branch, train, val, settings, seed=seed).val_score
            record = {
                "identity": architecture.identity,
                "architecture": architecture.to_json(),
                "val_auroc": score,
                "parameters": parameters(branch),
                "seconds": round(time.perf_counter() - started, 3),
            }
            line = (json.dumps(record) + "\n").encode()
            with open(path, "ab", buffering=0) as file:
                os.write(file.fileno(), line)
        print(f"{attribute}: {len(finished(path))} of {len(networks(SPACE))} networks", flush=True)


if __name__ == "__main__":
    main()
