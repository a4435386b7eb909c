"""Trunks from random and from published weights, judged on the attributes they saw in training and on others.

    python -m experiments.published_trunks TRUNK_PROJECT SEARCH_PROJECT OUT --weights WEIGHTS [--seeds 0 1 2]

The first project's attributes train the trunks, by its [trunk] table; the second's are new to them. Trunks:

- `frozen`: the published weights as they are;
- `dynamic`: the dynamic graph, begun at the published weights (`tune_steps` steps);
- `multi-class`: one softmax over what the images are in all attributes together, begun there (`--least` as in
  `experiments.trunk_claim`);
- `single NAME`: one attribute alone, begun there, for each of `--singles`;
- `random dynamic`: the dynamic graph from random weights (`steps` steps).

Judged per attribute on the image sets' own splits: logistic regression on averaged features of each of `--depths`, of
which val chooses one, the same on all of them joined, and a fixed small branch at the project's freeze depth, of whose
epochs val chooses. At most `--images` training images of a seeded shuffle. Test is measured once.

OUT/records.jsonl has a line per trunk, seed, attribute and head. Called again, the script goes on with what is missing
and prints the tables.
"""

import argparse
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

import numpy as np
import torch
from sklearn.linear_model import LogisticRegression
from torch import Tensor

from branches.measures.depths import fit
from branches.measures.metrics import REWARDS
from branches.settings import FitSettings
from branches.training import predict_scores
from experiments.trunk_claim import together
from experiments.trunk_judging import BATCH_SIZE, append_record, fitted_branch, read_records, some
from foundation.provenance import seed_of
from graftnet.project.folder import Project, open_project
from graftnet.project.settings import depth_of, pretrain_settings
from graftnet.terminal.output import show_progress
from graftnet.trunks.inputs import chosen_input
from subdatasets.subdataset import SubDataset, read_subdataset
from trunk.features.cached import averaged
from trunk.features.source import ArrayFeatures, LabelledFeatures
from trunk.images import pixel_batches
from trunk.precision import autocast, resolve_precision
from trunk.preprocessing import Preprocessing
from trunk.pretraining.loop import Pretraining
from trunk.pretraining.settings import settings_from
from trunk.trunk import Trunk, load_trunk

CPU = torch.device("cpu")
BRANCH = FitSettings(epochs=10)
HALF = (0.5, 0.5, 0.5)
HEADS = ("probe", "joined", "branch")


