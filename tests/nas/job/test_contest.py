from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from branches.costs.latency import Latency
from nas.job.contest import select, selection_sentence
from nas.limits.latency import Latencies
from nas.limits.limits import Limits
from nas.settings import JobSettings
from search_spaces import Architecture, macro_space

SPACE = macro_space(1, widths=(4, 8, 16))


def architectures(count: int) -> list[Architecture]:
    rows = torch.cartesian_prod(*(torch.arange(len(decision.choices)) for decision in SPACE.decisions))
    return [SPACE.architecture(row) for row in rows[:count].tolist()]


def places(parameters: list[int], count: int, apart: float, limits: Limits | None = None) -> list[int]:
    """Which of architectures with so many parameters are chosen."""
    ranked = architectures(len(parameters))
    sizes = dict(zip(ranked, parameters, strict=True))
    latencies = Latencies(Path("nowhere"), (3, 4, 4), 2, device=torch.device("cpu"))
    return select(
        ranked, count, limits or Limits(), lambda one: (sizes[one], 1), latencies, role="candidate", apart=apart
    ).ranks


def test_without_a_distance_the_first_are_chosen() -> None:
    assert places([100, 100, 101, 900], 3, apart=1.0) == [0, 1, 2]


def test_near_copies_wait_for_those_of_another_size() -> None:
    assert places([100, 149, 150, 99, 300], 3, apart=1.5) == [0, 2, 4]


def test_a_size_apart_from_one_but_not_from_another_waits() -> None:
    assert places([100, 200, 150, 400], 3, apart=1.5) == [0, 1, 3]


def test_near_copies_fill_what_is_left() -> None:
    assert places([100, 101, 102, 400], 3, apart=1.5) == [0, 1, 3]
    assert places([100, 101, 102], 5, apart=1.5) == [0, 1, 2]


def test_what_breaks_a_limit_keeps_no_other_from_its_place() -> None:
    assert places([500, 400, 300, 100], 2, apart=1.5, limits=Limits(parameters=450)) == [1, 3]
    assert places([500, 480, 300, 100], 2, apart=1.5, limits=Limits(parameters=490)) == [1, 2]


def test_a_near_copy_is_measured_only_where_it_is_needed(tmp_path: Path) -> None:
    ranked = architectures(4)
    sizes = dict(zip(ranked, [100, 101, 300, 102], strict=True))
    asked: list[Architecture] = []

    class Watched(Latencies):
        def of(self, architectures: Sequence[Architecture]) -> list[Latency]:
            asked.extend(architectures)
            return [Latency(1.0, 1.0, 1.0, 1, 1, "cpu", 1) for _ in architectures]

    latencies = Watched(tmp_path, (3, 4, 4), 2, device=torch.device("cpu"))
    select(ranked, 2, Limits(latency_ms=2.0), lambda one: (sizes[one], 1), latencies, role="candidate", apart=1.5)
    assert asked == [ranked[0], ranked[2]]


def test_the_sentence_says_how_far_apart() -> None:
    counts = {"candidates": 9, "trained": 2, "dropped": 0}
    words = {"judge": "the shared weights rank", "metric": "auroc", "reason": "it won", "threshold_by": "f1"}
    about: dict[str, Any] = {**counts, **words, "limits": Limits()}
    assert "highest by val auroc were trained" in selection_sentence(**about)
    assert "highest by val auroc, 1.5 x apart in parameters while there are such, were" in selection_sentence(
        **about, apart=1.5
    )


def test_only_shared_weights_need_finalists_apart() -> None:
    assert JobSettings(SPACE).finalists_apart == 1.5
    assert JobSettings(SPACE, strategy="random").finalists_apart == 1
