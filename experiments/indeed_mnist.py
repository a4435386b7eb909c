"""INDeeD on ML-MNIST-N or ML-CIFAR-10-N: mAP of a plain CNN, of INDeeD, and of each of its blocks alone.

Tables 1, 2 and 4 and figure 3 of INDeeD (Adiya and Lee). Trained on canvases with N pictures of different classes,
tested on the data set's test pictures, one on each canvas. Every arm of a seed starts from the same weights and sees
the same canvases in the same order; nothing is chosen on the test pictures (`--measure val` scores the last 5,000
training pictures instead, which no canvas of training holds).

    python -m experiments.indeed_mnist DATA_FOLDER OUT_FOLDER
    python -m experiments.indeed_mnist DATA_FOLDER OUT_FOLDER --dataset cifar10 --canvases 24000 --epochs 3

Each training is a line of OUT_FOLDER/DATASET.jsonl; what is there is not trained again. The tables are printed, and
confidence maps, averaged over the seeds, are written as CSV and PNG.
"""

import argparse
import json
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np
import torch

from experiments.composites import Composites, alone, compose
from experiments.confidence_map import confidence_map
from experiments.indeed_data import CLASS_NAMES, READERS, Labelled
from experiments.indeed_measures import average_precisions, gain_table, write_confidence
from experiments.indeed_network import SimpleNetwork
from foundation.files import write_bytes
from trunk.pretraining.indeed import binary_cross_entropy, draw_pairs, indeed_loss
from trunk.pretraining.settings import IndeedSettings, PretrainSettings, learning_rate_at

CLASSES = 10
VAL_PICTURES = 5000
# None: the plain network
ARMS: dict[str, tuple[str, str] | None] = {
    "baseline": None,
    "INDeeD L2": ("l2", "both"),
    "INDeeD min-max": ("minmax", "both"),
    "identical L2": ("l2", "identical"),
    "identical min-max": ("minmax", "identical"),
    "disparate L2": ("l2", "disparate"),
    "disparate min-max": ("minmax", "disparate"),
}


@dataclass(frozen=True)
class Run:
    """What defines one training."""

    dataset: str
    measure: str
    per_canvas: int
    arm: str
    seed: int
    canvases: int
    epochs: int
    batch_size: int
    weight: float  # lambda; 0 of the baseline


def trained(run: Run, canvases: Composites) -> SimpleNetwork:
    """The network after the last epoch: Adam at 1e-3, a short warm-up, then a half cosine to zero."""
    labels = canvases.labels.astype(np.int64)
    _, size, _, channels = canvases.pixels(np.arange(1)).shape
    network = SimpleNetwork(channels, size, CLASSES, generator=torch.Generator().manual_seed(run.seed))
    per_epoch = len(canvases) // run.batch_size
    schedule = PretrainSettings(steps=run.epochs * per_epoch, warmup_steps=50)
    optimizer = torch.optim.Adam(network.parameters(), fused=True)
    arm = ARMS[run.arm]
    for step in range(schedule.steps):
        epoch, place = divmod(step, per_epoch)
        order = np.random.default_rng((run.seed, epoch, 3)).permutation(len(canvases))
        rows = order[place * run.batch_size : (place + 1) * run.batch_size]
        features = network.features(scaled(canvases.pixels(rows)))
        known = torch.from_numpy(labels[rows])
        if arm is None:
            loss = binary_cross_entropy(network.classify(features), known)
        else:
            pairs = torch.from_numpy(draw_pairs(labels[rows], np.random.default_rng((run.seed, step, 4))))
            settings = IndeedSettings(arm[0], run.weight, arm[1])
            loss = indeed_loss(features, known, pairs, network.classify, settings)
        for group in optimizer.param_groups:
            group["lr"] = learning_rate_at(step, schedule)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return network


