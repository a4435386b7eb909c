"""Search strategies on a table of trained networks: how good is the best network after so many queries?

    python -m benchmarks.strategies_on_table nas_bench_macro_cifar10.npz [--seeds 20] [--queries 500]

Prints one JSON line. `exact`: a query returns the mean accuracy of a network's trainings. `noisy`: one of them, drawn
at random. Either way the figure is the mean accuracy of the network that the strategy would hand in, in percent, as the
mean over the seeds, with the worst seed's at the end. No network is paid for twice by the random strategy and the
controllers; regularised evolution (Real et al., 2019, arXiv:1802.01548: population 30, sample 10) may repeat itself.
"""

import argparse
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from nas.optimise import optimise
from nas.recipes import RECIPES, Recipe
from search_spaces.architecture import Architecture
from search_spaces.decisions import Decision, Space

CHECKPOINTS = (50, 100, 200, 300, 500)
SAMPLES = 8

Reward = Callable[[Architecture], float]
Strategy = Callable[[Space, Reward, int, int], list[tuple[Architecture, float]]]


@dataclass(frozen=True)
class Table:
    """The space a table covers, and the accuracies (trainings,) of each network in percent."""

    space: Space
    accuracies: dict[Architecture, np.ndarray]

    @classmethod
    def read(cls, path: Path) -> "Table":
        with np.load(path) as arrays:
            codes, accuracies = arrays["code"], arrays["test_acc"]
        layers = [Decision(f"layer{i}", tuple(range(int(codes.max()) + 1)), "operation") for i in range(codes.shape[1])]
        space = Space("table", {}, tuple(layers))
        return cls(space, {space.architecture(code): row for code, row in zip(codes.tolist(), accuracies, strict=True)})


def random_search(space: Space, reward: Reward, queries: int, seed: int) -> list[tuple[Architecture, float]]:
    rng = np.random.default_rng(seed)
    asked: dict[Architecture, float] = {}
    while len(asked) < queries:
        architecture = space.random(rng)
        if architecture not in asked:
            asked[architecture] = reward(architecture)
    return list(asked.items())


def evolution(space: Space, reward: Reward, queries: int, seed: int) -> list[tuple[Architecture, float]]:
    rng = np.random.default_rng(seed)
    made: list[tuple[Architecture, float]] = []
    while len(made) < queries:
        if len(made) < 30:
            child = space.random(rng)
        else:
            living = made[-30:]
            parent = max((living[i] for i in rng.choice(30, 10, replace=False)), key=lambda one: one[1])
            indices = list(space.indices(parent[0]))
            place = int(rng.integers(len(indices)))
            size = len(space.decisions[place].choices)
            indices[place] = (indices[place] + int(rng.integers(1, size))) % size
            child = space.architecture(indices)
        made.append((child, reward(child)))
    return made


def controller(recipe: Recipe, *, repeats: bool = False) -> Strategy:
    def search(space: Space, reward: Reward, queries: int, seed: int) -> list[tuple[Architecture, float]]:
        updates = -(-queries // SAMPLES)
        found = optimise(
            space, reward, updates=updates, samples_per_update=SAMPLES, seed=seed, recipe=recipe, repeats=repeats
        )
        return [(query.architecture, query.reward) for query in found]

    return search


def measure(table: Table, strategy: Strategy, *, queries: int, seeds: int, noisy: bool) -> dict[str, float]:
    """Mean accuracy of the network handed in after each checkpoint, over the seeds; and the worst at the end."""
    ends: dict[int, list[float]] = {at: [] for at in CHECKPOINTS if at <= queries}
    for seed in range(seeds):
        rng = np.random.default_rng((seed, 1))

        def reward(architecture: Architecture, rng: np.random.Generator = rng) -> float:
            accuracies = table.accuracies[architecture]
            # In hundredths, as a search's rewards are: the paper's entropy weight is meant for that scale.
            return float(rng.choice(accuracies) if noisy else accuracies.mean()) / 100.0

        made = strategy(table.space, reward, queries, seed)
        for at, accuracies in ends.items():
            handed_in = max(made[:at], key=lambda one: one[1])[0]
            accuracies.append(float(table.accuracies[handed_in].mean()))
    result = {str(at): round(float(np.mean(accuracies)), 3) for at, accuracies in ends.items()}
    return {**result, "worst": round(min(ends[max(ends)]), 3)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("table", type=Path)
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--queries", type=int, default=500)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    table = Table.read(arguments.table)
    strategies: dict[str, Strategy] = {"random": random_search, "evolution": evolution}
    strategies |= {name: controller(recipe) for name, recipe in RECIPES.items()}
    strategies |= {f"{name}, repeats": controller(recipe, repeats=True) for name, recipe in RECIPES.items()}
    figures = {
        kind: {
            name: measure(table, strategy, queries=arguments.queries, seeds=arguments.seeds, noisy=kind == "noisy")
            for name, strategy in strategies.items()
        }
        for kind in ("exact", "noisy")
    }
    best = round(max(float(accuracies.mean()) for accuracies in table.accuracies.values()), 3)
    print(
        json.dumps(
            {
                "benchmark": "strategies_on_table",
                "table": arguments.table.name,
                "best": best,
                "seeds": arguments.seeds,
                "samples_per_update": SAMPLES,
                **figures,
            }
        )
    )


if __name__ == "__main__":
    main()
