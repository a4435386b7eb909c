"""Compare the classifiers of a label graph with the others: gains in mAP with intervals, and the verdict in words."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from label_graph.gain import Floats, paired_gain
from label_graph.settings import GRAPHS, GraphSettings
from subdatasets.multilabel import UNKNOWN

IN_WORDS = {"cooccurrence": "the label graph", "identity": "the identity graph", "none": "no graph"}


def gains(
    scores: Mapping[str, Mapping[str, Floats]], states: NDArray[np.int8], chosen: str, split: str, *, seed: int
) -> dict[str, Any]:
    """What the chosen graph gains over the others, and over the branches; and what combining gains over these."""
    pairs = [(chosen, other) for other in (*GRAPHS, "branches") if other != chosen and other in scores]
    pairs += [("combined", other) for other in ("branches", chosen) if "combined" in scores]
    found = {}
    for ours, theirs in pairs:
        a, b = scores[ours][split], scores[theirs][split]
        both = ~(np.isnan(a).any(axis=0) | np.isnan(b).any(axis=0))
        known = np.where(both, states, UNKNOWN)
        if not (known == 1).any():
            continue
        gain = paired_gain(np.nan_to_num(a), np.nan_to_num(b), known, seed=seed)
        each = [None if np.isnan(one) else float(one) for one in gain.labels]
        found[f"{ours} over {theirs}"] = {
            "a": ours,
            "b": theirs,
            "map": gain.total,
            "low": gain.low,
            "high": gain.high,
            "labels": each,
        }
    return found


def verdict_of(result: Mapping[str, Any], settings: GraphSettings, *, edges: int) -> str:
    """How good the chosen graph is, and whether it can be told apart from the others, in one sentence.

    edges: of the graph by co-occurrence; without any it is the identity graph, which the sentence says.
    """
    chosen, split = settings.graph, result["measured_on"]
    score = result["methods"][chosen][split]["map"]
    others = [name for name in reversed(IN_WORDS) if f"{chosen} over {name}" in result["gains"]]
    parts = [told_apart(result["gains"][f"{chosen} over {name}"], IN_WORDS[name]) for name in others]
    name = IN_WORDS[chosen]
    if chosen == "cooccurrence" and not edges:
        name += f", which has no edge at tau {settings.tau:g},"
    return f"On {split}, {name} reaches {100 * score:.1f} % mAP: {'; '.join(parts)}."


def told_apart(gain: Mapping[str, Any], other: str) -> str:
    """Better, worse, or not told apart, by how many points of mAP, with the interval."""
    low, high = 100 * gain["low"], 100 * gain["high"]
    how = "better than" if low > 0 else "worse than" if high < 0 else "not told apart from"
    return f"{how} {other} ({100 * gain['map']:+.2f} points, 95 % interval {low:+.2f} to {high:+.2f})"
