"""VOC 2007's co-occurrence counts, ours against those that ML-GCN ships.

Multi-Label Image Recognition with Graph Convolutional Networks (Chen et al. 2019), arXiv:1904.03582. The file holds
`class_names` (20,), `trainval` int8 (5011, 20) in VOC's coding (1 present, 0 difficult only, -1 absent), and the
repository's `mlgcn_voc_nums` (20,) and `mlgcn_voc_adj` (20, 20).

    python -m experiments.voc_counts voc2007.npz
"""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from label_graph.cooccurrence import PairCounts, conditional_probability, count_pairs, threshold
from subdatasets.labels.table import ABSENT, PRESENT, UNKNOWN, LabelTable

TAUS = (0.1, 0.4)  # IML-GCN's and ML-GCN's


@dataclass(frozen=True)
class Comparison:
    """How our counts stand to ML-GCN's.

    nums, adj: whether image counts of the labels, and of pairs, are equal, all of them.
    widest: the largest difference of P(j | i) that comes of leaving out unknown pairs.
    edges: tau -> edges by our probabilities, by theirs, and how many are in one graph alone.
    """

    nums: bool
    adj: bool
    widest: float
    edges: dict[float, tuple[int, int, int]]


def table_of(codes: NDArray[np.int8], names: Sequence[str]) -> LabelTable:
    """VOC's coding (N, L) as a label table; the images are named by their place."""
    states = np.select([codes == 1, codes == 0], [PRESENT, UNKNOWN], ABSENT).astype(np.int8)
    images = tuple(Path(f"{place}.jpg") for place in range(len(codes)))
    return LabelTable(images, tuple(names), states, ("train",) * len(codes))


def compare(counts: PairCounts, nums: NDArray[np.int64], adj: NDArray[np.int64]) -> Comparison:
    """Our counts beside `nums` (L,) and `adj` (L, L), whose diagonal is 0."""
    pairs = counts.both - np.diag(counts.positives)
    ours, theirs = conditional_probability(counts), adj / nums[:, None]
    np.fill_diagonal(theirs, 1.0)
    graphs = {tau: (threshold(ours, tau), threshold(theirs, tau)) for tau in TAUS}
    return Comparison(
        nums=bool((counts.positives == nums).all()),
        adj=bool((pairs == adj).all()),
        widest=float(np.abs(ours - theirs).max()),
        edges={
            tau: (int(mine.sum()), int(other.sum()), int((mine != other).sum()))
            for tau, (mine, other) in graphs.items()
        },
    )


def main(arguments: Sequence[str]) -> None:
    """Print the comparison; exit code 1 where a count differs."""
    if len(arguments) != 1 or not Path(arguments[0]).is_file():
        raise SystemExit("usage: python -m experiments.voc_counts voc2007.npz")
    with np.load(arguments[0], allow_pickle=False) as file:
        table = table_of(file["trainval"], [str(name) for name in file["class_names"]])
        found = compare(count_pairs(table.states), file["mlgcn_voc_nums"], file["mlgcn_voc_adj"])
    labels = len(table.labels)
    print(f"{len(table)} images, {labels} labels, {int((table.states == UNKNOWN).sum())} unknown entries")
    print(f"image counts of the {labels} labels equal mlgcn_voc_nums: {found.nums}")
    print(f"counts of the {labels * (labels - 1)} ordered pairs equal mlgcn_voc_adj: {found.adj}")
    print(f"P(j|i) from known pairs against adj / nums: largest difference {found.widest:.4f}")
    for tau, (ours, theirs, differ) in found.edges.items():
        print(f"edges at tau {tau}: {ours} against {theirs}, {differ} in one graph alone")
    if not (found.nums and found.adj):
        raise SystemExit(1)


if __name__ == "__main__":
    main(sys.argv[1:])
