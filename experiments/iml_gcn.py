"""What a label graph is worth: node features, edges and pooling against each other, on frozen features.

The form of IML-GCN's Table 3 (Singh et al. 2022) with the controls it lacks, and its Table 1's columns for the arm that
val finds best. Every arm's learning rate is chosen on val with a seed of its own; then it is trained with the seeds of
all arms and measured on test.

    python -m experiments.iml_gcn tags labels.csv OUT --photos PHOTOS --trunk TRUNK --depth 8 --size 160
    python -m experiments.iml_gcn grouped labels_grouped.csv OUT --photos PHOTOS --trunk TRUNK --depth 8 --size 160
    python -m experiments.iml_gcn composites CIFAR_FOLDER OUT --trunk TRUNK --depth 6 --per-canvas 3

TRUNK is a trunk's folder (`runs/trunk/VERSION` of a project), or a file of weights of `--backbone`. Each training is a
line of OUT/NAME.jsonl; what is there is not trained again. With `--words FILE` (GloVe's .txt, or .npz) word vectors are
an arm too. With the backbone trained as well: :mod:`experiments.iml_gcn_end_to_end`.
"""

import argparse
import json
import time
import warnings
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from experiments.iml_gcn_data import Pools, clothing, composites, open_trunk, pooled
from experiments.iml_gcn_tables import attribute_table, table_1, table_3
from foundation.files import write_bytes
from label_graph.cooccurrence import LabelGraphWarning
from label_graph.metrics import attribute_metrics, average_precisions, label_metrics
from label_graph.settings import GraphSettings
from label_graph.training import predict_probabilities, train_label_graph

ARMS = {
    "no graph": GraphSettings(graph="none"),
    "identity graph": GraphSettings(graph="identity", nodes="image_pca"),
    "identity nodes": GraphSettings(nodes="identity"),
    "word embeddings": GraphSettings(nodes="words"),
    "image embeddings": GraphSettings(nodes="image"),
    "image embeddings, PCA": GraphSettings(nodes="image_pca"),
    "no graph, max pooling": GraphSettings(graph="none", pooling="max"),
    "image embeddings, PCA, max pooling": GraphSettings(nodes="image_pca", pooling="max"),
}
RATES = (1e-3, 4e-3, 1.6e-2, 6.4e-2)
CHOOSING_SEED = 100
CUTS = np.linspace(0.05, 0.95, 19)


def arms(words: Path | None) -> list[str]:
    """The arms that can be run: word embeddings need a file of vectors."""
    return [arm for arm in ARMS if words is not None or arm != "word embeddings"]


def trained(
    pools: Pools, arm: str, seed: int, rate: float, *, epochs: int, words: Path | None, test: bool
) -> dict[str, Any]:
    """One training: its val score, and with ``test`` what it measures there and its scores (N, L)."""
    settings = replace(ARMS[arm], seed=seed, learning_rate=rate, epochs=epochs)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", LabelGraphWarning)  # tags without a positive are expected, and said by main
        found = train_label_graph(pools.train, pools.val, settings, labels=pools.labels, words=words)
    record = {
        "arm": arm,
        "seed": seed,
        "rate": rate,
        "epochs": epochs,
        "val": found.val_score,
        "epoch": found.epoch,
        "parameters": sum(one.numel() for one in found.module.parameters()),
        "seconds": round(found.seconds, 2),
    }
    if test:
        probabilities = {
            name: predict_probabilities(found.module, pool.features.by(settings.pooling))
            for name, pool in (("val", pools.val), ("test", pools.test))
        }
        record |= measured(probabilities["val"], probabilities["test"], pools)
        record["scores"] = np.round(probabilities["test"].numpy(), 5).tolist()
    return record


def measured(val: torch.Tensor, test: torch.Tensor, pools: Pools) -> dict[str, Any]:
    """mAP, Table 1's columns at 0.5 and at one threshold chosen on val, of all labels and of the top three."""
    states, val_states = torch.from_numpy(pools.test.states), torch.from_numpy(pools.val.states)
    precisions = average_precisions(test, states)
    cut = max(CUTS, key=lambda one: label_metrics(val, val_states, thresholds=float(one)).of1)
    return {
        "map": float(precisions.nanmean()),
        "average_precision": precisions.tolist(),
        "cut": float(cut),
        "at_half": asdict(label_metrics(test, states)),
        "at_cut": asdict(label_metrics(test, states, thresholds=float(cut))),
        "top3": asdict(label_metrics(test, states, top=3)),
        "top3_at_cut": asdict(label_metrics(test, states, thresholds=float(cut), top=3)),
        "attributes": asdict(attribute_metrics(test, states, thresholds=float(cut))),
    }


