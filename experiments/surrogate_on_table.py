"""Is a Gaussian process worth it? `surrogate` and other ways to ask a table of trained networks, query for query.

    python -m experiments.surrogate_on_table OUT.jsonl TABLE... [--noisy] [--seeds 30] [--queries 50 100 150 300]

TABLE is NAS-Bench-Macro's .npz, or the .jsonl files of experiments/architecture_table.py. Each strategy asks for one
network after another and is told a network's score once; asked again, it is told the same, and that is no query.
`--noisy` tells it one of NAS-Bench-Macro's three trainings, drawn at random. OUT gets a line per table, strategy and
seed: the regret of the network handed in after each number of queries, by the mean of its trainings. Called again, the
script goes on with what is missing. Then the means over tables and seeds are printed, with half of their 95 % t
intervals, the paired difference of `surrogate` to each other strategy, and the median number of queries after which the
table's best network had been asked for.

`remembering` is what `--strategy controller` does. NNI's evolution sets its population by the budget, and is run once
for each number of queries. TPE is Optuna's TPESampler with its defaults, one categorical parameter per decision. Of the
strategies only NNI's needs an extra, `nni`.
"""

import argparse
import json
import time
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from scipy.stats import t as student

from benchmarks.strategies_on_table import Table, read_table
from foundation.provenance import seed_of
from nas.strategies.budget import BudgetedReward, Reward
from nas.strategies.controller import Query
from nas.strategies.searches import STRATEGIES, Strategy
from search_spaces import Architecture, Space

ASKS = 20  # per query, after which TPE, which repeats itself, is stopped


def tpe(space: Space, reward: Reward, budget: int, *, seed: int, allowed: None = None) -> list[Query]:
    """Optuna's tree-structured Parzen estimator (Bergstra et al., 2011), asked and told."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    sampler = optuna.samplers.TPESampler(seed=seed_of(seed, "tpe") % 2**32)
    study = optuna.create_study(direction="maximize", sampler=sampler)
    rewards = BudgetedReward(space, reward, budget)
    for _ in range(ASKS * budget):
        if rewards.empty:
            break
        trial = study.ask()
        answers = [trial.suggest_categorical(d.name, range(len(d.choices))) for d in space.decisions]
        study.tell(trial, rewards.ask(space.architecture(answers)).reward)
    return rewards.queries


WAYS: dict[str, Strategy] = {
    "surrogate": STRATEGIES["surrogate"],
    "remembering": STRATEGIES["controller"],
    "local": STRATEGIES["local"],
    "nni-evolution": STRATEGIES["nni-evolution"],
    "tpe": tpe,  # type: ignore[dict-item]  # which is given no limits here
    "random": STRATEGIES["random"],
}


class Outcome(NamedTuple):
    """Of one run: the regret after each number of queries, and the query that was of the best network, if any."""

    regret: list[float]
    best_at: int | None


def outcome(table: Table, way: str, at: list[int], *, seed: int, noisy: bool) -> Outcome:
    """What is handed in is the network of the highest reward, the first of equals."""

    def handed_in(count: int, queries: list[Query]) -> float:
        best = max(queries[:count], key=lambda query: query.reward)
        return table.best - table.mean(best.architecture)

    def ask(budget: int) -> list[Query]:
        rng = np.random.default_rng((seed, 1))

        def reward(architecture: Architecture) -> float:
            scores = table.scores[table.space.key(architecture)]
            return float(rng.choice(scores) if noisy else scores.mean()) / table.best

        return WAYS[way](table.space, reward, budget, seed=seed)

    queries = ask(max(at))
    evolving = way == "nni-evolution"
    regret = [handed_in(count, ask(count) if evolving and count < max(at) else queries) for count in at]
    reached = (number for number, query in enumerate(queries, 1) if table.mean(query.architecture) == table.best)
    return Outcome(regret, next(reached, None))


def interval(values: np.ndarray) -> list[float]:
    """[mean, half of the 95 % t interval]."""
    half = student.ppf(0.975, len(values) - 1) * values.std(ddof=1) / len(values) ** 0.5
    return [round(float(values.mean()), 5), round(float(half), 5)]


def median(numbers: list[int | None]) -> float | None:
    """None where half of them or more are none."""
    middle = float(np.median([np.inf if number is None else number for number in numbers]))
    return middle if np.isfinite(middle) else None


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("out", type=Path)
    parser.add_argument("tables", type=Path, nargs="+")
    parser.add_argument("--noisy", action="store_true")
    parser.add_argument("--seeds", type=int, default=30)
    parser.add_argument("--queries", type=int, nargs="+", default=[50, 100, 150, 300])
    parser.add_argument("--ways", nargs="+", default=list(WAYS), choices=list(WAYS))
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    tables = [read_table(path) for path in arguments.tables]
    wanted = [
        {"table": table.name, "way": way, "seed": seed, "noisy": arguments.noisy, "queries": arguments.queries}
        for seed in range(arguments.seeds)
        for table in tables
        for way in arguments.ways
    ]
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    lines = arguments.out.read_text(encoding="utf-8").splitlines() if arguments.out.exists() else []
    found = {name_of(record): Outcome(record["regret"], record["best_at"]) for record in map(json.loads, lines)}
    by_name = {table.name: table for table in tables}
    for asked in wanted:
        if name_of(asked) in found:
            continue
        started = time.perf_counter()
        at, noisy = arguments.queries, arguments.noisy
        result = outcome(by_name[str(asked["table"])], str(asked["way"]), at, seed=int(str(asked["seed"])), noisy=noisy)
        record = {**asked, **result._asdict(), "seconds": round(time.perf_counter() - started, 2)}
        with arguments.out.open("a", encoding="utf-8") as file:
            file.write(json.dumps(record) + "\n")
        found[name_of(asked)] = result
    results = {way: [found[name_of(asked)] for asked in wanted if asked["way"] == way] for way in arguments.ways}
    means = {
        way: np.array([result.regret for result in of_way]).reshape(arguments.seeds, len(tables), -1).mean(1)
        for way, of_way in results.items()
    }
    figures = {
        way: {
            "best network at": median([result.best_at for result in results[way]]),
            "regret": {str(count): interval(values[:, place]) for place, count in enumerate(arguments.queries)},
            "surrogate less it": {
                str(count): interval(means["surrogate"][:, place] - values[:, place])
                for place, count in enumerate(arguments.queries)
            }
            if "surrogate" in means and way != "surrogate"
            else None,
        }
        for way, values in means.items()
    }
    shown = {"experiment": "surrogate_on_table", "tables": list(by_name), "seeds": arguments.seeds}
    print(json.dumps({**shown, "noisy": arguments.noisy, **figures}))


def name_of(record: dict[str, object]) -> str:
    """What a line of OUT is about."""
    return json.dumps([record[key] for key in ("table", "way", "seed", "noisy", "queries")])


if __name__ == "__main__":
    main()
