"""Features of all depths in one pass of the trunk, against one pass for each depth, in seconds.

Run: python -m benchmarks.multi_depth_cache [--backbone NAME] [--size PX] [--images N] [--depths 3,4,5] [--rounds R]

Made-up pictures are decoded and passed through a backbone of random weights (the time does not depend on what it
learned) into an empty cache; in each round both ways fill one, in turn, and both must hold the same numbers. `one_pass`
and `passes`: median seconds; `saved`: the share that one pass saves. `hours_per_million` is what a million images would
take either way at that speed. One JSON line.
"""

import argparse
import json
import os
import statistics
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from trunk.backbones.find import find_backbone
from trunk.features.cache import FeatureCache
from trunk.preprocessing import Preprocessing
from trunk.trunk import Trunk


def pictures(folder: Path, count: int, side: int) -> dict[str, Path]:
    """Noise as JPEG files, by a key each."""
    rng = np.random.default_rng(0)
    found = {}
    for number in range(count):
        path = folder / f"{number}.jpg"
        Image.fromarray(rng.integers(0, 256, (side, side, 3), dtype=np.uint8)).save(path)
        found[f"{number:064x}"] = path
    return found


def filled(trunk: Trunk, images: dict[str, Path], groups: list[list[int]], folder: Path) -> tuple[float, FeatureCache]:
    """Seconds to fill an empty cache, a pass for each group of depths; and the cache."""
    cache = FeatureCache(folder, trunk)
    started = time.perf_counter()
    for depths in groups:
        cache.fill(images, depths)
    return time.perf_counter() - started, cache


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--backbone", default="inception_v3")
    parser.add_argument("--size", type=int, default=96)
    parser.add_argument("--images", type=int, default=128)
    parser.add_argument("--depths", default="", help="default: all")
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    torch.manual_seed(0)
    chain = find_backbone(arguments.backbone).build()
    trunk = Trunk(arguments.backbone, chain, Preprocessing(arguments.size))
    depths = [int(depth) for depth in arguments.depths.split(",")] if arguments.depths else list(trunk.depths)
    seconds: dict[str, list[float]] = {"one_pass": [], "passes": []}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        images = pictures(folder, arguments.images, arguments.size)
        filled(trunk, dict(list(images.items())[:64]), [depths], folder / "warm")
        for number in range(arguments.rounds):
            caches = []
            for way, groups in (("one_pass", [depths]), ("passes", [[depth] for depth in depths])):
                took, cache = filled(trunk, images, groups, folder / f"{way}{number}")
                seconds[way].append(took)
                caches.append(cache)
            rows = torch.arange(len(images))
            for depth in depths:
                one, other = (cache.open(images, depth).gather(rows) for cache in caches)
                assert torch.equal(one, other), depth
    medians = {way: statistics.median(found) for way, found in seconds.items()}
    record = {
        "benchmark": "multi_depth_cache",
        "backbone": arguments.backbone,
        "size": arguments.size,
        "depths": depths,
        "images": arguments.images,
        "rounds": arguments.rounds,
        **{way: round(value, 3) for way, value in medians.items()},
        "ratio": round(medians["passes"] / medians["one_pass"], 2),
        "saved": round(1 - medians["one_pass"] / medians["passes"], 3),
        "hours_per_million": {way: round(1e6 * value / arguments.images / 3600, 2) for way, value in medians.items()},
        "threads": torch.get_num_threads(),
        "cores": os.cpu_count(),
        "torch": torch.__version__,
    }
    print(json.dumps(record))


if __name__ == "__main__":
    main()
