"""Gain in mAP of one table of scores over another on the same images, label by label and with an interval."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from label_graph.errors import LabelGraphError
from label_graph.settings import GRAPHS, GraphSettings
from subdatasets.labels.table import ABSENT, PRESENT, UNKNOWN, States
from subdatasets.reading.rows import FEW, rarest, too_few_words

Floats = NDArray[np.float64]

IN_WORDS = {"cooccurrence": "the label graph", "identity": "the identity graph", "none": "no graph"}

CHUNK = 2**22  # entries of a resampling at a time
SHOWN = 4  # labels that a sentence names


class Gain(NamedTuple):
    """Differences in average precision, a minus b.

    total: of the means over labels, (low, high) its 95 % interval. labels: (L,), each label's; nan where not measured.
    """

    total: float
    low: float
    high: float
    labels: Floats


class Ranking(NamedTuple):
    """A label's known images by falling score: rows (n,) of the table, whether present, the last of each tie."""

    rows: NDArray[np.int64]
    present: NDArray[np.bool_]
    ends: NDArray[np.int64]


def paired_gain(a: Floats, b: Floats, states: States, *, seed: int, rounds: int = 1000) -> Gain:
    """Compare two tables of scores by average precision; images are drawn again, the same draw for both.

    A percentile bootstrap over images. Labels without a known positive are left out of the means; in a draw that has
    none of a label's positives, of that draw.

    Args:
        a, b: (N, L). states: (N, L), 1 present, 0 absent, -1 unknown.

    Raises:
        LabelGraphError: shapes that differ, or no label with a known positive.
    """
    if not a.shape == b.shape == states.shape:
        raise LabelGraphError(f"Scores {a.shape}, {b.shape} and states {states.shape} must have one shape.")
    shown = np.flatnonzero((states == PRESENT).any(axis=0))
    if not len(shown):
        raise LabelGraphError("No label has a known positive, so nothing can be compared.")
    rankings = [(ranking(a[:, j], states[:, j]), ranking(b[:, j], states[:, j])) for j in shown]
    whole = np.ones((1, len(states)))
    differences = np.full(states.shape[1], np.nan)
    for label, (ours, theirs) in zip(shown, rankings, strict=True):
        differences[label] = (weighted_precision(ours, whole) - weighted_precision(theirs, whole))[0]
    rng = np.random.default_rng(seed)
    totals: list[Floats] = []
    step = max(1, CHUNK // max(1, len(states)))
    for start in range(0, rounds, step):
        count = min(step, rounds - start)
        draws = rng.multinomial(len(states), np.full(len(states), 1 / len(states)), size=count).astype(np.float64)
        each = [weighted_precision(ours, draws) - weighted_precision(theirs, draws) for ours, theirs in rankings]
        totals.append(np.nanmean(np.stack(each), axis=0))
    low, high = np.nanpercentile(np.concatenate(totals), [2.5, 97.5])
    return Gain(float(np.nanmean(differences)), float(low), float(high), differences)


def ranking(scores: Floats, states: States) -> Ranking:
    """One label's images, (N,) scores and states, in the order that average precision walks through."""
    known = np.flatnonzero(states != UNKNOWN)
    rows = known[np.argsort(-scores[known], kind="stable")]
    ends = np.append(np.flatnonzero(np.diff(scores[rows])), len(rows) - 1)
    return Ranking(rows, states[rows] == PRESENT, ends)


def weighted_precision(ranked: Ranking, weights: Floats) -> Floats:
    """Average precision where image n counts ``weights[r, n]`` times, (R,); nan where no positive counts."""
    chosen = weights[:, ranked.rows]
    hits = np.cumsum(chosen * ranked.present, axis=1)[:, ranked.ends]
    seen = np.cumsum(chosen, axis=1)[:, ranked.ends]
    precision = np.divide(hits, seen, out=np.zeros_like(hits), where=seen > 0)
    gained = np.diff(hits, axis=1, prepend=0.0)
    positives = hits[:, -1]
    total = (precision * gained).sum(axis=1)
    mean_precision: Floats = np.divide(total, positives, out=np.full_like(total, np.nan), where=positives > 0)
    return mean_precision


def gains(
    scores: Mapping[str, Mapping[str, Floats]], states: States, chosen: str, split: str, *, seed: int
) -> dict[str, Any]:
    """What the chosen graph gains over the others, and over the branches; and what combining gains over these.

    Args:
        scores: of each method and split, (N, L). states: (N, L) of `split`, whose scores are compared.

    Returns:
        "a over b" -> {"a", "b", "map", "low", "high", "labels"}, as `Gain` has them; and where labels have too few
        images to tell, "enough": how many "labels" have not, and "map", "low", "high" of these, if there are any.
    """
    pairs = [(chosen, other) for other in (*GRAPHS, "branches") if other != chosen and other in scores]
    pairs += [("combined", other) for other in ("branches", chosen) if "combined" in scores]
    gained = {}
    for ours, theirs in pairs:
        a, b = scores[ours][split], scores[theirs][split]
        both = ~(np.isnan(a).any(axis=0) | np.isnan(b).any(axis=0))
        known = np.where(both, states, UNKNOWN)
        if not (known == PRESENT).any():
            continue
        gain = paired_gain(np.nan_to_num(a), np.nan_to_num(b), known, seed=seed)
        each = [None if np.isnan(value) else float(value) for value in gain.labels]
        gained[f"{ours} over {theirs}"] = {
            "a": ours,
            "b": theirs,
            "map": gain.total,
            "low": gain.low,
            "high": gain.high,
            "labels": each,
        }
        enough = enough_images(known)
        if (enough < (known == PRESENT).any(axis=0)).any():
            rest: dict[str, Any] = {"labels": int(enough.sum())}
            if enough.any():
                judged = paired_gain(np.nan_to_num(a), np.nan_to_num(b), np.where(enough, known, UNKNOWN), seed=seed)
                rest |= {"map": judged.total, "low": judged.low, "high": judged.high}
            gained[f"{ours} over {theirs}"]["enough"] = rest
    return gained


def enough_images(states: States) -> NDArray[np.bool_]:
    """(L,): which labels are present and absent in so many images that a gain can be told from luck."""
    enough: NDArray[np.bool_] = ((states == PRESENT).sum(axis=0) >= FEW) & ((states == ABSENT).sum(axis=0) >= FEW)
    return enough


def rarest_label(states: States, names: Sequence[str]) -> dict[str, Any]:
    """`too_few`: the label with the fewest images of either kind, where these are too few; else nothing."""
    counts: dict[str, int] = {}
    for name, column in zip(names, states.T, strict=True):
        if present := int((column == PRESENT).sum()):  # one that is never there is not measured
            counts |= {name: present, f"not {name}": int((column == ABSENT).sum())}
    if not counts:
        return {}
    value, images = rarest(counts)
    return {"too_few": {"value": value, "images": images}} if images < FEW else {}


def few_labels(counts: Mapping[str, States], names: Sequence[str]) -> str:
    """What to know before a graph is trained: how many labels are too rare in val or test; empty where none is.

    counts: split -> its states, (N, L).
    """
    rare: dict[str, str] = {}
    for split, states in counts.items():
        for name, present, absent in zip(
            names, (states == PRESENT).sum(axis=0), (states == ABSENT).sum(axis=0), strict=True
        ):
            if len(states) and min(present, absent) < FEW:
                kind = f"{present}" if present <= absent else f"{absent} without it"
                rare.setdefault(name, f"{name!r} {kind} in {split}")
    if not rare:
        return ""
    more = f" and {len(rare) - SHOWN} more" if len(rare) > SHOWN else ""
    return (
        f"{len(rare)} of {len(names)} labels have few images: {', '.join(list(rare.values())[:SHOWN])}{more}; with "
        f"fewer than {FEW} with and without it, val chooses by chance and test tells no gain, so add images of them."
    )


def verdict_of(result: Mapping[str, Any], settings: GraphSettings, *, edges: int) -> str:
    """How good the chosen graph is, and whether it can be told apart from the others, in one sentence.

    edges: of the graph by co-occurrence; without any it is the identity graph, which the sentence says.
    """
    chosen, split = settings.graph, result["measured_on"]
    score = result["methods"][chosen][split]["map"]
    others = [name for name in reversed(IN_WORDS) if f"{chosen} over {name}" in result["gains"]]
    told = [result["gains"][f"{chosen} over {name}"] for name in others]
    if told and all(gain.get("enough", {}).get("labels") == 0 for gain in told):
        few = result["too_few"]
        parts = [f"{too_few_words(few['value'], few['images'], split)} whether the graph gained anything"]
    else:
        parts = [told_apart(gain, IN_WORDS[name]) for gain, name in zip(told, others, strict=True)]
    name = IN_WORDS[chosen]
    if chosen == "cooccurrence" and not edges:
        name += f", which has no edge at tau {settings.tau:g},"
    return f"On {split}, {name} reaches {100 * score:.1f} % mAP: {'; '.join(parts)}."


def told_apart(gain: Mapping[str, Any], other: str) -> str:
    """Better, worse, or not told apart, by how many points of mAP, with the interval.

    Labels of which too few images are measured have no say in it.
    """
    of = ""
    if rest := gain.get("enough"):
        if not rest["labels"]:
            return f"not to be compared with {other}, for it takes {FEW} images of each label and without it"
        gain, of = {**gain, **rest}, f", on the {rest['labels']} labels with {FEW} images of each kind"
    low, high = 100 * gain["low"], 100 * gain["high"]
    how = "better than" if low > 0 else "worse than" if high < 0 else "not told apart from"
    return f"{how} {other} ({100 * gain['map']:+.2f} points, 95 % interval {low:+.2f} to {high:+.2f}{of})"
