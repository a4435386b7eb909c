"""What do branches gain that begin at the probe, and read averages of all depths? Paired trainings, and shared ranks.

    python -m experiments.residual_start train PROJECT OUT ATTR... --depths 4 6 8 [--part 1/2]
    python -m experiments.residual_start ranks PROJECT OUT ATTR... --depths 6
    python -m experiments.residual_start table OUT

`train`: at every depth, `--architectures` architectures drawn from a macro space (all with the head's shortcut) are
each trained `--seeds` times in four ways: from scratch or from the probe, on the cut alone or with the averages of all
depths down to it; the same draws, weights and batches on all sides. The probe of each depth and of all joined stands
beside. `ranks`: a search's shared weights, from scratch and from the probe, rank those architectures; Kendall's tau
against trainings of the same kind, beside that of two trainings. Val chooses each training's epoch; test is measured,
and decides nothing. OUT/trained.jsonl and OUT/ranks.jsonl have a line per training or search: called again, the script
goes on with what is missing. `table` prints means of the paired differences with their standard error over attributes,
architectures and seeds, depth by depth, and one JSON line of it all.
"""

import argparse
import json
import os
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy.stats import kendalltau

from branches.branch import Branch
from branches.measures.metrics import auroc
from branches.probe import Probe, linear_probe
from branches.settings import FitSettings
from branches.training import fit, predict_scores
from foundation.provenance import seed_of
from graftnet.project.folder import open_project
from graftnet.searches.features import attribute_data
from graftnet.trunks.versions import open_trunk
from nas.candidates import whole_val_scores
from nas.enas import Search
from nas.job.stages.probe_start import with_shortcut
from nas.settings import SearchSettings
from search_spaces import Architecture, Space, macro_space
from trunk.features.context import FeaturesWithContext
from trunk.features.source import ArrayFeatures, LabelledFeatures

CPU = torch.device("cpu")
STARTS, SOURCES = ("scratch", "probe"), ("cut", "all")


def space_of(sources: Sequence[int]) -> Space:
    """The space that is drawn from; the same draws with and without sources."""
    return with_shortcut(macro_space(4, widths=(8, 16, 32, 64), depths=(1, 2, 3, 4), sources=sources))


def architectures(sources: Sequence[int], count: int) -> list[Architecture]:
    rng = np.random.default_rng(0)
    return [space_of(sources).random(rng) for _ in range(count)]


@dataclass(frozen=True)
class Cut:
    """One attribute at one depth: splits with the averages of all earlier depths, and without."""

    attribute: str
    depth: int
    channels: tuple[int, ...]
    splits: dict[str, dict[str, LabelledFeatures]]

    def sources(self, which: str) -> tuple[int, ...]:
        return self.channels if which == "all" else ()


def held(split: LabelledFeatures, limit: int | None) -> dict[str, LabelledFeatures]:
    """The split, or a seeded part of it, in memory: by what is read."""
    index = torch.from_numpy(np.sort(np.random.default_rng(0).permutation(len(split))[:limit]))
    features, labels = split.features, split.labels[index]
    maps = features.maps if isinstance(features, FeaturesWithContext) else features
    stored = ArrayFeatures(maps.gather(index).half().contiguous(memory_format=torch.channels_last))
    both: dict[str, LabelledFeatures] = {"cut": LabelledFeatures(stored, labels, split.values)}
    if isinstance(features, FeaturesWithContext):
        both["all"] = LabelledFeatures(FeaturesWithContext(stored, features.averages[index]), labels, split.values)
    return both


def cuts(project_folder: Path, attributes: Sequence[str], depths: Sequence[int], images: int | None) -> Iterator[Cut]:
    project = open_project(project_folder)
    trunk = open_trunk(project, CPU)
    for attribute in attributes:
        for depth in depths:
            splits = attribute_data(project, trunk, attribute, depth, device=CPU).splits(sources=True)
            parts = {name: held(split, images if name == "train" else None) for name, split in splits.items()}
            channels = tuple(shape[0] for shape in trunk.shapes[: depth - 1])
            yield Cut(attribute, depth, channels, parts)


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()] if path.exists() else []


