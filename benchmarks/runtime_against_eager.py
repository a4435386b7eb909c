"""The whole tree by onnxruntime against PyTorch eager: how long, and how far the scores are apart.

    python -m benchmarks.runtime_against_eager [--folder DIR] [--sizes 299 96] [--rounds 30] [--threads 2]

Prints one JSON line. 18 searched branches on InceptionV3's first eight blocks (`benchmarks.searched_tree`), batches of
1 and 16 images, both in turns; `ratio` is eager's time over onnxruntime's, the median of neighbouring runs.
`largest_relative_difference` of a score (below 1e-3, absolute at that scale) is wanted at 1e-4 or less.
"""

import argparse
import json
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import torch

from benchmarks.searched_tree import grafted, write_tree
from deployment.runtime import Runtime
from deployment.runtime.checks import relative_error

WARM_UP = 2


def measure(folder: Path, size: int, *, branches: int, rounds: int, threads: int) -> dict[str, Any]:
    """Milliseconds of both per batch, and the largest difference, at one image size."""
    net = grafted(write_tree(folder, size, branches=branches), folder)
    runtime = Runtime(folder / "bundle", threads=threads, graph="joined")
    figures: dict[str, Any] = {}
    worst = 0.0
    for batch in (1, 16):
        images = np.random.default_rng(batch).standard_normal((batch, 3, size, size)).astype(np.float32)
        tensor = torch.from_numpy(images).contiguous(memory_format=torch.channels_last)
        times: dict[str, list[float]] = {"eager": [], "onnxruntime": []}
        for turn in range(WARM_UP + rounds):
            for name in list(times)[:: 1 if turn % 2 else -1]:
                started = time.perf_counter()
                if name == "eager":
                    with torch.inference_mode():
                        expected = net(tensor)
                else:
                    found = runtime.scores_of_images(images)
                if turn >= WARM_UP:
                    times[name].append(1e3 * (time.perf_counter() - started))
        worst = max(worst, *(relative_error(found[name], expected[name].numpy()) for name in found))
        figures[f"batch {batch}"] = {
            **{f"{name}_ms": round(statistics.median(took), 3) for name, took in times.items()},
            "ratio": round(statistics.median(a / b for a, b in zip(*times.values(), strict=True)), 3),
        }
    return {**figures, "largest_relative_difference": worst}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--sizes", type=int, nargs="+", default=[299, 96])
    parser.add_argument("--branches", type=int, default=18)
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument("--threads", type=int, default=2)
    chosen = parser.parse_args()
    torch.set_num_threads(chosen.threads)
    with tempfile.TemporaryDirectory() as temporary:
        home = chosen.folder or Path(temporary)
        how = {name: getattr(chosen, name) for name in ("branches", "rounds", "threads")}
        figures = {f"{size} px": measure(home / str(size), size, **how) for size in chosen.sizes}
    versions = {"onnxruntime": onnxruntime.__version__, "torch": torch.__version__}
    print(json.dumps({"benchmark": "runtime_against_eager", **how, **versions, **figures}))


if __name__ == "__main__":
    main()
