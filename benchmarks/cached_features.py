"""What reading features from the disk costs a child step, and what not running the trunk in every step saves.

    python -m benchmarks.cached_features [--folder DIR] [--threads 2] [--rounds 5] [--trunk-sizes 96 299]

Prints one JSON line. `cached`: short epochs of child steps on batches that lie in memory, ready to use, and of the same
steps on batches gathered in random order from memory-mapped float16 shards, in turns; an epoch's first batch is waited
for. `ratio` is wanted at 1.10 or less. The shards (up to 0.9 GB) go to DIR and are deleted; they stay in the system's
file cache, as those of a search do that fit there.

`uncached`: the trunk (InceptionV3's first eight blocks, random weights) runs on a batch of pixels in every step,
against the same step from the cache. `ratio` is what was measured, `allowed` what the parts' own costs allow:
(trunk + step) / step, each timed alone.
"""

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from benchmarks.synthetic_shards import write_shards
from branches.settings import FitSettings
from branches.training import adamw
from nas.enas import descend
from nas.supernet.supernet import Supernet
from search_spaces.macro import macro_space
from trunk.backbones.find import find_backbone
from trunk.features.cached import prefetched
from trunk.preprocessing import Preprocessing
from trunk.trunk import Trunk

CASES = {(768, 4, 4): 20_000, (128, 8, 8): 20_000, (768, 17, 17): 2_000}  # shape -> images
BATCH = 64
DEPTH = 8
NODES = 6

Shape = tuple[int, int, int]
Epoch = Callable[[Iterable[Tensor]], float]


def epoch_of(shape: Shape, steps: int) -> Epoch:
    """An epoch over batches of features: the seconds it takes, along the same paths each time."""
    space, rng = macro_space(NODES), np.random.default_rng(0)
    paths = [space.random(rng) for _ in range(steps)]
    supernet = Supernet(space, shape, 2, generator=torch.Generator().manual_seed(0)).train()
    settings, weights = FitSettings(), list(supernet.parameters())
    optimizer = adamw(supernet, settings)
    labels = torch.arange(BATCH) % 2

    def epoch(batches: Iterable[Tensor]) -> float:
        started = time.perf_counter()
        for path, features in zip(paths, batches, strict=True):
            loss = functional.cross_entropy(supernet(features, path), labels)
            descend(loss, weights, optimizer, settings.gradient_clip)
        return time.perf_counter() - started

    return epoch


def medians(epoch: Epoch, sources: dict[str, Callable[[], Iterable[Tensor]]], *, rounds: int) -> dict[str, float]:
    """Median seconds of an epoch from each source, one after the other in changing order."""
    seconds: dict[str, list[float]] = {name: [] for name in sources}
    for turn in range(rounds + 1):
        for name in list(sources)[:: 1 if turn % 2 else -1]:
            took = epoch(sources[name]())
            if turn:  # the first round fills caches
                seconds[name].append(took)
    return {name: statistics.median(found) for name, found in seconds.items()}


def cached(shape: Shape, folder: Path, *, steps: int, rounds: int) -> dict[str, float]:
    """Milliseconds per step from memory and from the disk."""
    shards = write_shards(folder, shape, CASES[shape])
    rng = np.random.default_rng(1)
    held = [shards.gather(torch.from_numpy(rng.permutation(len(shards))[:BATCH])) for _ in range(4)]

    def disk() -> Iterator[Tensor]:
        order = rng.permutation(len(shards))[: steps * BATCH].reshape(steps, BATCH)
        return (features for _, features in prefetched(shards, order, torch.device("cpu")))

    sources = {"memory": lambda: (held[step % len(held)] for step in range(steps)), "disk": disk}
    found = medians(epoch_of(shape, steps), sources, rounds=rounds)
    for path in folder.glob("*.npy"):
        path.unlink()
    return {**{f"{name}_ms": round(1e3 * s / steps, 3) for name, s in found.items()}} | {
        "ratio": round(found["disk"] / found["memory"], 3)
    }


def uncached(size: int, *, steps: int, rounds: int) -> dict[str, float]:
    """Milliseconds per step with the trunk in every step and without, and the ratio that the parts allow."""
    torch.manual_seed(0)
    trunk = Trunk("inception_v3", find_backbone("inception_v3").build(), Preprocessing(size))
    pixels = torch.randint(0, 256, (BATCH, size, size, 3), dtype=torch.uint8)

    @torch.inference_mode()
    def run_trunk() -> Tensor:
        return trunk(trunk.preprocessing.normalise(pixels), DEPTH)

    held = run_trunk().clone()
    epoch = epoch_of(trunk.feature_shape(DEPTH), steps)
    sources = {
        "uncached": lambda: (run_trunk().clone() for _ in range(steps)),
        "cached": lambda: (held.clone() for _ in range(steps)),
    }
    with torch.inference_mode(False):
        held = held.clone()
    alone = []
    for _ in range(rounds):
        started = time.perf_counter()
        run_trunk()
        alone.append(time.perf_counter() - started)
    found = medians(epoch, sources, rounds=rounds)
    trunk_s, step_s = statistics.median(alone), found["cached"] / steps
    return {
        "trunk_ms": round(1e3 * trunk_s, 1),
        "cached_ms": round(1e3 * step_s, 2),
        "uncached_ms": round(1e3 * found["uncached"] / steps, 1),
        "ratio": round(found["uncached"] / found["cached"], 2),
        "allowed": round((trunk_s + step_s) / step_s, 2),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--folder", type=Path, help="where the shards go for a while; the system's own by default")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=16, help="child steps of a short epoch")
    parser.add_argument("--trunk-sizes", type=int, nargs="*", default=[96, 299], help="pixels; none leaves it out")
    parser.add_argument("--trunk-steps", type=int, default=2)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
        figures = {
            "x".join(map(str, shape)): cached(shape, Path(folder), steps=arguments.steps, rounds=arguments.rounds)
            for shape in CASES
        }
    table = {
        f"{size} px": uncached(size, steps=arguments.trunk_steps, rounds=arguments.rounds)
        for size in arguments.trunk_sizes
    }
    settings = {"threads": arguments.threads, "rounds": arguments.rounds, "steps": arguments.steps, "batch": BATCH}
    print(json.dumps({"benchmark": "cached_features", **settings, "cached": figures, "uncached": table}))


if __name__ == "__main__":
    main()
