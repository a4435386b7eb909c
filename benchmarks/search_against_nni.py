"""A whole search against NNI 3.0's ENAS: the same space, features, batches and numbers of steps, in turns.

    python -m venv nni-env && nni-env/bin/pip install -e '.[nni]' tianshou==0.5.1 gym==0.26.2
    python -m benchmarks.search_against_nni nni-env/bin/python [--threads 2] [--rounds 3] [--recipe strong]

NNI's ENAS wants versions of tianshou and gym that nothing else here wants, hence an environment of its own, given by
its interpreter. Each side runs in processes of its own, one after the other; loading, building and making the features
are left out of the seconds. Prints one JSON line: medians over the rounds, `speedup` = NNI's seconds / ours (and
the same of the processor's seconds, which a busy machine disturbs less), and the share of each side's time that goes
into sampling and updating its policy.

An epoch is three child steps per reward evaluation, batches of 64. Both sides draw paths from the policy from the start
and reward by accuracy. Ours also clips gradients, writes its history and a checkpoint per epoch; NNI's does neither.
NNI's policy would also update on child batches when an epoch ends on a multiple of its update interval (20 rewards):
the counts here are not.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

from branches.settings import FitSettings
from nas.controller.recipes import RECIPES
from nas.enas import Search
from nas.settings import SearchSettings
from search_spaces.macro import macro_space
from search_spaces.operations import ACTIVATIONS, OPERATIONS
from trunk.features.source import ArrayFeatures, LabelledFeatures

BATCH = 64
SPACE = {"nodes": 6, "operations": list(OPERATIONS), "activations": list(ACTIVATIONS)}
WIDTH = 64
CHILD_STEPS, REWARDS, UPDATES = 72, 24, 3  # of an epoch; the updates are our controller's
WANTED = {"128x4x4": 4.0, "128x8x8": 3.0, "768x17x17": 1.0}  # the speed-up for each map


def splits(case: str) -> tuple[LabelledFeatures, LabelledFeatures]:
    """Random features of the case's shape: so many batches of two values in the train and the val split."""
    rng = np.random.default_rng(0)

    def split(batches: int) -> LabelledFeatures:
        shape = (batches * BATCH, *map(int, case.split("x")))
        maps = torch.from_numpy(rng.standard_normal(shape, dtype=np.float32)).half()
        return LabelledFeatures(ArrayFeatures(maps), torch.arange(batches * BATCH) % 2, 2)

    return split(CHILD_STEPS), split(REWARDS)


def ours(case: str, epochs: int, seed: int, recipe: str) -> dict[str, Any]:
    """Seconds of our search, and of the controller's parts."""
    settings = SearchSettings(
        epochs=epochs,
        warmup_epochs=0,
        fair_share=0.0,
        min_steps=0,
        batch_size=BATCH,
        balance="none",
        updates_per_epoch=UPDATES,
        samples_per_update=REWARDS // UPDATES,
        reward="accuracy",
        reward_images=BATCH,
        recipe=recipe,
    )
    train, val = splits(case)
    seconds = {"search": 0.0, "sampling": 0.0, "updates": 0.0}

    def timed(call: Callable[..., Any], name: str) -> Callable[..., Any]:
        def run(*arguments: Any) -> Any:
            started = time.perf_counter()
            answer = call(*arguments)
            seconds[name] += time.perf_counter() - started
            return answer

        return run

    with tempfile.TemporaryDirectory() as folder:
        space, device = macro_space(widths=(WIDTH,), **SPACE), torch.device("cpu")
        search = Search(space, train, val, settings, folder=Path(folder), seed=seed, device=device)
        search.reinforce.sample = timed(search.reinforce.sample, "sampling")
        search.reinforce.update = timed(search.reinforce.update, "updates")
        cpu = time.process_time()
        timed(search.run, "search")()
        cpu = time.process_time() - cpu
    return {**seconds, "cpu": cpu, "child_steps": epochs * CHILD_STEPS, "rewards": epochs * REWARDS}


def theirs(case: str, epochs: int, seed: int, _: str) -> dict[str, Any]:
    """Seconds of NNI's search, and of its policy's parts."""
    from benchmarks.nni_enas import search

    train, val = splits(case)
    settings = FitSettings(epochs=epochs, batch_size=BATCH)
    return search(train, val, settings=settings, space={"width": WIDTH, **SPACE}, seed=seed)


def in_a_process(
    python: str, side: str, case: str, seed: int, *, epochs: int, threads: int, recipe: str
) -> dict[str, Any]:
    command = [python, "-m", "benchmarks.search_against_nni", python, "--threads", str(threads)]
    command += ["--side", side, "--case", case, "--seed", str(seed), "--epochs", str(epochs)]
    command += ["--recipe", recipe]
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "PYTHONWARNINGS": "ignore"})
    if done.returncode:
        raise SystemExit(f"{side}, {case}: {done.stderr[-3000:]}")
    answer: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return answer


def measure(case: str, python: str, *, rounds: int, epochs: int, threads: int, recipe: str) -> dict[str, Any]:
    """Both sides in turns, first one and then the other in front; medians over the rounds."""
    runs: dict[str, list[dict[str, Any]]] = {"ours": [], "nni": []}
    for seed in range(rounds):
        for side in ("ours", "nni") if seed % 2 else ("nni", "ours"):
            interpreter = sys.executable if side == "ours" else python
            run = in_a_process(interpreter, side, case, seed, epochs=epochs, threads=threads, recipe=recipe)
            runs[side].append(run)
            print(f"{case}, {side}: {runs[side][-1]['search']:.2f} s", file=sys.stderr, flush=True)
    figures: dict[str, Any] = {name: runs["nni"][0][name] for name in ("child_steps", "rewards")}
    assert all(run[name] == figures[name] for side in runs.values() for run in side for name in figures)
    for side, results in runs.items():
        figures[f"{side}_s"] = round(statistics.median(run["search"] for run in results), 3)
        figures[f"{side}_cpu_s"] = round(statistics.median(run["cpu"] for run in results), 3)
        shares = [(run["sampling"] + run["updates"]) / run["search"] for run in results]
        figures[f"{side}_policy_share"] = round(statistics.median(shares), 4)
    figures["speedup"] = round(figures["nni_s"] / figures["ours_s"], 2)
    figures["speedup_cpu"] = round(figures["nni_cpu_s"] / figures["ours_cpu_s"], 2)
    figures["wanted"] = WANTED[case]
    return figures


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("python", help="the interpreter of the environment with NNI's ENAS")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--case", choices=WANTED, action="append", help="this map only; may be given again")
    parser.add_argument("--side", choices=("ours", "nni"), help="run one side once, in this process")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--recipe", choices=RECIPES, default=SearchSettings.recipe, help="our controller's; NNI has one"
    )
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    cases = arguments.case or list(WANTED)
    if arguments.side:
        run = ours if arguments.side == "ours" else theirs
        print(json.dumps(run(cases[0], arguments.epochs, arguments.seed, arguments.recipe)))
        return
    settings = {name: getattr(arguments, name) for name in ("rounds", "epochs", "threads", "recipe")}
    figures = {case: measure(case, arguments.python, **settings) for case in cases}
    print(json.dumps({"benchmark": "search_against_nni", "batch": BATCH, "width": WIDTH, **settings, **figures}))


if __name__ == "__main__":
    main()
