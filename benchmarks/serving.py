"""`graftnet serve` under load from another process, against a bare onnxruntime loop that does the same work.

    python -m benchmarks.serving [--backbone inception_v3] [--size 96] [--attributes 6] [--threads 1] [--decoders 2]
                                 [--batch 16] [--connections 48] [--requests 2000] [--reloads 10] [--rounds 3]
                                 [--home DIR]

Prints one JSON line. The load: JPEGs of 480 x 360 pixels (about 30 kB), one per request, from a process of its own
over loopback, which takes its share of the two cores. `bare_per_second`: a loop in a process of its own that decodes
the same files with the same function and the same number of threads, one batch ahead of the model, and runs them at
`--batch` with the same number of onnxruntime threads; no HTTP, no JSON, no load beside it. `per_second` and the
latencies are the server's, medians of rounds that alternate with the loop's; `ratio` is the quotient. `alone_p50_ms`:
one connection. `rss_mb`: the server's memory after a tenth of a round, after every round and at the end. `reloads`:
bundles exchanged while the load runs, a branch more or fewer each time; `errors` counts every request not answered
with 200, reloads included.
"""

import argparse
import http.client
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

IMAGES = 64


def make_images(folder: Path) -> None:
    """Smooth random pictures as JPEG files."""
    folder.mkdir()
    rng = np.random.default_rng(0)
    for number in range(IMAGES):
        small = Image.fromarray(rng.integers(0, 256, (24, 32, 3), dtype=np.uint8))
        small.resize((480, 360), Image.Resampling.BICUBIC).save(folder / f"{number}.jpg", quality=85)


def make_bundles(folder: Path, backbone: str, size: int, attributes: int) -> None:
    """few/ and many/: bundles of random weights, the second with a branch more."""
    import torch

    from branches.branch import Branch
    from branches.saved import BranchRecord, save_branch
    from deployment.bundle import write_bundle
    from deployment.bundle.change import add_branch
    from search_spaces import macro_space
    from trunk.backbones.find import find_backbone
    from trunk.preprocessing import Preprocessing
    from trunk.trunk import Trunk

    torch.manual_seed(0)
    table = find_backbone(backbone)
    trunk = Trunk(backbone, table.build(), Preprocessing(size))
    depth, saved = table.freeze_depth, []
    space = macro_space(4, widths=(32, 64))
    for number in range(attributes + 1):
        name, shape = f"attribute{number}", trunk.feature_shape(depth)
        architecture = space.random(np.random.default_rng(number))
        branch = Branch(architecture, shape, 2, generator=torch.Generator().manual_seed(number))
        record = BranchRecord(
            name, ("no", "yes"), shape, depth, trunk.fingerprint, threshold=0.5, architecture=architecture
        )
        save_branch(folder / "saved" / name, branch, record)
        saved.append(folder / "saved" / name)
    write_bundle(trunk, saved[:-1], folder / "few")
    add_branch(shutil.copytree(folder / "few", folder / "making"), saved[-1])
    (folder / "making").rename(folder / "many")


def bare(bundle: Path, images: Path, *, threads: int, decoders: int, batch: int, requests: int) -> float:
    """Images per second of a loop: decode a batch ahead, run the model."""
    from deployment.runtime import Runtime
    from deployment.runtime.images import normalised
    from deployment.serve.decoding import decode

    runtime = Runtime(bundle, threads=threads)
    preprocessing = runtime.bundle["preprocessing"]
    files = [path.read_bytes() for path in sorted(images.iterdir())]

    def batches() -> Iterator[list[bytes]]:
        for start in range(0, requests, batch):
            yield [files[number % len(files)] for number in range(start, min(start + batch, requests))]

    def read(data: bytes) -> npt.NDArray[np.float32]:
        return normalised(decode(data, max_pixels=25_000_000), preprocessing)

    with ThreadPoolExecutor(decoders) as pool:

        def begin(part: list[bytes]) -> Any:
            return [pool.submit(read, data) for data in part]

        runtime.scores_of_images(np.stack([one.result() for one in begin(files[:batch])]))
        began, ahead = time.perf_counter(), None
        for part in [*batches(), None]:
            coming = begin(part) if part else None
            if ahead is not None:
                runtime.scores_of_images(np.stack([one.result() for one in ahead]))
            ahead = coming
        return requests / (time.perf_counter() - began)


