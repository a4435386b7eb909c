"""The Pareto front: what nothing else is better than in one respect without being worse in another."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from branches.costs.latency import Latency
from nas.candidates import Candidate
from nas.limits.limits import Cost

LATENCY_STEP = 1.05  # latencies within this factor are as good as equal: repeated measurements differ by as much


def non_dominated(points: npt.ArrayLike) -> list[int]:
    """The rows of `points` (N, K), lower being better in every column, that no other row dominates.

    A row dominates another when it is as low in every column and lower in one; equal rows do not dominate each other.

    >>> non_dominated([(1, 5), (2, 2), (3, 3), (5, 1), (2, 2)])
    [0, 1, 3, 4]
    """
    rows = np.asarray(points, dtype=np.float64)
    return [
        index
        for index, row in enumerate(rows)
        if not bool(((rows <= row).all(axis=1) & (rows < row).any(axis=1)).any())
    ]


def front(candidates: Sequence[Candidate], costs: Sequence[Cost], latencies: Sequence[Latency]) -> list[dict[str, Any]]:
    """The candidates that no other one beats in score, parameters, MACs and measured latency together, smallest first.

    The score is the one with the shared weights. Latencies count in steps of 5 %, so that noise puts none on the front.
    """
    points = [
        (-candidate.score, cost.parameters, cost.macs, round(math.log(latency.milliseconds, LATENCY_STEP)))
        for candidate, cost, latency in zip(candidates, costs, latencies, strict=True)
    ]
    chosen = non_dominated(points) if points else []
    records = [
        {
            "identity": candidates[index].architecture.identity,
            "architecture": candidates[index].architecture.to_json(),
            "score": candidates[index].score,
            "parameters": costs[index].parameters,
            "macs": costs[index].macs,
            "latency_ms": latencies[index].milliseconds,
        }
        for index in chosen
    ]
    return sorted(records, key=lambda record: (record["parameters"], -record["score"]))
