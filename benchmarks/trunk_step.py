"""What the dynamic graph adds to the bare backbone's training step, and what decoding and changing pictures adds.

    python -m benchmarks.trunk_step [--backbone small_cnn] [--size 32] [--batch 128] [--threads 1] [--device cpu]

Prints one JSON line. `bare_ms`: forward, cross entropy, backward, AdamW's update of the backbone with one linear layer,
on a normalised batch that lies ready. `ours_ms`: a step of trunk.pretraining on the same batch as decoded bytes, which
normalises it, picks the attribute's layer and clips the gradient, too. `loaded_ms`: the same with every batch drawn,
flipped and shifted by the loader's threads, in an unbroken row once the loader's lead is used up, its images decoded
in an earlier pass and held in memory; `decoded_ms`: read from JPEG files and decoded each time, as in a first
pass. Same model, optimiser and number format; medians over steps, `bare` and `ours` in turns, the others in rows
between rows of `bare`.
"""

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image

from subdatasets.attribute import Attribute
from subdatasets.subdataset import Example, SubDataset
from trunk.images import DECODING_THREADS, HeldImages, ahead
from trunk.precision import autocast
from trunk.preprocessing import Preprocessing
from trunk.pretraining.loop import Pretraining
from trunk.pretraining.settings import PretrainSettings

IMAGES, ATTRIBUTES = 1024, 8
ROWS, LEAD = 4, 6


def make_subdatasets(folder: Path, size: int) -> list[SubDataset]:
    """Eight attributes over the same smooth random pictures, as JPEG files."""
    rng = np.random.default_rng(0)
    paths = []
    for number in range(IMAGES):
        small = Image.fromarray(rng.integers(0, 256, (8, 8, 3), dtype=np.uint8))
        paths.append(folder / f"{number}.jpg")
        small.resize((size, size), Image.Resampling.BICUBIC).save(paths[-1], quality=90)
    return [
        SubDataset(
            Attribute(f"attribute{t}", ("no", "yes")),
            tuple(Example(path, int(rng.random() < 0.3), "train") for path in paths),
            folder / f"attribute{t}.csv",
        )
        for t in range(ATTRIBUTES)
    ]


def bare_step(training: Pretraining, pixels: torch.Tensor, labels: torch.Tensor) -> Callable[[], None]:
    """A training step of the same kind of backbone with one linear layer, and nothing else."""
    settings = replace(training.settings, attributes_per_step=1)
    other = Pretraining(
        training.subdatasets[:1], training.backbone, training.preprocessing, settings,
        folder=training.folder, device=training.device,
    )  # fmt: skip
    model, head = other.graph.chain.train(), other.graph.heads[0]
    images = training.preprocessing.normalise(pixels.to(training.device))
    target = labels.to(training.device)

    def step() -> None:
        with autocast(training.precision, training.device):
            loss = F.cross_entropy(head(model(images).mean(dim=(2, 3))).float(), target)
        other.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        other.optimizer.step()

    return step


def measure(steps: dict[str, Callable[[], None]], *, rounds: int, device: torch.device) -> dict[str, list[float]]:
    """Seconds of each kind of step, taken in turns whose order changes; the first rounds warm up."""
    seconds: dict[str, list[float]] = {name: [] for name in steps}
    for turn in range(-3, rounds):
        for name in list(steps)[:: 1 if turn % 2 else -1]:
            started = time.perf_counter()
            steps[name]()
            if device.type == "cuda":
                torch.cuda.synchronize()
            if turn >= 0:
                seconds[name].append(time.perf_counter() - started)
    return seconds


def rows(
    training: Pretraining, bare: Callable[[], None], name: str, *, rounds: int, device: torch.device
) -> dict[str, list[float]]:
    """Seconds of bare steps, and of steps that wait for their batch, in rows of each kind."""
    seconds: dict[str, list[float]] = {"bare": [], name: []}
    for _ in range(ROWS):
        seconds["bare"] += measure({"bare": bare}, rounds=rounds // ROWS, device=device)["bare"]
        batches = ahead(training.load_batch, range(10**6), threads=DECODING_THREADS, depth=LEAD)

        def loaded(batches: Iterator[Any] = batches) -> None:
            pixels, batch = next(batches)
            training.train_step(torch.from_numpy(pixels), batch)

        for _ in range(LEAD):
            loaded()
        seconds[name] += measure({name: loaded}, rounds=rounds // ROWS, device=device)[name]
        batches.close()  # type: ignore[attr-defined]
    return seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--backbone", default="small_cnn")
    parser.add_argument("--size", type=int, default=32)
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--rounds", type=int, default=40)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--attributes-per-step", type=int, default=1)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    torch.manual_seed(0)
    settings = PretrainSettings(
        steps=10**6, batch_size=arguments.batch, attributes_per_step=arguments.attributes_per_step
    )
    with tempfile.TemporaryDirectory() as name:
        folder, device = Path(name), torch.device(arguments.device)
        training = Pretraining(
            make_subdatasets(folder, arguments.size), arguments.backbone, Preprocessing(arguments.size), settings,
            folder=folder, device=device,
        )  # fmt: skip
        training.graph.train()
        decoded, batch = training.load_batch(0)
        pixels = torch.from_numpy(decoded)
        bare = bare_step(training, pixels, torch.from_numpy(batch.labels.max(axis=1)))
        alone = measure(
            {"bare": bare, "ours": lambda: (training.train_step(pixels, batch), None)[1]},
            rounds=arguments.rounds, device=device,
        )  # fmt: skip
        training.held = HeldImages(training.images.paths, training.preprocessing, limit=0)
        first = rows(training, bare, "decoded", rounds=arguments.rounds, device=device)
        training.held = HeldImages(training.images.paths, training.preprocessing)
        training.held.pixels(np.arange(IMAGES))
        later = rows(training, bare, "loaded", rounds=arguments.rounds, device=device)
    print(json.dumps(answer([alone, first, later], vars(arguments), training.precision)))


def answer(found: list[dict[str, list[float]]], settings: dict[str, Any], precision: str) -> dict[str, Any]:
    """Medians in milliseconds, each with its ratio to the bare step of the same turns."""
    figures: dict[str, float] = {}
    for seconds in found:
        bare, (name, other) = (
            statistics.median(seconds["bare"]),
            next((n, s) for n, s in seconds.items() if n != "bare"),
        )
        figures[f"bare_beside_{name}_ms"] = round(1e3 * bare, 2)
        figures[f"{name}_ms"] = round(1e3 * statistics.median(other), 2)
        figures[f"{name}_ratio"] = round(statistics.median(other) / bare, 3)
    return {"benchmark": "trunk_step", **settings, "precision": precision, **figures}


if __name__ == "__main__":
    main()
