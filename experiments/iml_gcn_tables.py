"""The tables of the IML-GCN experiment, from its records: the form of the paper's Table 3 and its Table 1's columns."""

from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import Any

import numpy as np
from scipy.stats import t as student

from experiments.indeed_measures import markdown
from label_graph.gain import paired_gain
from subdatasets.labels.table import States

BASE = "no graph"
COLUMNS = ("cp", "cr", "cf1", "op", "or_", "of1")

Runs = Mapping[str, Sequence[Mapping[str, Any]]]  # arm -> a record per seed


def best_arm(runs: Runs) -> str:
    """The arm with the highest mean val score."""
    return max(runs, key=lambda arm: fmean(record["val"] for record in runs[arm]))


def table_3(runs: Runs, states: States) -> str:
    """mAP of each arm on val and test, and on test what it gains over no graph.

    The gain has two intervals: of the mean over training seeds (Student's t), and over the test images (bootstrap, of
    the scores averaged over the seeds).
    """
    head = ["", "learning rate", "parameters", "val mAP, %", "test mAP, %", f"over {BASE}: seeds", "images"]
    base = runs[BASE]
    rows = []
    for arm, records in runs.items():
        cells = [arm, f"{records[0]['rate']:g}", f"{records[0]['parameters'] / 1e3:.1f} k"]
        cells += [with_interval([100 * record[key] for record in records]) for key in ("val", "map")]
        if arm == BASE:
            cells += ["", ""]
        else:
            gains = [100 * (one["map"] - other["map"]) for one, other in zip(records, base, strict=True)]
            found = paired_gain(mean_scores(records), mean_scores(base), states, seed=0)
            cells += [with_interval(gains, sign="+"), f"{found.total:+.2%} [{found.low:+.2%}, {found.high:+.2%}]"]
        rows.append([cell.replace("%", "") for cell in cells])
    return markdown(head, rows)


def table_1(runs: Runs) -> str:
    """Precision, recall and F1 per label (C) and overall (O) of the best arm and of no graph, all and top three."""
    head = ["%", "threshold", "mAP", *(f"{top}{name}" for top in ("", "top-3 ") for name in _titles())]
    rows = []
    for arm in dict.fromkeys((best_arm(runs), BASE)):
        records = runs[arm]
        for plain, top, threshold in (
            ("at_half", "top3", "0.5"),
            ("at_cut", "top3_at_cut", f"{fmean(record['cut'] for record in records):.2f}, by val"),
        ):
            cells = [percent([record["map"] for record in records])]
            cells += [percent([record[key][name] for record in records]) for key in (plain, top) for name in COLUMNS]
            rows.append([arm, threshold, *cells])
    return markdown(head, rows)


def attribute_table(runs: Runs) -> str:
    """mA, and accuracy, precision, recall and F1 over images, at the threshold of val: best arm and no graph."""
    head = ["%", "mA", "accuracy", "precision", "recall", "F1"]
    names = ("mean_accuracy", "accuracy", "precision", "recall", "f1")
    return markdown(
        head,
        [
            [arm, *(percent([record["attributes"][name] for record in runs[arm]]) for name in names)]
            for arm in dict.fromkeys((best_arm(runs), BASE))
        ],
    )


def mean_scores(records: Sequence[Mapping[str, Any]]) -> np.ndarray:
    """Test scores averaged over the seeds, float64 (N, L)."""
    mean: np.ndarray = np.mean([record["scores"] for record in records], axis=0)
    return mean


def with_interval(values: Sequence[float], *, sign: str = "") -> str:
    """The mean, and half the width of its 95 % t interval where there are several values."""
    mean = f"{fmean(values):{sign}.2f}"
    if len(values) < 2:
        return mean
    half = float(student.ppf(0.975, len(values) - 1)) * float(np.std(values, ddof=1)) / len(values) ** 0.5
    return f"{mean} ± {half:.2f}"


def percent(values: Sequence[float]) -> str:
    """The mean, in percent."""
    return f"{100 * fmean(values):.1f}"


def _titles() -> list[str]:
    return [name.strip("_").upper() for name in COLUMNS]
