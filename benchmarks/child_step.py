"""What sharing weights costs: one child step of the supernet against a bare PyTorch loop over the same sampled paths.

    python -m benchmarks.child_step [--threads 2] [--paths 16] [--rounds 7]

Prints one JSON line. The bare loop has a module and an AdamW of its own for each path, made before: forward, loss,
backward, clipping, fused AdamW on the path's own weights; no shared tensors, no controller, no records. Both loops take
turns, path by path, first one and then the other in front. The figures are milliseconds per step: each path's median
over the rounds, averaged over the paths. `ratio` is wanted at 1.10 or less; `cpu_ratio` is that of the processor's
seconds, which a busy machine disturbs less.
"""

import argparse
import json
import statistics
import time
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from branches.settings import FitSettings
from branches.training import adamw
from nas.enas import descend
from nas.supernet.supernet import Supernet
from search_spaces import Architecture
from search_spaces.macro import macro_space

SHAPES = ((768, 4, 4), (128, 8, 8), (768, 17, 17))
BATCHES = (64, 256)
NODES = 6

Step = Callable[[Tensor, Tensor], None]


def supernet_steps(supernet: Supernet, paths: list[Architecture], settings: FitSettings) -> list[Step]:
    """One step per path, as the search takes it: all on the same weights, with one optimiser."""
    optimizer, weights = adamw(supernet, settings), list(supernet.parameters())

    def step(path: Architecture, features: Tensor, labels: Tensor) -> None:
        loss = functional.cross_entropy(supernet(features, path), labels)
        descend(loss, weights, optimizer, settings.gradient_clip)

    return [lambda features, labels, path=path: step(path, features, labels) for path in paths]


def bare_steps(supernet: Supernet, paths: list[Architecture], settings: FitSettings) -> list[Step]:
    """One step per path, each on a module of its own."""

    def bare(path: Architecture) -> Step:
        module = supernet.extract(path)
        for part in module.modules():
            if isinstance(part, nn.BatchNorm1d | nn.BatchNorm2d):  # a path keeps no running statistics either
                part.track_running_stats = False
                part.running_mean = part.running_var = part.num_batches_tracked = None
        optimizer = adamw(module, settings)

        def step(features: Tensor, labels: Tensor) -> None:
            loss = functional.cross_entropy(module(features), labels)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            nn.utils.clip_grad_norm_(module.parameters(), settings.gradient_clip)
            optimizer.step()

        return step

    return [bare(path) for path in paths]


def measure(shape: tuple[int, int, int], batch: int, *, paths: int, rounds: int) -> dict[str, float]:
    """Milliseconds per step of both loops, and their ratio."""
    space, rng = macro_space(NODES), np.random.default_rng(0)
    sampled = [space.random(rng) for _ in range(paths)]
    generator = torch.Generator().manual_seed(0)
    supernet = Supernet(space, shape, 2, generator=generator).train()
    settings = FitSettings()
    loops = supernet_steps(supernet, sampled, settings), bare_steps(supernet, sampled, settings)
    features = torch.randn(batch, *shape, generator=generator).contiguous(memory_format=torch.channels_last)
    labels = torch.randint(0, 2, (batch,), generator=generator)
    seconds, cpu = np.empty((rounds + 1, paths, 2)), np.empty((rounds + 1, paths, 2))
    for turn in range(rounds + 1):
        for path in range(paths):
            for which in (0, 1) if (turn + path) % 2 else (1, 0):
                started = time.perf_counter(), time.process_time()
                loops[which][path](features, labels)
                seconds[turn, path, which] = time.perf_counter() - started[0]
                cpu[turn, path, which] = time.process_time() - started[1]
    ours_cpu, bare_cpu = np.median(cpu[1:], axis=0).mean(axis=0).tolist()
    ours, bare = np.median(seconds[1:], axis=0).mean(axis=0).tolist()  # the first round fills caches
    return {
        "supernet_ms": round(1e3 * ours, 3),
        "bare_ms": round(1e3 * bare, 3),
        "ratio": round(ours / bare, 3),
        "cpu_ratio": round(ours_cpu / bare_cpu, 3),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--paths", type=int, default=16)
    parser.add_argument("--rounds", type=int, default=7)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    figures = {
        f"{'x'.join(map(str, shape))}, batch {batch}": measure(
            shape, batch, paths=arguments.paths, rounds=arguments.rounds
        )
        for shape in SHAPES
        for batch in BATCHES
    }
    line = {
        "benchmark": "child_step",
        "threads": arguments.threads,
        "paths": arguments.paths,
        "rounds": arguments.rounds,
        "worst_ratio": max(figure["ratio"] for figure in figures.values()),
        "worst_cpu_ratio": max(figure["cpu_ratio"] for figure in figures.values()),
        "median_ratio": round(statistics.median(figure["ratio"] for figure in figures.values()), 3),
        **figures,
    }
    print(json.dumps(line))


if __name__ == "__main__":
    main()