def start(bundle: Path, options: argparse.Namespace) -> tuple[subprocess.Popen[str], str]:
    """A server and its URL."""
    limits = ["--threads", options.threads, "--decoders", options.decoders, "--max-batch", options.batch]
    call = [sys.executable, "-m", "graftnet", "serve", bundle, "--port", 0, "--poll", 0.2, "--json", *limits]
    process = subprocess.Popen([str(word) for word in call], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    return process, json.loads(process.stdout.readline())["url"]


def load(url: str, images: Path, requests: int, connections: int) -> subprocess.Popen[str]:
    words = [url, images, requests, connections]
    call = [sys.executable, "-m", "benchmarks.serving_load", *(str(word) for word in words)]
    return subprocess.Popen(call, stdout=subprocess.PIPE, text=True)


def told(process: subprocess.Popen[str]) -> dict[str, Any]:
    answer: dict[str, Any] = json.loads(process.communicate()[0])
    return answer


def rss_mb(process: subprocess.Popen[str]) -> float:
    pages = int(Path(f"/proc/{process.pid}/statm").read_text().split()[1])
    return round(pages * os.sysconf("SC_PAGE_SIZE") / 1e6, 1)


def exchange(served: Path, by: Path, number: int) -> None:
    """Put another bundle in the served one's place, as an export does it."""
    ready, before = served.with_name(f"ready{number}"), served.with_name(f"before{number}")
    shutil.copytree(by, ready)
    served.rename(before)
    ready.rename(served)
    shutil.rmtree(before)


def loaded(url: str) -> int:
    """How often the server has taken a changed bundle over."""
    connection = http.client.HTTPConnection(url.removeprefix("http://"), timeout=30)
    connection.request("GET", "/metrics")
    lines = connection.getresponse().read().decode().splitlines()
    connection.close()
    return next(
        int(float(line.split()[1])) for line in lines if line.startswith('graftnet_reloads_total{result="loaded"}')
    )


def measure(options: argparse.Namespace, folder: Path) -> dict[str, Any]:
    few, many = folder / "few", folder / "many"
    if not many.exists():
        make_images(folder / "images")
        make_bundles(folder, options.backbone, options.size, options.attributes)
    shutil.rmtree(folder / "served", ignore_errors=True)
    served = shutil.copytree(few, folder / "served")
    own = [sys.executable, "-m", "benchmarks.serving", "--bare", str(few), "--images", str(folder / "images")]
    own += [f"--{name}={getattr(options, name)}" for name in ("threads", "decoders", "batch", "requests")]
    server, url = start(served, options)
    try:
        rounds, bares, errors = [], [], 0
        told(load(url, folder / "images", options.requests // 10, options.connections))
        memory = [rss_mb(server)]
        for _ in range(options.rounds):
            bares.append(float(subprocess.run(own, check=True, capture_output=True, text=True).stdout))
            rounds.append(told(load(url, folder / "images", options.requests, options.connections)))
            memory.append(rss_mb(server))
        alone = told(load(url, folder / "images", min(200, options.requests), 1))
        taken, running = 0, None
        while options.reloads and taken < options.reloads:
            running = load(url, folder / "images", options.requests, options.connections)
            while running.poll() is None and taken < options.reloads:
                exchange(served, few if taken % 2 else many, taken)
                while loaded(url) == taken and running.poll() is None:
                    time.sleep(0.02)
                taken = loaded(url)
            errors += told(running)["errors"]
        memory.append(rss_mb(server))
    finally:
        server.terminate()
        server.wait(60)
    middle = {key: statistics.median(one[key] for one in rounds) for key in ("per_second", "p50_ms", "p99_ms")}
    bare_speed = statistics.median(bares)
    return {
        **{key: getattr(options, key) for key in ("backbone", "size", "attributes", "threads", "decoders", "batch")},
        "connections": options.connections,
        "requests": options.requests,
        **middle,
        "bare_per_second": round(bare_speed, 1),
        "ratio": round(middle["per_second"] / bare_speed, 3),
        "alone_p50_ms": alone["p50_ms"],
        "rss_mb": memory,
        "reloads": taken,
        "errors": errors + alone["errors"] + sum(one["errors"] for one in rounds),
        "server_exit": server.returncode,
    }


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--backbone", default="inception_v3")
    for name, number in (("size", 96), ("attributes", 6), ("threads", 1), ("decoders", 2), ("batch", 16)):
        parser.add_argument(f"--{name}", type=int, default=number)
    for name, number in (("connections", 48), ("requests", 2000), ("reloads", 10), ("rounds", 3)):
        parser.add_argument(f"--{name}", type=int, default=number)
    parser.add_argument("--home", type=Path, help="keep the bundles here, and use them when they are there")
    parser.add_argument("--bare", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--images", type=Path, help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.bare:
        parts = {key: getattr(chosen, key) for key in ("threads", "decoders", "batch", "requests")}
        print(bare(chosen.bare, chosen.images, **parts))
    elif chosen.home:
        chosen.home.mkdir(parents=True, exist_ok=True)
        print(json.dumps(measure(chosen, chosen.home)))
    else:
        with tempfile.TemporaryDirectory() as home:
            print(json.dumps(measure(chosen, Path(home))))