class Judge:
    """The images that trunks are judged on, each decoded once, and the attributes asked of them."""

    def __init__(
        self, subdatasets: dict[str, SubDataset], depths: list[int], cut: int, images: int, *, branches: bool
    ) -> None:
        self.subdatasets, self.depths, self.cut, self.images = subdatasets, depths, cut, images
        self.branches = branches
        paths = list(dict.fromkeys(e.path for subdataset in subdatasets.values() for e in subdataset.examples))
        self.paths, self.row = paths, {path: row for row, path in enumerate(paths)}

    @torch.inference_mode()
    def passed(self, trunk: Trunk) -> tuple[dict[int, Tensor], Tensor]:
        """Averages per depth, float32 (N, C), and the maps at the cut, float16 (N, C, H, W)."""
        averages: dict[int, list[Tensor]] = {depth: [] for depth in self.depths}
        maps = []
        for pixels in pixel_batches(self.paths, trunk.preprocessing, BATCH_SIZE):
            with autocast(resolve_precision("auto", CPU), CPU):
                captured = trunk.capture(trunk.preprocessing.normalise(pixels), [*self.depths, self.cut])
            for depth in self.depths:
                averages[depth].append(captured[depth].float().mean((2, 3)))
            maps.append(captured[self.cut].half())
        return {depth: torch.cat(parts) for depth, parts in averages.items()}, torch.cat(maps)

    def labelled(self, features: Tensor, subdataset: SubDataset, split: str) -> LabelledFeatures:
        examples = subdataset.split(split)
        rows = torch.tensor([self.row[example.path] for example in examples])
        labels = torch.tensor([example.value for example in examples])
        part = LabelledFeatures(ArrayFeatures(features[rows]), labels, len(subdataset.attribute.values))
        if split != "train":
            return part
        return some(part, np.random.default_rng(0).permutation(len(part))[: self.images])

    def judge(self, trunk: Trunk) -> list[dict[str, Any]]:
        """A record per attribute and head: val and test AUROC."""
        averages, maps = self.passed(trunk)
        joined = torch.cat([averages[depth] for depth in self.depths], dim=1)
        records = []
        for name, subdataset in self.subdatasets.items():
            probes = {str(depth): self.probed(averages[depth], subdataset) for depth in self.depths}
            best = max(probes, key=lambda depth: probes[depth]["val"])
            records.append({"attribute": name, "head": "probe", "depth": best, **probes[best], "depths": probes})
            records.append({"attribute": name, "head": "joined", **self.probed(joined, subdataset)})
            if self.branches:
                records.append({"attribute": name, "head": "branch", **self.branched(maps, subdataset)})
        return records

    def probed(self, features: Tensor, subdataset: SubDataset) -> dict[str, float]:
        parts = [self.labelled(features, subdataset, split) for split in ("train", "val", "test")]
        rows = [averaged(part.features).numpy() for part in parts]
        mean, deviation = rows[0].mean(0), rows[0].std(0)
        deviation[deviation < 1e-6] = 1.0
        train, val, test = ((part - mean) / deviation for part in rows)
        # `fit` scores val; the regression that val picks is fitted once more for test, the only time it is looked at.
        score, penalty, _ = fit(train, parts[0].labels.numpy(), val, parts[1].labels.numpy())
        model = LogisticRegression(C=penalty, max_iter=100, tol=1e-3).fit(train, parts[0].labels.numpy())
        return {"val": score, "test": auroc(model.predict_proba(test), parts[2])}

    def branched(self, features: Tensor, subdataset: SubDataset) -> dict[str, float]:
        train, val, test = (self.labelled(features, subdataset, split) for split in ("train", "val", "test"))
        name = subdataset.attribute.name
        branch, kept = fitted_branch(train, val, BRANCH, seed_of(0, "published", name))
        return {"val": kept.val_score, "test": auroc(predict_scores(branch, test.features), test)}


def auroc(scores: np.ndarray[Any, Any], part: LabelledFeatures) -> float:
    return float(REWARDS["auroc"](scores, part.labels.numpy()))


def trained(
    project: Project,
    subdatasets: list[SubDataset],
    start: Trunk | None,
    changes: dict[str, Any],
    seed: int,
    folder: Path,
) -> Trunk:
    """Train, continue, or (with no step left to do) reopen a trunk."""
    settings = settings_from(pretrain_settings(project.config), weights=start is not None)
    settings = replace(settings, validate_every=settings.steps, **changes)
    given = chosen_input(project, start.preprocessing if start else None)
    backbone = project.config.trunk.backbone
    training = Pretraining(subdatasets, backbone, given, settings, folder=folder, seed=seed, start=start)
    training.resume()
    with show_progress() as progress:
        return training.run(progress=lambda _, *rest: progress(f"trunk {folder.name}", *rest))


def table(records: list[dict[str, Any]], trunks: list[str], head: str) -> str:
    """Mean test AUROC per attribute and trunk, over seeds; means over seen, new and all attributes, with the spread."""
    found: dict[tuple[str, str], list[float]] = {}
    for record in records:
        if record["head"] == head:
            found.setdefault((record["attribute"], record["trunk"]), []).append(record["test"])
    seen = {record["attribute"]: record["seen"] for record in records}
    rows = [["attribute", *trunks], ["---"] * (len(trunks) + 1)]
    groups = {"seen": [n for n in sorted(seen) if seen[n]], "new": [n for n in sorted(seen) if not seen[n]]}
    for kind, names in (*groups.items(), ("all", sorted(seen))):
        if kind != "all":
            rows += [[f"{n} ({kind})", *(f"{fmean(found[n, trunk]):.3f}" for trunk in trunks)] for n in names]
        rows.append([f"**mean of {len(names)} {kind}**", *(spread(found, names, trunk) for trunk in trunks)])
    return "\n".join("| " + " | ".join(row) + " |" for row in rows)


