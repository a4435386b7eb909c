"""The signs of collapse, on made-up histories of a uniform, a settled and a stuck policy."""

import math
from typing import Any

import numpy as np
import pytest

from nas.job.collapse import collapse
from search_spaces import Architecture, macro_space

SPACE = macro_space(3, widths=(8, 16))
UNIFORM = sum(math.log(len(decision.choices)) for decision in SPACE.decisions)


def rows(count: int, seed: int = 0) -> list[list[int]]:
    rng = np.random.default_rng(seed)
    return [list(SPACE.indices(SPACE.random(rng))) for _ in range(count)]


def update(entropy: float, architectures: list[list[int]]) -> dict[str, Any]:
    return {"kind": "controller_update", "entropy": entropy, "architectures": architectures}


def found(history: list[dict[str, Any]], ranked: int = 20) -> dict[str, Any]:
    candidates: list[Architecture] = [SPACE.architecture(row) for row in rows(ranked, 7)]
    return collapse(history, candidates, SPACE, asked=20, metric="auroc")


def test_a_policy_that_still_explores_raises_no_alarm() -> None:
    history = [update(UNIFORM * share, rows(8, seed)) for seed, share in enumerate(np.linspace(1.0, 0.5, 12))]
    signs = found(history)
    assert signs["alarms"] == []
    assert signs["entropy_share_last"] == pytest.approx(0.5)
    assert signs["entropy_uniform"] == pytest.approx(UNIFORM)
    assert signs["duplicates_last"] == 0.0
    assert signs["samples_last"] == 40
    assert signs["settled"] == 0.0
    assert signs["sentence"].startswith("No collapse")


def test_one_network_sampled_again_and_again_is_a_collapse_whatever_the_entropy() -> None:
    same = rows(1) * 8
    signs = found([update(UNIFORM * 0.4, same) for _ in range(6)])
    assert signs["duplicates_last"] == pytest.approx(39 / 40)
    assert signs["settled"] == 1.0
    assert len(signs["alarms"]) == 1
    assert "duplicates, when it had tried 1 different network" in signs["sentence"]


def test_settling_after_many_networks_is_no_collapse() -> None:
    """As the demo's searches do: 12 updates of different networks, then the few best ones again and again."""
    explored = [update(UNIFORM * share, rows(8, seed)) for seed, share in enumerate(np.linspace(0.9, 0.3, 12))]
    signs = found([*explored, *(update(UNIFORM * 0.2, rows(2) * 4) for _ in range(12))])
    assert signs["duplicates_last"] == pytest.approx(38 / 40)
    assert signs["tried"] > 90
    assert signs["alarms"] == []
    assert "tried" in signs["sentence"]
    hurried = [update(UNIFORM * 0.9, rows(3) * 2), *(update(UNIFORM * 0.2, rows(2) * 4) for _ in range(12))]
    assert "when it had tried 3 different networks" in found(hurried)["sentence"]


def test_idle_choices_do_not_hide_duplicates() -> None:
    space = macro_space(3, widths=(8, 16), depths=(1, 2, 3))
    rng = np.random.default_rng(0)
    names = [decision.name for decision in space.decisions]
    base = list(space.indices(space.random(rng)))
    base[names.index("depth")] = 0  # one node: the decisions of the other two build nothing
    samples = []
    for _ in range(40):
        other = list(space.indices(space.random(rng)))
        idle = [place for place, name in enumerate(names) if "node2" in name or "node3" in name or name[0] == "e"]
        samples.append([other[place] if place in idle else base[place] for place in range(len(base))])
    assert len({tuple(row) for row in samples}) > 30
    signs = collapse([update(1.0, samples)], [], space, asked=1, metric="auroc")
    assert signs["duplicates_last"] == pytest.approx(39 / 40)


@pytest.mark.parametrize(
    ("shares", "words"), [([1.0, 0.9, 0.5, 0.05], "ended at"), ([1.0, 0.09, 0.09, 0.3, 0.3], "half-way")]
)
def test_entropy_that_is_low_or_fell_early_is_a_collapse(shares: list[float], words: str) -> None:
    signs = found([update(UNIFORM * share, rows(8, seed)) for seed, share in enumerate(shares)])
    assert len(signs["alarms"]) == 1
    assert words in signs["alarms"][0]


def test_few_candidates_are_an_alarm_unless_the_space_has_no_more() -> None:
    history = [update(UNIFORM, rows(8))]
    assert "9 of 20 candidates" in found(history, ranked=9)["alarms"][0]
    tiny = macro_space(
        1, widths=(8,), operations=("conv3x3",), activations=("relu", "silu"), poolings=("average",), shortcuts=(False,)
    )
    both = [tiny.architecture([0] * len(tiny.decisions))]
    both.append(tiny.architecture([int(len(decision.choices) > 1) for decision in tiny.decisions]))
    samples = [list(tiny.indices(both[n % 2])) for n in range(40)]
    assert collapse([update(0.6, samples)], both, tiny, asked=20, metric="auroc")["alarms"] == []


def test_a_search_without_updates_says_so() -> None:
    assert "never updated" in found([])["sentence"]
