"""Uniform paths that train every choice equally often.

After FairNAS (Chu, Zhang, Xu, 2019), arXiv:1907.01845, whose strict fairness trains all choices of a layer before each
step of the optimiser. Different: one path a step, as ENAS has it, and fairness over any stretch of steps as long as a
decision has choices. It costs nothing. Under limits, paths that break them are replaced by uniform ones that do not:
the fairness is rough then.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from search_spaces.decisions import Decision


def fair_indices(decisions: Sequence[Decision], count: int, rng: np.random.Generator) -> npt.NDArray[np.int64]:
    """Indices (count, D) of uniformly drawn architectures: in each column, permutations of the choices one by one.

    Of any decision with k choices, each occurs in `count` rows either count // k times or once more.
    """
    columns = []
    for decision in decisions:
        choices = len(decision.choices)
        rounds = [rng.permutation(choices) for _ in range(-(-count // choices))]
        columns.append(np.concatenate(rounds)[:count] if rounds else np.empty(0, dtype=np.int64))
    return np.stack(columns, axis=1)
