"""Do shared weights rank architectures as training from scratch does? Kendall's tau against tables of trained networks.

    python -m experiments.shared_ranks PROJECT FOLDER TABLE.jsonl... [--shares 0 0.5 1] [--epochs 60]

The tables are those of experiments/architecture_table.py, one per attribute of the project, and PROJECT's features
those they were made on. For each attribute and each share of fairly drawn paths (`search.fair_share`; 0 is ENAS's own
way) one search is run in FOLDER on the same training images; then all networks are scored with its shared weights on
all of val. Prints one JSON line: tau per attribute; tau of the means over the attributes, which say how good an
architecture is in general and with less noise; how well one attribute's trained networks rank another's; and the
regret of the best of the four that the shared weights rank highest. Val on both sides; test is never read.
"""

import argparse
import json
from itertools import combinations
from pathlib import Path

import numpy as np
import torch
from scipy.stats import kendalltau

from experiments.architecture_table import SPACE, load_splits, networks
from nas.candidates import whole_val_scores
from nas.enas import Search
from nas.settings import SearchSettings


def trained_scores(path: Path) -> np.ndarray:
    """The val AUROC of each network, in the order of `networks`."""
    records = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    found = {record["identity"]: float(record["val_auroc"]) for record in records}
    return np.array([found[architecture.identity] for architecture in networks(SPACE)])


def tau(one: np.ndarray, other: np.ndarray) -> float:
    return round(float(kendalltau(one, other).statistic), 3)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("project", type=Path)
    parser.add_argument("folder", type=Path)
    parser.add_argument("tables", type=Path, nargs="+")
    parser.add_argument("--shares", type=float, nargs="+", default=[0.0, 0.5, 1.0])
    parser.add_argument("--epochs", type=int, default=60)
    parser.add_argument("--images", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    attributes = [path.stem for path in arguments.tables]
    trained = np.array([trained_scores(path) for path in arguments.tables])
    pairs = [tau(trained[one], trained[other]) for one, other in combinations(range(len(attributes)), 2)]
    figures: dict[str, object] = {}
    for share in arguments.shares:
        shared = []
        for attribute in attributes:
            train, val = load_splits(arguments.project, attribute, arguments.images)
            settings = SearchSettings(
                epochs=arguments.epochs,
                warmup_epochs=arguments.epochs // 5,
                min_steps=0,
                updates_per_epoch=2,
                reward_images=500,
                balance="none",
                fair_share=share,
            )
            folder = arguments.folder / f"{attribute}-{share:g}-{arguments.epochs}-{arguments.seed}"
            device = torch.device("cpu")
            search = Search(SPACE, train, val, settings, folder=folder, seed=arguments.seed, device=device)
            search.run()
            shared.append(np.array(whole_val_scores(search, networks(SPACE), None)))
        figures[f"fair share {share:g}"] = {
            "tau": {name: tau(ours, theirs) for name, ours, theirs in zip(attributes, shared, trained, strict=True)},
            "tau of means": tau(np.mean(shared, axis=0), trained.mean(axis=0)),
            "regret of the best of four": {
                name: round(float(theirs.max() - theirs[np.argsort(-ours)[:4]].max()), 4)
                for name, ours, theirs in zip(attributes, shared, trained, strict=True)
            },
        }
    shown = {"experiment": "shared_ranks", "epochs": arguments.epochs, "images": arguments.images}
    print(json.dumps({**shown, "seed": arguments.seed, "tau between attributes": pairs, **figures}))


if __name__ == "__main__":
    main()
