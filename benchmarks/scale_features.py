"""At the size people have: cached features, probe, pages and exports, of hundreds of attributes and millions of rows.

    python -m benchmarks.scale_features probe [--rows 210000] [--shape 96 4 4]
    python -m benchmarks.scale_features cached [--rows 3500000]
    python -m benchmarks.scale_features export [--rows 200]         (attributes)
    python -m benchmarks.scale_features report [--rows 200]

Each line is measured in a process of its own, on data that is made up in a temporary folder of --folder, and printed as
one JSON object: `cpu_seconds` of this process and of those it started, `megabytes` of private memory (RssAnon, Linux)
at most above what the process held when its work began.
"""

import argparse
import hashlib
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any


def private() -> float:
    """RssAnon of this process, in megabytes."""
    lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("RssAnon")) * 1024 / 1e6


def measured(work: Callable[[], Any]) -> dict[str, float]:
    """What a call takes: CPU seconds, seconds by the clock, and private memory at most above that of before."""
    before, peak, stop = private(), [0.0], threading.Event()

    def watch() -> None:
        while not stop.wait(0.02):
            peak[0] = max(peak[0], private() - before)

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    started, used = time.perf_counter(), sum(os.times()[:4])
    work()
    seconds, cpu = time.perf_counter() - started, sum(os.times()[:4]) - used
    peak[0] = max(peak[0], private() - before)
    stop.set()
    thread.join()
    return {"cpu_seconds": round(cpu, 2), "seconds": round(seconds, 2), "megabytes": round(peak[0], 1)}


def probe(folder: Path, rows: int, shape: tuple[int, int, int]) -> dict[str, Any]:
    """The linear probe on train features of so many images, and a fifth as many of val."""
    import torch

    from benchmarks.synthetic_shards import write_shards
    from branches.probe import linear_probe
    from trunk.features.source import LabelledFeatures

    whole, labels = write_shards(folder, shape, rows + rows // 5), torch.arange(rows + rows // 5) % 2
    train = LabelledFeatures(whole.part(0, rows), labels[:rows], 2)
    val = LabelledFeatures(whole.part(rows, len(labels)), labels[rows:], 2)
    linear_probe(
        LabelledFeatures(whole.part(0, 64), labels[:64], 2), LabelledFeatures(whole.part(0, 64), labels[:64], 2)
    )
    scores: list[float] = []
    figures = measured(lambda: scores.append(linear_probe(train, val).val_score))
    return {**figures, "val_auroc": scores[0]}


class OneNumber:
    """What a cache asks of a trunk; a row is one number, so that millions are made up soon."""

    fingerprint, backbone = "f" * 64, "made up"

    def check_depth(self, depth: int) -> int:
        return depth

    def feature_shape(self, depth: int) -> tuple[int, int, int]:
        return 1, 1, 1


def cached(folder: Path, rows: int, shape: tuple[int, int, int]) -> dict[str, Any]:
    """Open a cache of so many rows in shards of 5,400: the first time, again in a process that has it, and all rows.

    The first time every record is read and every shard hashed, which on real shards takes as long as reading them.
    """
    import numpy as np

    from trunk.features.cache import FeatureCache, write_shard

    FeatureCache(folder, OneNumber())  # type: ignore[arg-type]
    keys = [hashlib.sha256(str(number).encode()).hexdigest() for number in range(rows)]
    for start in range(0, rows, 5400):
        part = keys[start : start + 5400]
        write_shard(folder / "depth04", part, np.zeros((len(part), 1, 1, 1), np.float16), None)
    for path in (folder / "depth04").iterdir():
        os.utime(path, (1e9, 1e9))

    def opened(wanted: list[str]) -> dict[str, float]:
        return measured(lambda: FeatureCache(folder, OneNumber()).open(wanted, 4))  # type: ignore[arg-type]

    some = keys[:: max(1, rows // 20_000)]
    return {"first": opened(some), "again": opened(some), "all_rows": opened(keys)}


def export(folder: Path, rows: int, shape: tuple[int, int, int]) -> dict[str, Any]:
    """A bundle of so many branches of random macro and micro architectures on a small trunk: written, and once more."""
    import numpy as np

    from deployment.bundle.write import write_bundle
    from search_spaces import macro_space, micro_space
    from tests.deployment import bundles

    trunk, saved = bundles.small_trunk(0), []
    spaces = macro_space(4, widths=(16, 32)), micro_space(3, cells=3)
    for number in range(rows):
        architecture = spaces[number % 2].random(np.random.default_rng(number))
        saved.append(bundles.save_small(folder / "saved", trunk, f"a{number}", architecture=architecture))
    return {name: measured(lambda: write_bundle(trunk, saved, folder / "bundle")) for name in ("first", "again")}


def report(folder: Path, rows: int, shape: tuple[int, int, int]) -> dict[str, Any]:
    """The pages of so many attributes: all new, and nothing new; the page over all of them."""
    from graftnet.pages.fresh import write_if_changed
    from reports import write_fleet_report
    from tests.reports.fleet_folder import write_fleet

    record = write_fleet(folder / "runs", tuple(f"a{number}" for number in range(rows + 1)))
    searches = [path.parent for path in sorted((folder / "runs" / "searches").glob("*/*/result.json"))]

    def pages() -> None:
        for search in searches:
            write_if_changed(search)

    figures = {name: measured(pages) for name in ("all_new", "nothing_new")}
    return {**figures, "fleet": measured(lambda: write_fleet_report(record))}


LINES: dict[str, tuple[Callable[[Path, int, tuple[int, int, int]], dict[str, Any]], int]] = {
    "probe": (probe, 210_000),
    "cached": (cached, 3_500_000),
    "export": (export, 200),
    "report": (report, 200),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("line", choices=LINES)
    parser.add_argument("--folder", type=Path, help="a disk with room for made-up data")
    parser.add_argument("--rows", type=int, help="Default: as many as issue 17 names.")
    parser.add_argument("--shape", type=int, nargs=3, default=[96, 4, 4], help="of the probe's features")
    parser.add_argument("--here", action="store_true", help="in this process and this folder")
    given = parser.parse_args()
    work, usual = LINES[given.line]
    rows = given.rows or usual
    if given.here:
        print(json.dumps(work(given.folder, rows, tuple(given.shape))))
        return
    with tempfile.TemporaryDirectory(dir=given.folder) as folder:
        command = [sys.executable, "-m", "benchmarks.scale_features", *sys.argv[1:], "--here", "--folder", folder]
        done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    line = {"benchmark": "scale_features", "line": given.line, "rows": rows, "cores": os.cpu_count()}
    print(json.dumps({**line, **json.loads(done.stdout.splitlines()[-1])}))


if __name__ == "__main__":
    main()
