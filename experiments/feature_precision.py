"""Features in bfloat16 against float32: time, how far they are apart, and what logistic regression on them is worth.

    python -m experiments.feature_precision --images DIR --labels labels_grouped.csv --weights FILE [--size 224x160]

Prints one line of JSON per depth. Every image passes the trunk (EfficientNet-Lite0) in both formats in turns, one
thread. `relative_error`: of an image's averaged features. `auroc`: mean over the table's attributes on test, logistic
regression (C 0.01) trained on and applied to features in float32; both in bfloat16; trained in bfloat16, applied in
float32, as a bundle does. `largest_change`: of one attribute, against the first. Nothing is random.
"""

import argparse
import json
import statistics
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.preprocessing import StandardScaler

from graftnet.project.config import size_of_text
from trunk.images import decode
from trunk.precision import autocast
from trunk.preprocessing import Preprocessing
from trunk.trunk import Trunk, load_trunk

FORMATS = ("float32", "bfloat16")
PAIRS = {"float32": ("float32", "float32"), "bfloat16": ("bfloat16", "bfloat16"), "mixed": ("bfloat16", "float32")}
BATCH, COLUMNS = 64, ("file", "split", "annotation")


@torch.inference_mode()
def averaged(
    trunk: Trunk, paths: list[Path], depths: list[int]
) -> tuple[dict[str, dict[int, np.ndarray[Any, Any]]], dict[str, float]]:
    """Format -> depth -> (N, C), and format -> milliseconds per image, the median over batches."""
    found: dict[str, dict[int, list[torch.Tensor]]] = {name: {depth: [] for depth in depths} for name in FORMATS}
    took: dict[str, list[float]] = {name: [] for name in FORMATS}
    for turn, start in enumerate(range(0, len(paths), BATCH)):
        chosen = paths[start : start + BATCH]
        images = trunk.preprocessing.normalise(torch.from_numpy(decode(chosen, trunk.preprocessing)))
        for name in FORMATS[:: 1 if turn % 2 else -1]:
            started = time.perf_counter()
            with autocast(name, torch.device("cpu")):
                captured = trunk.capture(images, depths)
            took[name].append((time.perf_counter() - started) / len(chosen))
            for depth, features in captured.items():
                found[name][depth].append(features.float().mean((2, 3)))
    features = {name: {d: torch.cat(parts).numpy() for d, parts in table.items()} for name, table in found.items()}
    return features, {name: round(1e3 * statistics.median(seconds), 2) for name, seconds in took.items()}


def aurocs(
    train: np.ndarray[Any, Any], test: np.ndarray[Any, Any], labels: pd.DataFrame, split: pd.Series
) -> np.ndarray[Any, Any]:
    """Of each attribute on test: trained on the rows of `train`, applied to those of `test`."""
    scaler = StandardScaler().fit(train[split == "train"])
    fitted, applied = scaler.transform(train[split == "train"]), scaler.transform(test[split == "test"])
    scores = []
    for name in labels:
        model = LogisticRegression(C=0.01, max_iter=300).fit(fitted, labels[name][split == "train"])
        scores.append(roc_auc_score(labels[name][split == "test"], model.decision_function(applied)))
    return np.array(scores)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--images", type=Path, required=True)
    parser.add_argument("--labels", type=Path, required=True)
    parser.add_argument("--weights", type=Path, required=True)
    parser.add_argument("--size", default="224x160")
    parser.add_argument("--depths", type=int, nargs="+", default=[13, 18])
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    table, half = pd.read_csv(arguments.labels), (0.5, 0.5, 0.5)
    own = Preprocessing(size_of_text(arguments.size), half, half, "bicubic")
    trunk = load_trunk(arguments.weights, "tf_efficientnet_lite0", own)
    paths = [arguments.images / name for name in table["file"]]
    features, took = averaged(trunk, paths, arguments.depths)
    labels = table.drop(columns=list(COLUMNS))
    for depth in arguments.depths:
        exact, rounded = features["float32"][depth], features["bfloat16"][depth]
        error = np.linalg.norm(rounded - exact, axis=1) / np.linalg.norm(exact, axis=1)
        scores = {
            name: aurocs(features[train][depth], features[test][depth], labels, table["split"])
            for name, (train, test) in PAIRS.items()
        }
        answer = {
            "depth": depth,
            "milliseconds": took,
            "relative_error": {"median": round(float(np.median(error)), 4), "largest": round(float(error.max()), 4)},
            "auroc": {name: round(float(values.mean()), 4) for name, values in scores.items()},
            "largest_change": {
                name: round(float(np.abs(values - scores["float32"]).max()), 4) for name, values in scores.items()
            },
        }
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
