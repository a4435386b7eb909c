"""Anonymous memory of a search: it does not grow with the number of images.

    python -m benchmarks.memory --folder DIR [--images 10000 20000 100000] [--shape 768 4 4]

Writes synthetic shards to DIR (2.5 GB for 100,000 images of 768x4x4; deleted at the end), and runs a search on them for
each number of images in a process of its own: a warm-up epoch, an epoch with controller updates, the ranking of
candidates on the whole val split (a fifth of the images). The peak of RssAnon in /proc/self/status (Linux), read every
50 ms, is what counts: the file cache beside it gives way when memory is needed. Prints one JSON line. Candidates are
ranked on up to 4,096 val images at once, so memory grows until there are so many (20,000 images) and not after that.
`held`: RssAnon at the end, the search still there, after glibc gave back what it keeps of freed memory, which grows a
little with the number of steps.
"""

import argparse
import ctypes
import json
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import torch

from benchmarks.synthetic_shards import write_shards
from nas.candidates import rank_candidates
from nas.enas import Search
from nas.settings import SearchSettings
from search_spaces.macro import macro_space
from trunk.features.source import LabelledFeatures

GIB = 2**30
LIMIT = 3.0


def anonymous() -> float:
    """RssAnon in GiB, without what the allocator keeps for later."""
    ctypes.CDLL("libc.so.6").malloc_trim(0)
    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return int(status["RssAnon"].split()[0]) * 1024 / GIB


class Peak:
    """The largest RssAnon and RssFile since it was started, in GiB."""

    def __init__(self) -> None:
        self.found = {"RssAnon": 0.0, "RssFile": 0.0}
        self.stop = threading.Event()
        self.thread = threading.Thread(target=self.watch, daemon=True)
        self.thread.start()

    def watch(self) -> None:
        while not self.stop.wait(0.05):
            for line in Path("/proc/self/status").read_text().splitlines():
                name, _, value = line.partition(":")
                if name in self.found:
                    self.found[name] = max(self.found[name], int(value.split()[0]) * 1024 / GIB)

    def end(self) -> dict[str, float]:
        self.stop.set()
        self.thread.join()
        return {name: round(value, 3) for name, value in self.found.items()}


def search(images: int, shape: tuple[int, int, int], folder: Path) -> dict[str, float]:
    """Write the shards, search on them, and say how much memory that took at most."""
    whole = write_shards(folder / "shards", shape, images)
    labels, cut = torch.arange(images) % 2, images * 4 // 5
    train = LabelledFeatures(whole.part(0, cut), labels[:cut], 2)
    val = LabelledFeatures(whole.part(cut, images), labels[cut:], 2)
    settings = SearchSettings(epochs=2, warmup_epochs=1, batch_size=256, updates_per_epoch=2)
    peak, started = Peak(), time.perf_counter()
    space = macro_space(4, widths=(16, 32))
    run = Search(space, train, val, settings, folder=folder / "search", seed=0, device=torch.device("cpu"))
    run.run()
    candidates = rank_candidates(run, 8)
    seconds = time.perf_counter() - started
    return {
        **peak.end(),
        "held": round(anonymous(), 3),
        "seconds": round(seconds, 1),
        "best_auroc": round(candidates[0].score, 3),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--folder", type=Path, required=True, help="a disk with room for the shards")
    parser.add_argument("--images", type=int, nargs="+", help="two numbers or more", default=[10_000, 20_000, 100_000])
    parser.add_argument("--shape", type=int, nargs=3, default=[768, 4, 4])
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--once", action="store_true", help="search in this process, on the first number of images")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    shape = tuple(arguments.shape)
    if arguments.once:
        print(json.dumps(search(arguments.images[0], shape, arguments.folder)))
        return
    figures = {}
    for images in arguments.images:
        with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
            command = [sys.executable, "-m", "benchmarks.memory", "--once", "--folder", folder, "--images", str(images)]
            command += ["--threads", str(arguments.threads), "--shape", *map(str, shape)]
            done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
            figures[f"{images} images"] = json.loads(done.stdout.splitlines()[-1])
    peaks = [figure["RssAnon"] for figure in figures.values()]
    line = {"benchmark": "memory", "shape": "x".join(map(str, shape)), "threads": arguments.threads}
    line |= {"limit_gib": LIMIT, "within": max(peaks) <= LIMIT, "growth_gib": round(peaks[-1] - peaks[-2], 3)}
    print(json.dumps({**line, **figures}))


if __name__ == "__main__":
    main()