def append(path: Path, record: dict[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "ab", buffering=0) as file:
        os.write(file.fileno(), (json.dumps(record) + "\n").encode())


Side = dict[str, str]
KEYS = ("attribute", "depth", "sources", "start", "architecture", "seed")


def key_of(record: dict[str, Any]) -> tuple[Any, ...]:
    return tuple(record[key] for key in KEYS)


def test_score(module: torch.nn.Module, test: LabelledFeatures) -> float:
    return auroc(predict_scores(module, test.features), test.labels.numpy())


def trained(
    cut: Cut, sources: str, start: str, number: int, architecture: Architecture, seed: int, probe: Probe, epochs: int
) -> dict[str, Any]:
    """One training: its record. Weights and batches depend on architecture and seed alone."""
    own = seed_of(seed, "residual", number)
    train, val, test = (cut.splits[name][sources] for name in ("train", "val", "test"))
    generator = torch.Generator().manual_seed(own)
    branch = Branch(architecture, train.features.shape, train.values, generator=generator)
    if start == "probe":
        branch.begin_at(probe.start)
    started = time.perf_counter()
    done = fit(branch, train, val, FitSettings(epochs=epochs), seed=own)
    return {
        "val": done.val_score,
        "test": test_score(branch, test),
        "epoch": done.epoch,
        "parameters": sum(weight.numel() for weight in branch.parameters()),
        "seconds": round(time.perf_counter() - started, 2),
    }


def train(arguments: argparse.Namespace) -> None:
    part, parts = map(int, arguments.part.split("/"))
    path = arguments.out / "trained.jsonl"
    for cut in cuts(arguments.project, arguments.attributes, arguments.depths, arguments.images):
        for sources in (name for name in SOURCES if name in cut.splits["train"]):
            chosen = architectures(cut.sources(sources), arguments.architectures)
            done = {key_of(record) for record in lines(path)}
            jobs = [
                (start, number, seed)
                for number in range(part - 1, len(chosen), parts)
                for seed in range(arguments.seeds)
                for start in STARTS
            ]
            about = {"attribute": cut.attribute, "depth": cut.depth, "sources": sources}
            missing = [job for job in jobs if (*about.values(), *job) not in done]
            probe_key = (*about.values(), "none", -1, 0)
            if not missing and probe_key in done:
                continue
            splits = [cut.splits[name][sources] for name in ("train", "val", "test")]
            probe = linear_probe(*splits[:2])
            if probe_key not in done:
                record = {"val": probe.val_score, "test": test_score(probe.module, splits[2])}
                append(path, {**about, "start": "none", "architecture": -1, "seed": 0, **record})
            for start, number, seed in missing:
                record = trained(cut, sources, start, number, chosen[number], seed, probe, arguments.epochs)
                append(path, {**about, "start": start, "architecture": number, "seed": seed, **record})
        print(f"{cut.attribute} at depth {cut.depth}: done", flush=True)


def ranks(arguments: argparse.Namespace) -> None:
    path = arguments.out / "ranks.jsonl"
    recipe = SearchSettings(epochs=arguments.search_epochs, warmup_epochs=arguments.search_epochs // 5, balance="none")
    for cut in cuts(arguments.project, arguments.attributes, arguments.depths, arguments.images):
        done = {(record["attribute"], record["depth"], record["start"]) for record in lines(path)}
        train, val = cut.splits["train"]["cut"], cut.splits["val"]["cut"]
        probe = linear_probe(train, val)
        chosen = architectures((), arguments.architectures)
        for start in STARTS:
            about = {"attribute": cut.attribute, "depth": cut.depth, "start": start}
            if tuple(about.values()) in done:
                continue
            sides = [
                [
                    trained(cut, "cut", start, number, architecture, seed, probe, arguments.epochs)["val"]
                    for number, architecture in enumerate(chosen)
                ]
                for seed in range(2)
            ]
            search = Search(
                space_of(()),
                train,
                val,
                recipe,
                folder=arguments.out / "searches" / f"{cut.attribute}-{cut.depth}-{start}",
                seed=0,
                device=CPU,
                probe=probe.start if start == "probe" else None,
            )
            search.run()
            shared = whole_val_scores(search, chosen, None)
            append(path, {**about, "shared": shared, "trained": sides, "probe": probe.val_score})
            print(f"{cut.attribute} at depth {cut.depth}, {start}: tau {tau_of(shared, sides):.3f}", flush=True)


def tau_of(shared: Sequence[float], sides: Sequence[Sequence[float]]) -> float:
    """The mean of the taus with either training; a constant side has none and counts as 0."""
    return float(np.mean([np.nan_to_num(kendalltau(shared, side).statistic) for side in sides]))


def differences(records: Sequence[dict[str, Any]], depth: int, ours: Side, theirs: Side) -> list[float]:
    """Test AUROC of one side less that of the other: training by training, or of each training less its probe's."""

    def of(side: Side, *names: str) -> dict[tuple[Any, ...], float]:
        mine = (record for record in records if record["depth"] == depth and side.items() <= record.items())
        return {tuple(record[name] for name in names): record["test"] for record in mine}

    names = ("attribute",) if theirs["start"] == "none" else ("attribute", "architecture", "seed")
    beside = of(theirs, *names)
    own = of(ours, "attribute", "architecture", "seed")
    return [score - beside[key[: len(names)]] for key, score in own.items() if key[: len(names)] in beside]


def mean_text(values: Sequence[float]) -> str:
    if not values:
        return "-"
    error = np.std(values, ddof=1) / len(values) ** 0.5 if len(values) > 1 else 0.0
    return f"{np.mean(values):+.4f} +- {error:.4f} ({len(values)})"


COMPARED = {
    "start, on the cut": ({"start": "probe", "sources": "cut"}, {"start": "scratch", "sources": "cut"}),
    "start, all depths": ({"start": "probe", "sources": "all"}, {"start": "scratch", "sources": "all"}),
    "sources, from scratch": ({"start": "scratch", "sources": "all"}, {"start": "scratch", "sources": "cut"}),
    "sources, from the probe": ({"start": "probe", "sources": "all"}, {"start": "probe", "sources": "cut"}),
    "sources, probes": ({"start": "none", "sources": "all"}, {"start": "none", "sources": "cut"}),
    "from the probe, over it": ({"start": "probe", "sources": "cut"}, {"start": "none", "sources": "cut"}),
    "the same, all depths": ({"start": "probe", "sources": "all"}, {"start": "none", "sources": "all"}),
    "both, over a branch of before": ({"start": "probe", "sources": "all"}, {"start": "scratch", "sources": "cut"}),
}


def table(arguments: argparse.Namespace) -> None:
    records, ranked = lines(arguments.out / "trained.jsonl"), lines(arguments.out / "ranks.jsonl")
    figures: dict[str, Any] = {"experiment": "residual_start", "trainings": len(records)}
    for depth in sorted({record["depth"] for record in records}):
        print(f"depth {depth}: mean difference in test AUROC, its standard error (pairs)")
        for name, sides in COMPARED.items():
            values = differences(records, depth, *sides)
            print(f"  {name:<32} {mean_text(values)}")
            if values:
                figures[f"{depth}: {name}"] = {"mean": float(np.mean(values)), "pairs": len(values)}
    for start in STARTS:
        mine = [record for record in ranked if record["start"] == start]
        if mine:
            taus = [tau_of(record["shared"], record["trained"]) for record in mine]
            ceilings = [tau_of(record["trained"][0], record["trained"][1:]) for record in mine]
            print(f"shared weights from {start}: tau {mean_text(taus)}, two trainings {mean_text(ceilings)}")
            figures[f"tau, {start}"] = {"tau": float(np.mean(taus)), "ceiling": float(np.mean(ceilings))}
    print(json.dumps(figures))


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    commands = parser.add_subparsers(required=True)
    for name, command in (("train", train), ("ranks", ranks)):
        own = commands.add_parser(name)
        own.set_defaults(command=command)
        own.add_argument("project", type=Path)
        own.add_argument("out", type=Path)
        own.add_argument("attributes", nargs="+")
        own.add_argument("--depths", type=int, nargs="+", required=True)
        own.add_argument("--architectures", type=int, default=7 if name == "train" else 24)
        own.add_argument("--epochs", type=int, default=12)
        own.add_argument("--images", type=int, default=2000)
        if name == "train":
            own.add_argument("--seeds", type=int, default=2)
            own.add_argument("--part", default="1/1")
        else:
            own.add_argument("--search-epochs", type=int, default=20)
    shown = commands.add_parser("table")
    shown.set_defaults(command=table)
    shown.add_argument("out", type=Path)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    arguments.command(arguments)


if __name__ == "__main__":
    main()
