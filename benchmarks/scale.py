"""What commands cost at the size people have: 300,000 images, 18 attributes, 3.5 million rows; one JSON line per line.

    python -m benchmarks.scale current small labels rows [--images 300000] [--rows 3500000] [--folder DIR] [--tree DIR]

The data is made in a folder of its own, files of about 1 kB, and removed afterwards, unless `--folder` names one: then
it is left there, and used again. `--tree` measures another working copy of this repository. Each call is a process of
its own: `cpu_seconds` with all that it imports, `peak_mb` of memory, `read_mb` of files.

current: `graftnet search` of an attribute that is current, first and second call; small: the same with 600 images.
labels: `graftnet data labels` of 18 attributes that share the images, first and second call.
rows: one sub-dataset is read, with all its rows; whether the images exist is not asked, for there are none.
"""

import argparse
import contextlib
import json
import os
import shutil
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

HERE = Path(__file__).parents[1]
CONFIG = """
[trunk]
backbone = "small_cnn"
image_size = 16
freeze_depth = 4
steps = 1
batch_size = 8
warmup_steps = 0
precision = "float32"
"""
# A PNG of 4 x 4; what follows its end makes each file another one.
PNG = bytes.fromhex(
    "89504e470d0a1a0a0000000d4948445200000004000000040802000000269309290000001549444154789c636040065c4880"
    "41040930c82101002adc02d11217da010000000049454e44ae426082"
)

# What a measured process does: the first argument is code, the others are its own.
CHILD = """
import json, os, resource, sys, time
def told():
    used = resource.getrusage(resource.RUSAGE_SELF)
    read = int(open("/proc/self/io").read().split()[1]) if os.path.exists("/proc/self/io") else 0
    figures = {"cpu_seconds": round(used.ru_utime + used.ru_stime, 2), "peak_mb": used.ru_maxrss // 1024}
    print(json.dumps({**figures, "read_mb": round(read / 1e6, 1)}), file=sys.stderr)
code = sys.argv.pop(1)
try:
    exec(code)
finally:
    told()
"""
COMMAND = "from graftnet.cli import main; main()"
PREPARE = """
import json, shutil, sys
from pathlib import Path
import torch
from graftnet.project.folder import open_project
from graftnet.searches.run import plan_search
from graftnet.trunks.versions import open_trunk, train_trunk
from tests.reports.search_folder import write_search
project, device, attribute = open_project(Path(sys.argv[1])), torch.device("cpu"), sys.argv[2]
if attribute == "tiny":
    train_trunk(project, seed=0, device=device)
else:
    plan = plan_search(project, open_trunk(project, device), attribute, seed=0, device=device)
    made = write_search(plan.folder, attribute=attribute, epochs=2, proposals=8, retrained=2)
    config = {**plan.identity, "data": {"digest": plan.identity["data"], "counts": plan.subdataset.counts()}}
    (made / "config.json").write_text(json.dumps(config))
"""
READ = """
import os, sys
os.path.isfile = lambda path: True
from pathlib import Path
from subdatasets.subdataset import read_subdataset
print(len(read_subdataset(Path(sys.argv[1])).examples))
"""


CONVERT = """
import sys
from pyarrow import csv, parquet
parquet.write_table(csv.read_csv(sys.argv[1]), sys.argv[2])
"""


def measure(tree: Path, code: str, *arguments: str) -> dict[str, Any]:
    """Figures of one process."""
    done = subprocess.run(
        [sys.executable, "-c", CHILD, code, *arguments],
        cwd=tree,
        env={**os.environ, "PYTHONPATH": str(tree), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
    )
    if done.returncode:
        sys.exit(f"{arguments}: {done.stderr[-2000:]}")
    figures: dict[str, Any] = json.loads(done.stderr.splitlines()[-1])
    return figures


def make_images(folder: Path, count: int) -> list[str]:
    """So many picture files of about 1 kB, each with its own content; their paths from the data folder."""
    if not (folder / "photos").is_dir():
        (folder / "photos").mkdir(parents=True)
        for number in range(count):
            (folder / "photos" / f"{number:07d}.png").write_bytes(PNG + struct.pack("<q", number) * 116)
    return [f"../photos/{number:07d}.png" for number in range(count)]


def make_table(path: Path, paths: Iterable[str], seed: int) -> None:
    """A table of these images, 70 % train, with labels of a pattern."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as file:
        file.write("path,label,split\n")
        for number, image in enumerate(paths):
            split = ("train", "train", "train", "train", "train", "train", "train", "val", "test", "test")[number % 10]
            label = "yes" if (number + number // 10 + seed) % 3 == 0 else "no"
            file.write(f"{image},{label},{split}\n")


def make_project(folder: Path, tree: Path, images: int, attributes: int) -> None:
    """A project with so many attributes over the same images, and a trunk."""
    if (folder / "graftnet.toml").is_file():
        return
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "graftnet.toml").write_text(CONFIG)
    paths = make_images(folder, images)
    make_table(folder / "data" / "tiny.csv", paths[:60], 0)
    measure(tree, PREPARE, str(folder), "tiny")
    (folder / "data" / "tiny.csv").unlink()
    for number in range(attributes):
        make_table(folder / "data" / f"a{number:02d}.csv", paths, number)


def current(folder: Path, tree: Path, images: int, attributes: int) -> Iterator[dict[str, Any]]:
    make_project(folder, tree, images, attributes)
    if not any(folder.glob("runs/searches/a00/*")):
        measure(tree, PREPARE, str(folder), "a00")
    for name in ("files.sqlite", "standing"):  # as if it had been searched by an earlier version
        with contextlib.suppress(OSError):
            shutil.rmtree(folder / "runs" / name) if name == "standing" else (folder / "runs" / name).unlink()
    for call in ("first", "second", "third"):
        time.sleep(2.5)
        yield {"call": call, "images": images, **measure(tree, COMMAND, "search", "a00", "-p", str(folder))}


def labels(folder: Path, tree: Path, images: int) -> Iterator[dict[str, Any]]:
    make_project(folder, tree, images, 18)
    for call in ("first", "second"):
        yield {"call": call, "images": images, **measure(tree, COMMAND, "data", "labels", "-p", str(folder))}


def rows(folder: Path, tree: Path, count: int) -> Iterator[dict[str, Any]]:
    table = folder / "data" / "rows.csv"
    make_table(table, (f"../photos/{number:07d}.png" for number in range(count)), 0)
    yield {"rows": count, "file": "csv", **measure(tree, READ, str(table))}
    if (tree / "subdatasets" / "reading" / "large.py").exists():
        parquet = table.with_suffix(".parquet")
        measure(tree, CONVERT, str(table), str(parquet))
        yield {"rows": count, "file": "parquet", **measure(tree, READ, str(parquet))}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("lines", nargs="+", choices=("current", "small", "labels", "rows"))
    parser.add_argument("--images", type=int, default=300_000)
    parser.add_argument("--rows", type=int, default=3_500_000)
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--tree", type=Path, default=HERE)
    given = parser.parse_args()
    with contextlib.ExitStack() as stack:
        place = given.folder or Path(stack.enter_context(tempfile.TemporaryDirectory()))
        for line in given.lines:
            found = {
                "current": lambda: current(place / "large", given.tree, given.images, 18),
                "small": lambda: current(place / "small", given.tree, 600, 1),
                "labels": lambda: labels(place / "large", given.tree, given.images),
                "rows": lambda: rows(place / "rows", given.tree, given.rows),
            }[line]()
            for record in found:
                print(json.dumps({"line": line, **record}), flush=True)


if __name__ == "__main__":
    main()
