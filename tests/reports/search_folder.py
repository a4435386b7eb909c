"""A made-up search folder with the records a real search writes: plausible numbers from a seeded generator."""

import json
import math
from pathlib import Path
from typing import Any

import numpy as np

from search_spaces import Architecture, MacroPlan, Space, macro_space, plan
from tests.reports.image_folder import SHAPES, TRUNK_BLOCKS, calibration_record, precision_recall, write_images

TAIL_PARAMETERS, TAIL_MACS = 12_822_146, 25_030_656
SHAPE = (768, 4, 4)


def write_search(
    folder: Path,
    *,
    epochs: int = 12,
    updates: int = 5,
    proposals: int = 40,
    retrained: int = 6,
    nodes: int = 4,
    values: tuple[str, ...] = ("no", "yes"),
    attribute: str = "bald",
    gain: float = 0.03,
    seed: int = 0,
    space: Space | None = None,
    splits: dict[str, int] | None = None,
) -> Path:
    """Writes the records of a finished search into `folder`, all that a report reads, and returns it."""
    history, result, config = search_records(
        epochs=epochs,
        updates=updates,
        proposals=proposals,
        retrained=retrained,
        values=values,
        attribute=attribute,
        gain=gain,
        seed=seed,
        space=space or macro_space(nodes),
        splits=splits or SPLITS,
    )
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    (folder / "result.json").write_text(json.dumps(result), encoding="utf-8")
    (folder / "history.jsonl").write_text("".join(json.dumps(record) + "\n" for record in history), encoding="utf-8")
    (folder / "architecture.json").write_text(json.dumps(result["architecture"]), encoding="utf-8")
    write_images(folder, values, result["data"]["counts"], result["val"]["threshold"], seed)
    return folder