def spread(found: dict[tuple[str, str], list[float]], names: list[str], trunk: str) -> str:
    """The mean over attributes, of seeds "mean ± deviation"."""
    each = [fmean(column) for column in zip(*(found[name, trunk] for name in names), strict=True)]
    return f"**{fmean(each):.3f}**" + (f" ± {stdev(each):.3f}" if len(each) > 1 else "")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("trunk", type=Path)
    parser.add_argument("search", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--weights", type=Path, required=True)
    parser.add_argument("--depths", nargs="+", type=int, default=[5, 8, 11, 12, 14, 16, 17, 18])
    parser.add_argument("--trunks", nargs="*", default=["frozen", "dynamic", "random dynamic"])
    parser.add_argument("--singles", nargs="*", default=[])
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--images", type=int, default=4000)
    parser.add_argument("--heads", nargs="+", choices=HEADS, default=list(HEADS))
    parser.add_argument("--least", type=int, default=15)
    parser.add_argument("--threads", type=int, default=2)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    project, search, out = open_project(arguments.trunk), open_project(arguments.search), arguments.out
    source = [read_subdataset(path) for path in project.sources().values()]
    seen = {subdataset.attribute.name for subdataset in source}
    judged = {name: read_subdataset(path) for name, path in search.sources().items()}
    judged |= {s.attribute.name: s for s in source if s.attribute.name not in judged and s.split("test")}
    own = chosen_input(project, Preprocessing(project.config.trunk.image_size, HALF, HALF, "bicubic"))
    published = load_trunk(arguments.weights, project.config.trunk.backbone, own)
    paper = {"shared_labels": False, "attributes_per_step": 1, "balanced": False}
    builders: dict[str, Callable[[int, Path], Trunk]] = {
        "dynamic": lambda seed, folder: trained(project, source, published, {}, seed, folder),
        "random dynamic": lambda seed, folder: trained(project, source, None, {}, seed, folder),
        "multi-class": lambda seed, folder: trained(
            project, [together(source, arguments.least)], published, paper, seed, folder
        ),
    }
    for name in arguments.singles:
        alone = [subdataset for subdataset in source if subdataset.attribute.name == name]
        builders[f"single {name}"] = lambda seed, folder, alone=alone: trained(  # type: ignore[misc]
            project, alone, published, {"attributes_per_step": 1}, seed, folder
        )
    trunks = [*arguments.trunks, *(f"single {name}" for name in arguments.singles)]
    judge = Judge(
        judged, arguments.depths, depth_of(project.config), arguments.images, branches="branch" in arguments.heads
    )
    for seed in arguments.seeds:
        for name in trunks:
            done = {(r["trunk"], r["seed"]) for r in read_records(out / "records.jsonl")}
            if (name, seed) in done or (name == "frozen" and seed != arguments.seeds[0]):
                continue
            folder = out / f"{name.replace(' ', '-')}-{seed}"
            trunk = published if name == "frozen" else builders[name](seed, folder)
            for record in judge.judge(trunk):
                about = {"trunk": name, "seed": seed, "seen": record["attribute"] in seen}
                append_record(out / "records.jsonl", {**about, **record})
            print(f"{name}, seed {seed}: judged", flush=True)
    records = [record for record in read_records(out / "records.jsonl") if record["trunk"] in trunks]
    for head in arguments.heads:
        print(f"\n{head}: test AUROC\n\n{table(records, trunks, head)}")


if __name__ == "__main__":
    main()
