"""Caching the features of 1,920 x 1,080 photographs: JPEGs decoded at their own size, and at the smallest that serves.

    python -m benchmarks.decoding --photos DIR --weights FILE [--images 2000] [--size 224] [--threads 1]

Prints one JSON line. The pictures are made of the photographs in DIR, seeded: a part of 16 : 9 enlarged, with
noise (standard deviation 6 of 255), quality 90. `full` and `scaled`: seconds of filling an empty cache with all of them
by `trunk.features.cache`, in portions that take turns; `cpu`: the processor's, which other programs stretch less.
`decoding_ms`: reading and resizing one picture, median, in one thread with nothing beside it. `ours` and `bare`: images
per second of what runs the trunk for the cache, and of the backbone's blocks called by themselves on batches that lie
ready, in turns, medians. `cosine` and `relative_error`: of the averaged last features, scaled against full.
"""

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from trunk.features.cache import BATCH_SIZE, FeatureCache
from trunk.images import decode
from trunk.preprocessing import Preprocessing
from trunk.trunk import Trunk, load_trunk

WIDTH, HEIGHT, NOISE, QUALITY = 1920, 1080, 6.0, 90
PORTIONS, ROUNDS, COMPARED = 8, 7, 64
DECODINGS = ("full", "scaled")


def make_pictures(photos: list[Path], folder: Path, count: int) -> list[Path]:
    """`count` JPEGs of 1,920 x 1,080, each of another photograph or another part of it."""
    rng, paths = np.random.default_rng(0), []
    for number in range(count):
        with Image.open(photos[number % len(photos)]) as opened:
            photo = opened.convert("RGB")
        height = min(photo.height, round(photo.width * HEIGHT / WIDTH))
        top = int(rng.integers(photo.height - height + 1))
        part = photo.crop((0, top, photo.width, top + height)).resize((WIDTH, HEIGHT), Image.Resampling.BICUBIC)
        noise = rng.standard_normal((HEIGHT, WIDTH), dtype=np.float32)[..., None] * NOISE
        pixels = np.clip(np.asarray(part) + noise, 0, 255).astype(np.uint8)
        paths.append(folder / f"{number:05d}.jpg")
        Image.fromarray(pixels).save(paths[-1], quality=QUALITY)
    return paths


def decoded_ms(paths: list[Path], preprocessing: Preprocessing) -> float:
    """Milliseconds of one picture, from its file to the trunk's pixels."""
    took = []
    for path in paths:
        started = time.perf_counter()
        preprocessing.pixels(preprocessing.read(path))
        took.append(time.perf_counter() - started)
    return 1e3 * statistics.median(took)


def filled(
    trunks: dict[str, Trunk], paths: list[Path], folder: Path, depth: int
) -> tuple[dict[str, float], dict[str, float]]:
    """Seconds, and the processor's, that a cache of each trunk takes to fill with all pictures; portions take turns."""
    seconds, busy = dict.fromkeys(trunks, 0.0), dict.fromkeys(trunks, 0.0)
    caches = {name: FeatureCache(folder / name, trunk) for name, trunk in trunks.items()}
    size = -(-len(paths) // PORTIONS // BATCH_SIZE) * BATCH_SIZE
    for turn, start in enumerate(range(0, len(paths), size)):
        portion = {f"{start + row:064x}": path for row, path in enumerate(paths[start : start + size])}
        for name in list(trunks)[:: 1 if turn % 2 else -1]:
            started, working = time.perf_counter(), time.process_time()
            caches[name].fill(portion, [depth])
            seconds[name] += time.perf_counter() - started
            busy[name] += time.process_time() - working
    return seconds, busy


def images_per_second(trunk: Trunk, pixels: torch.Tensor, depth: int, folder: Path) -> dict[str, float]:
    """Of the cache's pass of the trunk, from bytes, and of the bare blocks, on normalised images; in turns."""
    cache = FeatureCache(folder / "speed", trunk)
    images = trunk.preprocessing.normalise(pixels).contiguous(memory_format=torch.channels_last)

    def bare() -> None:
        with torch.inference_mode():
            features = images
            for number in range(depth):
                features = trunk.chain.run_block(number, features)

    passes: dict[str, Callable[[], Any]] = {"ours": lambda: cache.run_trunk(pixels, [depth]), "bare": bare}
    took: dict[str, list[float]] = {name: [] for name in passes}
    for turn in range(-1, ROUNDS):
        for name in list(passes)[:: 1 if turn % 2 else -1]:
            started = time.perf_counter()
            passes[name]()
            if turn >= 0:
                took[name].append(time.perf_counter() - started)
    return {name: len(pixels) / statistics.median(seconds) for name, seconds in took.items()}


def averaged(trunk: Trunk, pixels: np.ndarray[Any, Any], depth: int, folder: Path) -> torch.Tensor:
    """(N, C): the features of pixels, averaged over their positions."""
    return FeatureCache(folder / "compared", trunk).compute(torch.from_numpy(pixels), [depth])[depth].mean((1, 2))


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--photos", type=Path, required=True, help="a folder of photographs")
    parser.add_argument("--weights", type=Path, required=True, help="of the backbone, in its library's names")
    parser.add_argument("--backbone", default="tf_efficientnet_lite0")
    parser.add_argument("--images", type=int, default=2000)
    parser.add_argument("--size", type=int, default=224)
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    half = (0.5, 0.5, 0.5)
    own = Preprocessing(arguments.size, half, half, "bicubic")
    loaded = load_trunk(arguments.weights, arguments.backbone, own)
    trunks = {name: Trunk(loaded.backbone, loaded.chain, replace(own, decoding=name)) for name in DECODINGS}
    depth = len(loaded.chain)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        photos = sorted(path for path in arguments.photos.rglob("*") if path.suffix.lower() in (".jpg", ".jpeg"))
        paths = make_pictures(photos, folder, arguments.images)
        shown = paths[:COMPARED]
        decoding = {name: decoded_ms(shown, trunk.preprocessing) for name, trunk in trunks.items()}
        pixels = {name: decode(shown, trunk.preprocessing) for name, trunk in trunks.items()}
        means = {name: averaged(loaded, array, depth, folder) for name, array in pixels.items()}
        speed = images_per_second(loaded, torch.from_numpy(pixels["full"]), depth, folder)
        seconds, busy = filled(trunks, paths, folder, depth)
    far = (means["scaled"] - means["full"]).norm(dim=1) / means["full"].norm(dim=1)
    answer = {
        "benchmark": "decoding",
        **{key: str(value) if isinstance(value, Path) else value for key, value in vars(arguments).items()},
        "decoding_ms": {name: round(value, 2) for name, value in decoding.items()},
        "cache_seconds": {name: round(value, 1) for name, value in seconds.items()},
        "cache_cpu_seconds": {name: round(value, 1) for name, value in busy.items()},
        "cache_images_per_second": {name: round(len(paths) / value, 1) for name, value in seconds.items()},
        "trunk_images_per_second": {name: round(value, 1) for name, value in speed.items()},
        "ours_to_bare": round(speed["ours"] / speed["bare"], 3),
        "cosine": round(float(torch.cosine_similarity(means["scaled"], means["full"]).min()), 5),
        "relative_error": round(float(far.median()), 4),
    }
    print(json.dumps(answer))


if __name__ == "__main__":
    main()