def search_records(
    *,
    epochs: int,
    updates: int,
    proposals: int,
    retrained: int,
    values: tuple[str, ...],
    attribute: str,
    gain: float,
    seed: int,
    space: Space,
    splits: dict[str, int],
) -> tuple[list[dict[str, Any]], dict[str, Any], dict[str, Any]]:
    """The history, result.json and config.json of a made-up search."""
    rng = np.random.default_rng(seed)
    uniform = sum(math.log(len(decision.choices)) for decision in space.decisions)
    history: list[dict[str, Any]] = []
    baseline = 0.0
    for epoch in range(epochs):
        progress = (epoch + 1) / epochs
        loss = 0.22 + 0.47 * math.exp(-3.5 * progress) + rng.normal(0, 0.012)
        history.append(
            {
                "kind": "child_epoch",
                "epoch": epoch + 1,
                "steps": 80,
                "loss": loss,
                "learning_rate": 2e-3,
                "seconds": 3.1,
            }
        )
        for update in range(updates):
            sampled = 0.94 - 0.12 * math.exp(-3 * progress) + rng.normal(0, 0.016 * (1.15 - progress), 5)
            baseline = 0.9 * baseline + 0.1 * sampled.mean() if baseline else float(sampled.mean())
            entropy = uniform * (1 - 0.62 * progress**1.3) + rng.normal(0, 0.12)
            history.append(
                {"kind": "controller_update", "epoch": epoch + 1, "update": update + 1, "reward": float(sampled.mean())}
                | {
                    "best_reward": float(sampled.max()),
                    "baseline": baseline,
                    "entropy": entropy,
                    "log_prob": -entropy,
                    "loss": 0.1,
                }
                | {"skip_penalty": 0.2, "rewards": sampled.tolist()}
                | {"architectures": [list(space.indices(space.random(rng))) for _ in range(5)]}
            )
    proposed = [_candidate(index, space.random(rng), rng) for index in range(proposals)]
    history += [{"kind": "candidate"} | candidate for candidate in proposed]
    ranked = sorted(proposed, key=lambda candidate: -candidate["score"])
    trained = [
        _retraining(one, "candidate", rng, seed)
        for one in [c for c in ranked if c["source"] == "controller"][:retrained]
    ]
    trained += [
        _retraining(one, "random", rng, seed) for one in [c for c in ranked if c["source"] == "random"][:retrained]
    ]
    history += trained
    winner = max((one for one in trained if one["role"] == "candidate"), key=lambda one: one["val"]["auroc"])
    chance = max((one for one in trained if one["role"] == "random"), key=lambda one: one["val"]["auroc"])
    strength = {"winner": 1.0, "random": 1 - 2.2 * gain, "linear_probe": 1 - 5 * gain, "tail": 1 - 0.6 * gain}
    roc = {
        split: {name: _roc(3.0 * level) for name, level in strength.items()}
        if len(values) == 2
        else {"winner": {value: _roc(1.5 + place / 4) for place, value in enumerate(values[:9])}}
        for split in ("val", "test")
    }
    precise = {
        split: {name: precision_recall(3.0 * level, 0.2) for name, level in strength.items()}
        if len(values) == 2
        else {"winner": {value: precision_recall(2.0 + place, 0.2) for place, value in enumerate(values[:9])}}
        for split in ("val", "test")
    }
    sizes = {
        "random": (chance["parameters"], chance["macs"]),
        "linear_probe": (1538, 1536),
        "tail": (TAIL_PARAMETERS, TAIL_MACS),
    }
    metrics = {
        name: {split: _metrics(3.0 * level, rng) for split in ("val", "test")} for name, level in strength.items()
    }
    controls = {
        name: {"parameters": sizes[name][0], "macs": sizes[name][1], **metrics[name]}
        for name in ("random", "linear_probe", "tail")
    }
    controls["random"]["architecture"] = chance["architecture"]
    for name in ("linear_probe", "tail"):
        history.append(
            {"kind": "control", "name": name, "seed": seed, "val": metrics[name]["val"], "parameters": sizes[name][0]}
        )
    repeats = {
        name: {"seeds": [1, 2, 3, 4, 5]}
        | {
            f"{split}_auroc": (metrics[name][split]["auroc"] + rng.normal(0, 0.003, 5)).tolist()
            for split in ("val", "test")
        }
        for name in ("winner", "random")
    }
    history += [
        {"kind": "repeat", "of": "winner", "seed": one, "val": metrics["winner"]["val"], "seconds": 9.0}
        for one in (2, 3)
    ]
    mean = {name: float(np.mean(repeats[name]["test_auroc"])) for name in repeats}
    mean |= {name: metrics[name]["test"]["auroc"] for name in ("linear_probe", "tail")}
    result: dict[str, Any] = {
        "attribute": attribute,
        "values": list(values),
        "space": space.name,
        "space_settings": dict(space.settings),
        "seed": seed,
        "fingerprint": "5f0c" * 16,
        "freeze_depth": 8,
        "feature_shape": list(SHAPE),
        "architecture": winner["architecture"],
        "identity": winner["identity"],
        "parameters": winner["parameters"],
        "macs": winner["macs"],
        "tail_parameters": TAIL_PARAMETERS,
        "tail_macs": TAIL_MACS,
        "parameter_reduction": 1 - winner["parameters"] / TAIL_PARAMETERS,
        **metrics["winner"],
        "controls": controls,
        "repeats": repeats,
        "gain": {
            f"over_{name}": _gain(mean["winner"] - mean[name], width)
            for name, width in (("random", 0.003), ("linear_probe", 0.008), ("tail", 0.009))
        },
        "roc": roc,
        "precision_recall": precise,
        "calibration": calibration_record(),
        "parts": parts_of(Architecture.from_json(winner["architecture"])),
        "bytes": winner["parameters"] * 4 + 500,
        "tail_bytes": TAIL_PARAMETERS * 4,
        "data": {
            "digest": "a91e" * 16,
            "counts": {
                split: {value: size // (1 + 4 * (i > 0)) for i, value in enumerate(values)}
                for split, size in splits.items()
            },
        },
        "selection": "the retrained candidate with the highest val AUROC; among those within 0.002 of it, the smallest",
        "reward": "auroc",
        "seconds": {"features": 41.2, "search": 1130.4, "retrain": 96.0, "controls": 402.7, "total": 1670.3},
        "verdict": f"The searched branch gains {mean['winner'] - mean['random']:+.4f} test AUROC over random search at "
        f"equal budget, with {1 - winner['parameters'] / TAIL_PARAMETERS:.1%} fewer parameters than the tail.",
        "command": f"graftnet search {attribute} --seed {seed}",
        "versions": {"graftnet": "0.1.0", "python": "3.11.7", "torch": "2.15.0", "timm": "1.0.31", "numpy": "2.4.6"},
        "created": "2031-05-14T09:26:53Z",
        "machine": "2 cores, no GPU, Linux",
        "trunk": {"backbone": "inception_v3", "size": 96, "name": "imagenet", "blocks": TRUNK_BLOCKS, "shapes": SHAPES},
        "decisions": [[decision.name, list(decision.choices), decision.kind] for decision in space.decisions],
        "status": "complete",
    }
    config = {"attribute": attribute, "seed": seed, "search": {"epochs": epochs, "updates": updates, "reward": "auroc"}}
    return history, result, config


SPLITS = {"train": 5740, "val": 1230, "test": 1230}


def parts_of(architecture: Architecture) -> dict[str, int]:
    """Made-up weights by part."""
    if architecture.space != "macro":
        return {"stem": 24_576, "cell1": 5_400, "cell2": 5_400, "cell3": 5_400, "head": 66}
    graph: MacroPlan = plan(architecture)
    return {"stem": 24_576, **{f"node{n}": 9_216 for n in range(1, len(graph.nodes) + 1)}, "head": 66}


def _candidate(index: int, architecture: Architecture, rng: np.random.Generator) -> dict[str, Any]:
    """Larger kernels and widths cost more, and help a little."""
    width = int(architecture["width"])
    cost = {"conv3x3": 9 * width, "conv5x5": 25 * width, "separable3x3": 9 + width, "separable5x5": 25 + width}
    names = [str(choice) for name, choice in architecture.choices if name.endswith("operation")]
    weights = SHAPE[0] * width + sum(width * cost.get(name, 0) for name in names) + 2 * width
    source = "random" if index % 4 == 3 else "controller"
    score = 0.90 + 0.008 * math.log10(weights) + rng.normal(-0.004 if source == "random" else 0.0, 0.006)
    return {
        "index": index,
        "architecture": architecture.to_json(),
        "identity": architecture.identity,
        "score": float(score),
        "parameters": weights,
        "macs": weights * 16,
        "source": source,
    }


def _retraining(candidate: dict[str, Any], role: str, rng: np.random.Generator, seed: int) -> dict[str, Any]:
    final = candidate["score"] + 0.02 + rng.normal(0, 0.004)
    curve = [
        {"epoch": epoch, "loss": 0.6 * math.exp(-0.3 * epoch), "val_score": final - 0.09 * math.exp(-0.5 * epoch)}
        for epoch in range(1, 13)
    ]
    kept = {key: candidate[key] for key in ("index", "architecture", "identity", "parameters", "macs")}
    measured = {"val": {"auroc": float(final), "accuracy": 0.93}, "shared_score": candidate["score"], "curve": curve}
    return {"kind": "retraining", "role": role, "seed": seed, "seconds": 8.0} | kept | measured


def _metrics(strength: float, rng: np.random.Generator) -> dict[str, float]:
    """Of two normal score distributions `strength` apart: AUROC = Phi(strength / sqrt 2)."""
    auroc = 0.5 * (1 + math.erf(strength / 2)) + float(rng.normal(0, 0.001))
    hit = 0.5 * (1 + math.erf(strength / 2 / math.sqrt(2)))
    return {
        "auroc": auroc,
        "average_precision": auroc - 0.03,
        "accuracy": hit,
        "balanced_accuracy": hit,
        "f1": hit - 0.05,
        "threshold": 0.4312,
        "precision": hit - 0.08,
        "recall": hit,
        "fpr": 1 - hit,
    }


def _roc(strength: float) -> dict[str, Any]:
    at = np.linspace(4, -8, 120)
    tail = np.vectorize(lambda x: 0.5 * math.erfc(x / math.sqrt(2)))
    fpr, tpr = [0.0, *tail(at).tolist(), 1.0], [0.0, *tail(at - strength).tolist(), 1.0]
    return {"fpr": fpr, "tpr": tpr, "threshold": np.linspace(1, 0, len(fpr)).tolist()}


def _gain(difference: float, width: float) -> dict[str, float]:
    ends = {"low": difference - width, "high": difference + width}
    return {"difference": difference} | ends | {f"images_{end}": value for end, value in ends.items()}
