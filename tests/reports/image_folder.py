"""The records about single images of a made-up search: predictions, small pictures, and a branch of a few bytes."""

import base64
import csv
import io
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

TRUNK_BLOCKS = 11
SHAPES = [[192, 35, 35], [256, 35, 35], [288, 35, 35], *([[768, 17, 17]] * 5), *([[1280, 8, 8]] * 3)]


def write_images(
    folder: Path, values: tuple[str, ...], splits: dict[str, dict[str, int]], threshold: float, seed: int
) -> None:
    """`predictions.csv`, `pictures.json` and `branch/`; as many images of each value as `splits` says."""
    rng = np.random.default_rng([seed, 1])
    with (folder / "predictions.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["split", "image", "content", "label", "predicted", *(f"score of {one}" for one in values)])
        for split in ("val", "test"):
            for label, count in enumerate(splits[split].values()):
                logits = rng.normal(0, 1.1, (count, len(values)))
                logits[:, label] += 2.2
                scores = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
                for place, row in enumerate(scores):
                    chosen = int(row[1] >= threshold) if len(values) == 2 else int(row.argmax())
                    name = f"data/images/{split}{label}-{place}.jpg"
                    writer.writerow([split, name, "0" * 64, values[label], values[chosen], *map(repr, row.tolist())])
    (folder / "pictures.json").write_text(json.dumps(pictures_record(values, rng)), encoding="utf-8")
    write_branch(folder / "branch", values)


def pictures_record(values: tuple[str, ...], rng: np.random.Generator) -> dict[str, Any]:
    """Mistakes, examples and activation maps, of coloured noise."""
    pairs = [(label, other) for label in values[:4] for other in values[:4] if other != label]
    mistakes = [
        {"split": "test", "image": f"data/images/{label} {other}.jpg", "content": "0" * 64}
        | {"label": label, "predicted": other, "score": 0.97, "picture": picture(rng)}
        for label, other in pairs
    ]
    examples = [
        {"image": f"data/images/{value}.jpg", "content": "0" * 64, "label": value, "picture": picture(rng)}
        for value in values[:10]
        for _ in range(2)
    ]
    rows, columns = np.mgrid[0:4, 0:4]
    hill = np.exp(-((rows - 1) ** 2 + (columns - 2) ** 2) / 2) * 2 - 1
    mapped = [
        {"split": "val", "image": f"data/images/map {value}.jpg", "content": "0" * 64, "label": value}
        | {"predicted": value, "score": 0.99, "picture": picture(rng), "map": hill.round(4).tolist()}
        for value in values[:3]
    ]
    counts = {"shown": len(mistakes), "of": 40, "images": 1230}
    activation = {"method": "CAM", "how": "CAM: what each position adds to the logit", "pictures": mapped}
    return {"mistakes": mistakes, "examples": examples, "activation": activation, "counts": counts, "missing": []}


def picture(rng: np.random.Generator) -> str:
    """A data URL of eight by eight pixels."""
    buffer = io.BytesIO()
    Image.fromarray(rng.integers(0, 255, (8, 8, 3), dtype=np.uint8)).save(buffer, "PNG")
    return f"data:image/png;base64,{base64.b64encode(buffer.getvalue()).decode()}"


def write_branch(folder: Path, values: tuple[str, ...]) -> None:
    """A record, and a file of weights with a whole header and eight bytes of weights."""
    folder.mkdir(exist_ok=True)
    record = {"attribute": "bald", "values": list(values), "threshold": 0.4312}
    (folder / "branch.json").write_text(json.dumps(record), encoding="utf-8")
    head = json.dumps({"w": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}}).encode()
    (folder / "weights.safetensors").write_bytes(len(head).to_bytes(8, "little") + head + bytes(8))


def precision_recall(strength: float, share: float) -> dict[str, list[float]]:
    """The curve of two normal score distributions `strength` apart, with this share of positives."""
    at = np.linspace(4, -8, 120)
    tail = np.vectorize(lambda x: 0.5 * math.erfc(x / math.sqrt(2)))
    hits, alarms = share * tail(at - strength), (1 - share) * tail(at)
    return {
        "recall": (hits / share).tolist(),
        "precision": (hits / (hits + alarms)).tolist(),
        "threshold": np.linspace(1, 0, len(at)).tolist(),
    }


def calibration_record() -> dict[str, Any]:
    """A temperature that cools scores which are too sure."""
    raw = {"ece": 0.06, "nll": 0.31, "bins": [[0.04, 0.1, 800], [0.5, 0.45, 60], [0.97, 0.9, 370]]}
    calibrated = {"ece": 0.01, "nll": 0.24, "bins": [[0.11, 0.1, 800], [0.5, 0.45, 60], [0.91, 0.9, 370]]}
    both = {"raw": raw, "calibrated": calibrated}
    return {"method": "temperature", "temperature": 1.7, "images": 1230, "val": both, "test": both}