@torch.inference_mode()
def scores(network: SimpleNetwork, canvases: Composites) -> np.ndarray:
    """Probabilities of the classes, (N, C); neither block takes part."""
    parts = [
        network(scaled(canvases.pixels(rows))).sigmoid()
        for rows in np.array_split(np.arange(len(canvases)), max(1, len(canvases) // 500))
    ]
    return torch.cat(parts).numpy()


def scaled(pixels: np.ndarray) -> torch.Tensor:
    """uint8 (n, S, S, channels) -> float32 (n, channels, S, S), 0 to 1."""
    return torch.from_numpy(pixels).permute(0, 3, 1, 2).float() / 255


def measured(run: Run, train: Labelled, held_out: Labelled) -> dict[str, Any]:
    """Train and score one network."""
    started = time.perf_counter()
    canvases = compose(*train, run.per_canvas, run.canvases, classes=CLASSES, seed=run.seed)
    network = trained(run, canvases)
    seconds = time.perf_counter() - started
    singles = alone(*held_out, classes=CLASSES, seed=0)
    probability = scores(network, singles)
    precisions = average_precisions(probability, singles.labels)
    confidence = confidence_map(probability, singles.labels)
    return {
        **asdict(run),
        "map": fmean(precisions),
        "average_precision": precisions,
        "confidence": confidence.round(4).tolist(),
        "seconds": round(seconds, 1),
    }


def read_records(path: Path) -> dict[Run, dict[str, Any]]:
    """What has been trained before."""
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    records = [json.loads(line) for line in lines]
    return {Run(**{field.name: record[field.name] for field in fields(Run)}): record for record in records}


def main(call: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path, help="folder with MNIST's IDX files, or the CIFAR-10 archive")
    parser.add_argument("out", type=Path)
    parser.add_argument("--dataset", choices=tuple(READERS), default="mnist")
    parser.add_argument("--measure", choices=("test", "val"), default="test")
    parser.add_argument("--per-canvas", type=int, nargs="+", default=[2, 3, 5, 7], help="N")
    parser.add_argument("--arms", nargs="+", choices=tuple(ARMS), default=list(ARMS))
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--canvases", type=int, default=4000)
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--weight", type=float, default=1.0, help="lambda")
    parser.add_argument("--stop-after", type=float, default=float("inf"), help="seconds; begin no training after them")
    arguments = parser.parse_args(call)
    started = time.monotonic()
    arguments.out.mkdir(parents=True, exist_ok=True)
    path = arguments.out / f"{arguments.dataset}.jsonl"
    budget = arguments.canvases, arguments.epochs, arguments.batch_size
    weights = {arm: arguments.weight if settings else 0.0 for arm, settings in ARMS.items()}
    wanted = [
        Run(arguments.dataset, arguments.measure, per_canvas, arm, seed, *budget, weights[arm])
        for seed in arguments.seeds
        for per_canvas in arguments.per_canvas
        for arm in arguments.arms
    ]
    records = read_records(path)
    missing = [run for run in wanted if run not in records]
    if missing:
        read = READERS[arguments.dataset]
        train = read(arguments.data, "train")
        val = Labelled(train.pictures[-VAL_PICTURES:], train.labels[-VAL_PICTURES:])
        held_out = val if arguments.measure == "val" else read(arguments.data, "test")
        train = Labelled(train.pictures[:-VAL_PICTURES], train.labels[:-VAL_PICTURES])
    for run in missing:
        if time.monotonic() - started > arguments.stop_after:
            break
        records[run] = measured(run, train, held_out)
        write_bytes(path, "".join(json.dumps(record) + "\n" for record in records.values()).encode())
        print(f"{run.dataset}-{run.per_canvas} {run.arm}, seed {run.seed}: {records[run]['map']:.4f}", flush=True)
    done = [records[run] for run in wanted if run in records]
    print(f"\n{len(done)} of {len(wanted)} trainings, {sum(record['seconds'] for record in done):.0f} s of training\n")
    if done:
        print(gain_table(done, list(ARMS)))
        write_confidence(done, list(ARMS), CLASS_NAMES[arguments.dataset], arguments.out / arguments.dataset)


if __name__ == "__main__":
    main()
