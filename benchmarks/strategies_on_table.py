"""Search strategies on tables of trained networks: how far from the best network after so many reward queries?

    python -m benchmarks.strategies_on_table nas_bench_macro_cifar10.npz [--seeds 20]
    python -m benchmarks.strategies_on_table bird.jsonl cat.jsonl deer.jsonl --queries 20 40 80 160

Prints one JSON line. The first form reads NAS-Bench-Macro, 6,561 networks, regret in points of accuracy; the second
tables of experiments/architecture_table.py, 360 networks, regret in AUROC, the mean over the files. A query returns a
network's score (the mean of its trainings); all strategies make the same number of queries, and what a network's score
is they are told once. Per strategy and number of queries: mean regret over the seeds, half of its 95 % t interval, and
the same for the paired difference to random search and to NNI's regularised evolution (negative: better than they).
`--noisy` returns one of NAS-Bench-Macro's three trainings, drawn at random, the regret being that of the means.
Regularised evolution needs the extra `nni`.
"""

import argparse
import json
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path

import numpy as np
import torch
from scipy.stats import t as student

from nas.controller.recipes import RECIPES
from nas.strategies.searches import STRATEGIES, Strategy, controller_search
from search_spaces import Architecture, space_of
from search_spaces.decisions import Decision, Space


@dataclass(frozen=True)
class Table:
    """The space a table covers, and the scores (trainings,) of each network, by the space's key."""

    name: str
    space: Space
    scores: dict[object, np.ndarray]

    def mean(self, architecture: Architecture) -> float:
        return float(self.scores[self.space.key(architecture)].mean())

    @cached_property
    def best(self) -> float:
        return max(float(scores.mean()) for scores in self.scores.values())


def read_table(path: Path) -> Table:
    """NAS-Bench-Macro's .npz, or a .jsonl of experiments/architecture_table.py."""
    if path.suffix == ".jsonl":
        records = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
        architectures = [Architecture.from_json(record["architecture"]) for record in records]
        space = space_of(architectures[0])
        found = zip(architectures, records, strict=True)
        return Table(path.stem, space, {space.key(one): np.array([record["val_auroc"]]) for one, record in found})
    with np.load(path) as arrays:
        codes, accuracies = arrays["code"], arrays["test_acc"]
    layers = [Decision(f"layer{i}", tuple(range(int(codes.max()) + 1)), "operation") for i in range(codes.shape[1])]
    space = Space("table", {}, tuple(layers))
    rows = zip(codes.tolist(), accuracies, strict=True)
    return Table(path.stem, space, {space.key(space.architecture(code)): row for code, row in rows})


def regrets(table: Table, strategy: Strategy, at: list[int], *, seed: int, noisy: bool) -> list[float]:
    """The regret of the network handed in after each number of queries."""
    rng = np.random.default_rng((seed, 1))

    def reward(architecture: Architecture) -> float:
        scores = table.scores[table.space.key(architecture)]
        return float(rng.choice(scores) if noisy else scores.mean()) / table.best

    made = strategy(table.space, reward, max(at), seed=seed)
    handed_in = [max(made[:count], key=lambda query: query.reward).architecture for count in at]
    return [table.best - table.mean(architecture) for architecture in handed_in]


def interval(values: np.ndarray) -> list[float]:
    """[mean, half of the 95 % t interval] over the first axis."""
    half = student.ppf(0.975, len(values) - 1) * values.std(ddof=1) / len(values) ** 0.5
    return [round(float(values.mean()), 5), round(float(half), 5)]


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("tables", type=Path, nargs="+")
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--queries", type=int, nargs="+", default=[50, 100, 200, 300])
    parser.add_argument("--noisy", action="store_true")
    parser.add_argument("--strategies", nargs="+", help="only these")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    tables = [read_table(path) for path in arguments.tables]
    strategies: dict[str, Strategy] = {name: STRATEGIES[name] for name in ("random", "nni-evolution", "local")}
    strategies |= {f"controller {name}": partial(controller_search, recipe=recipe) for name, recipe in RECIPES.items()}
    strategies = {name: strategies[name] for name in arguments.strategies or strategies}
    found = {
        name: np.array(
            [
                np.mean(
                    [regrets(table, strategy, arguments.queries, seed=seed, noisy=arguments.noisy) for table in tables],
                    axis=0,
                )
                for seed in range(arguments.seeds)
            ]
        )
        for name, strategy in strategies.items()
    }
    figures = {
        name: {
            str(count): {
                "regret": interval(values[:, place]),
                **{
                    f"over {other}": interval(values[:, place] - found[other][:, place])
                    for other in ("random", "nni-evolution")
                    if other in found and other != name
                },
            }
            for place, count in enumerate(arguments.queries)
        }
        for name, values in found.items()
    }
    shown = {"benchmark": "strategies_on_table", "tables": [table.name for table in tables], "seeds": arguments.seeds}
    print(json.dumps({**shown, "best": [round(t.best, 5) for t in tables], "noisy": arguments.noisy, **figures}))


if __name__ == "__main__":
    main()