class Records:
    """The finished trainings of a file, one JSON line each, by (arm, seed, learning rate, epochs)."""

    def __init__(self, path: Path, epochs: int) -> None:
        self.path, self.epochs = path, epochs
        lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
        self.all = {
            self.key(one["arm"], one["seed"], one["rate"], one["epochs"]): one for one in map(json.loads, lines)
        }

    def key(self, arm: str, seed: int, rate: float, epochs: int | None = None) -> tuple[str, int, float, int]:
        """What tells trainings apart."""
        return arm, seed, rate, epochs or self.epochs

    def add(self, record: dict[str, Any]) -> None:
        """Keep one more, on disk at once."""
        self.all[self.key(record["arm"], record["seed"], record["rate"], record["epochs"])] = record
        write_bytes(self.path, "".join(json.dumps(one) + "\n" for one in self.all.values()).encode())

    def best_rate(self, arm: str) -> float:
        """The learning rate with the highest val score among those tried with the seed for choosing."""
        return max(RATES, key=lambda rate: float(self.all[self.key(arm, CHOOSING_SEED, rate)]["val"]))

    def of(self, arm: str, seeds: Sequence[int]) -> list[dict[str, Any]]:
        """The arm's trainings with its best learning rate, a record per seed."""
        return [self.all[self.key(arm, seed, self.best_rate(arm))] for seed in seeds]


def run(pools: Pools, records: Records, chosen: Sequence[str], seeds: Sequence[int], words: Path | None) -> None:
    """All trainings that are not recorded yet."""
    for arm in chosen:
        for rate in RATES:
            if records.key(arm, CHOOSING_SEED, rate) not in records.all:
                records.add(trained(pools, arm, CHOOSING_SEED, rate, epochs=records.epochs, words=words, test=False))
        rate = records.best_rate(arm)
        for seed in seeds:
            if records.key(arm, seed, rate) not in records.all:
                records.add(trained(pools, arm, seed, rate, epochs=records.epochs, words=words, test=True))
                found = records.all[records.key(arm, seed, rate)]
                print(f"{arm}, seed {seed}, rate {rate:g}: mAP {found['map']:.4f}", flush=True)


def main(call: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("data", choices=("tags", "grouped", "composites"))
    parser.add_argument(
        "source", type=Path, help="labels.csv, labels_grouped.csv, or the folder of the CIFAR-10 archive"
    )
    parser.add_argument("out", type=Path)
    parser.add_argument("--photos", type=Path, help="the folder of the clothing photographs")
    parser.add_argument("--trunk", type=Path, required=True)
    parser.add_argument("--backbone", default="inception_v3", help="of a file of weights")
    parser.add_argument("--depth", type=int, required=True, help="blocks")
    parser.add_argument("--size", type=int, default=96, help="pixels that a photograph is squeezed to")
    parser.add_argument("--per-canvas", type=int, default=3, help="N of ML-CIFAR-10-N")
    parser.add_argument("--canvases", type=int, nargs=3, default=(4000, 1000, 2000), help="of train, val and test")
    parser.add_argument("--words", type=Path, help="word vectors of the labels")
    parser.add_argument("--arms", nargs="+", choices=tuple(ARMS), help="default: all that can be run")
    parser.add_argument("--epochs", type=int, default=60)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    arguments = parser.parse_args(call)
    if arguments.data == "composites":
        images = composites(arguments.source, arguments.per_canvas, arguments.canvases)
    elif arguments.photos is None:
        parser.error("clothing needs --photos")
    else:
        images = clothing(arguments.source, arguments.photos, arguments.size)
    started = time.perf_counter()
    trunk = open_trunk(arguments.trunk, arguments.backbone)
    pools = pooled(images, trunk, arguments.depth, arguments.out / "features")
    rows = ", ".join(f"{len(pool.states)} {name}" for name, pool in pools._asdict().items() if name != "labels")
    print(
        f"{images.name}: {len(pools.labels)} labels, {rows} images, features in {time.perf_counter() - started:.0f} s"
    )
    names = arguments.arms or arms(arguments.words)
    records = Records(arguments.out / f"{images.name}-{trunk.backbone}-{arguments.depth}.jsonl", arguments.epochs)
    run(pools, records, names, arguments.seeds, arguments.words)
    kept = {arm: records.of(arm, arguments.seeds) for arm in names}
    for table in (table_3(kept, pools.test.states), table_1(kept), attribute_table(kept)):
        print(f"\n{table}")


if __name__ == "__main__":
    main()
