"""Is the device kept busy? Child steps per second, GPU utilisation, and the share of time spent waiting for features.

    python -m benchmarks.gpu_search [--device cuda] [--shape 768 4 4] [--batch 128] [--folder DIR] [--threads 2]

Runs a search (a warm-up epoch, which is not counted, and `--epochs` more with controller updates) on synthetic features
that lie in memory-mapped shards in DIR. Waiting is the time in which the loop has asked for a batch and does not have
it yet; on a GPU, whose queue may still be full meanwhile, that is an upper bound; wanted under 5 %. Utilisation is the
mean of what `nvidia-smi` says five times a second. Prints one JSON line. Without a GPU it runs on the CPU, says so, and
leaves the utilisation out.
"""

import argparse
import json
import shutil
import statistics
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

import nas.enas
from benchmarks.synthetic_shards import write_shards
from foundation.history import read_history
from nas.enas import Search
from nas.settings import SearchSettings
from search_spaces.macro import macro_space
from trunk.features.cached import prefetched
from trunk.features.source import LabelledFeatures


class Waiting:
    """`prefetched`, with the seconds that each epoch waited for its batches."""

    def __init__(self) -> None:
        self.epochs: list[float] = []

    def __call__(self, *arguments: Any) -> Iterator[tuple[Tensor, Tensor]]:
        self.epochs.append(0.0)
        coming = prefetched(*arguments)
        while True:
            started = time.perf_counter()
            batch = next(coming, None)
            self.epochs[-1] += time.perf_counter() - started
            if batch is None:
                return
            yield batch


class Utilisation:
    """The GPU's utilisation in percent, sampled until `end`; None where there is no `nvidia-smi`."""

    def __init__(self) -> None:
        self.found: list[float] = []
        self.stop = threading.Event()
        self.thread = threading.Thread(target=self.watch, daemon=True)
        self.thread.start()

    def watch(self) -> None:
        command = ["nvidia-smi", "--query-gpu=utilization.gpu", "--format=csv,noheader,nounits"]
        while shutil.which(command[0]) and not self.stop.wait(0.2):
            said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
            self.found.append(float(said.split()[0]))

    def end(self) -> float | None:
        self.stop.set()
        self.thread.join()
        return round(statistics.mean(self.found), 1) if self.found else None


def measure(arguments: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Run the search; the warm-up epoch is left out of every figure."""
    images, shape = arguments.images, tuple(arguments.shape)
    whole, labels, cut = write_shards(folder / "shards", shape, images), torch.arange(images) % 2, images * 4 // 5
    train = LabelledFeatures(whole.part(0, cut), labels[:cut], 2)
    val = LabelledFeatures(whole.part(cut, images), labels[cut:], 2)
    settings = SearchSettings(epochs=1 + arguments.epochs, warmup_epochs=1, batch_size=arguments.batch)
    waiting, device = Waiting(), torch.device(arguments.device)
    nas.enas.prefetched = waiting  # type: ignore[assignment]
    search = Search(macro_space(6), train, val, settings, folder=folder / "search", seed=0, device=device)
    marks: list[float] = []
    watched: list[Utilisation] = []

    def progress(_stage: str, _done: int, _total: int, _figures: object) -> None:
        marks.append(time.perf_counter())
        if not watched and device.type == "cuda":
            watched.append(Utilisation())

    search.run(progress=progress)
    epochs = [one for one in read_history(folder / "search" / "history.jsonl") if one["kind"] == "child_epoch"][1:]
    steps, child_s = sum(one["steps"] for one in epochs), sum(one["seconds"] for one in epochs)
    return {
        "child_steps": steps,
        "child_steps_per_second": round(steps / child_s, 2),
        "search_s": round(marks[-1] - marks[0], 2),
        "waiting_share_of_child_steps": round(sum(waiting.epochs[1:]) / child_s, 4),
        "gpu_utilisation_percent": watched[0].end() if watched else None,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--shape", type=int, nargs=3, default=[768, 4, 4])
    parser.add_argument("--images", type=int, default=20_000)
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--folder", type=Path, help="where the shards go for a while; the system's own by default")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
        figures = measure(arguments, Path(folder))
    on_gpu = arguments.device.startswith("cuda")
    name = torch.cuda.get_device_name() if on_gpu else "no GPU at hand: measured on the CPU"
    settings = {key: getattr(arguments, key) for key in ("shape", "images", "batch", "epochs", "threads")}
    print(json.dumps({"benchmark": "gpu_search", "device": name, **settings, **figures}))


if __name__ == "__main__":
    main()
