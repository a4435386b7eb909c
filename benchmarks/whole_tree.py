"""What 18 attributes cost on one trunk: the joined graph against one plain InceptionV3, and against 18 of them.

    python -m benchmarks.whole_tree [--folder DIR] [--sizes 299 96] [--branches 18] [--rounds 30] [--threads 2]

Prints one JSON line. All are onnxruntime sessions with the same settings, one image at a time, run in turns; figures
are median milliseconds, and ratios are medians of the ratios of neighbouring runs, which a busy machine disturbs less.
`joined_to_inception` is wanted at 1.2 or less, `separate_to_joined` at 15 or more. `separate`: one network per
attribute; as many as --copies are loaded, with weights of their own, run one after the other, and their sum taken times
18 / copies. `parts`: trunk and branches as sessions of their own, `four`: four attributes of them. What is timed is
written to DIR (default: a temporary folder), which takes a minute for each size, and found there again.
"""

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime

from benchmarks.searched_tree import write_tree
from deployment.runtime import Runtime
from deployment.runtime.exported import open_session

WARM_UP = 3


def measure(folder: Path, size: int, *, branches: int, rounds: int, threads: int, copies: int) -> dict[str, Any]:
    """Milliseconds and ratios at one image size."""
    write_tree(folder, size, branches=branches)
    images = np.random.default_rng(0).standard_normal((1, 3, size, size)).astype(np.float32)
    joined = folder / "bundle" / "graftnet.onnx"

    def runner(data: bytes) -> Callable[[], Any]:
        session = open_session(data, joined, threads=threads)
        name = session.get_inputs()[0].name
        return lambda: session.run(None, {name: images})

    parts = Runtime(folder / "bundle", threads=threads)
    plain = (folder / "inception.onnx").read_bytes()
    separate = [runner(plain) for _ in range(copies)]
    calls: dict[str, Callable[[], Any]] = {
        "inception": runner(plain),
        "joined": runner(joined.read_bytes()),
        "trunk": runner((folder / "bundle" / "trunk.onnx").read_bytes()),
        "parts": lambda: parts.scores_of_images(images),
        "four": lambda: parts.scores_of_images(images, list(parts.branches)[:4]),
        "separate": lambda: [call() for call in separate],
    }
    times: dict[str, list[float]] = {name: [] for name in calls}
    for turn in range(WARM_UP + rounds):
        for name in list(calls)[:: 1 if turn % 2 else -1]:
            started = time.perf_counter()
            calls[name]()
            if turn >= WARM_UP:
                times[name].append(1e3 * (time.perf_counter() - started))
    times["separate"] = [took * branches / copies for took in times["separate"]]

    def ratio(one: str, another: str) -> float:
        return round(statistics.median(a / b for a, b in zip(times[one], times[another], strict=True)), 3)

    return {
        **{f"{name}_ms": round(statistics.median(found), 3) for name, found in times.items()},
        "joined_to_inception": ratio("joined", "inception"),
        "separate_to_joined": ratio("separate", "joined"),
        "parts_to_joined": ratio("parts", "joined"),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--sizes", type=int, nargs="+", default=[299, 96])
    parser.add_argument("--branches", type=int, default=18)
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--copies", type=int, default=3)
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        home = chosen.folder or Path(temporary)
        how = {name: getattr(chosen, name) for name in ("branches", "rounds", "threads", "copies")}
        figures = {f"{size} px": measure(home / str(size), size, **how) for size in chosen.sizes}
    versions = {"onnxruntime": onnxruntime.__version__}
    print(json.dumps({"benchmark": "whole_tree", **how, **versions, **figures}))


if __name__ == "__main__":
    main()
