"""Splits that an image keeps: drawn from its content, not from what lies beside it."""

import hashlib
from collections import Counter

import numpy as np
import pytest

from subdatasets.splits import SPLITS, content_splits, joined, joined_rows


def contents(size: int, begin: int = 0) -> list[str]:
    return [hashlib.sha256(f"picture {number}".encode()).hexdigest() for number in range(begin, begin + size)]


def values(size: int, count: int = 2) -> np.ndarray[tuple[int, ...], np.dtype[np.int64]]:
    return (np.arange(size) % count).reshape(-1, 1)


def test_a_grown_set_keeps_every_split() -> None:
    before = content_splits(contents(700), values(700))
    grown = contents(400, 5000) + contents(700)
    after = content_splits(grown, values(1100))
    assert after[400:] == before
    assert content_splits(contents(700)[::-1], values(700)) == before[::-1]
    assert content_splits(contents(700), values(700), seed=1) != before


@pytest.mark.parametrize("fractions", [(0.7, 0.15, 0.15), (0.5, 0.3, 0.2), (0.8, 0.2, 0.0)])
def test_shares_are_those_asked_for(fractions: tuple[float, float, float]) -> None:
    drawn = Counter(content_splits(contents(4000), values(4000), fractions=fractions))
    for split, share in zip(SPLITS, fractions, strict=True):
        assert abs(drawn[split] / 4000 - share) < 0.03


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("count", [2, 5])
def test_however_few_each_value_is_in_each_split(seed: int, count: int) -> None:
    for each in (3, 4, 9):
        size = each * count
        drawn = content_splits(contents(size), values(size, count), seed=seed)
        assert len({(split, value) for split, value in zip(drawn, values(size, count)[:, 0], strict=True)}) == 3 * count


def test_what_belongs_together_shares_a_split() -> None:
    names = contents(60)
    copied = names + names[:20]
    drawn = content_splits(copied, values(80))
    assert drawn[60:] == drawn[:20]
    groups = [f"person {row // 6}" for row in range(60)]
    by_group = content_splits(names, values(60), groups)
    assert all(
        len({split for split, name in zip(by_group, groups, strict=True) if name == each}) == 1 for each in groups
    )
    # A copy joins two persons, and then a near copy a third.
    alike = list(range(80))
    alike[13] = alike[40] = 99
    joined_by = content_splits(copied, values(80), [*groups, *["other"] * 20], alike=alike)
    assert len(set(joined_by[:24]) | set(joined_by[36:42]) | set(joined_by[60:])) == 1


def test_a_group_keeps_its_split_when_it_grows() -> None:
    groups = [f"person {row // 6}" for row in range(120)]
    before = content_splits(contents(120), values(120), groups)
    more = content_splits(contents(121), values(121), [*groups, "person 3"])
    assert more[:120] == before
    assert more[120] == before[18]


def test_earlier_splits_are_kept_and_the_most_held_out_wins() -> None:
    names = contents(200)
    earlier = {name: SPLITS[number % 3] for number, name in enumerate(names[:150])}
    drawn = content_splits(names, values(200), earlier=earlier)
    assert drawn[:150] == [earlier[name] for name in names[:150]]
    groups: list[str | None] = [None] * 200
    groups[0] = groups[2] = groups[199] = "one person"  # in train and in test so far
    together = content_splits(names, values(200), groups, earlier=earlier)
    assert {together[row] for row in (0, 2, 199)} == {"test"}


def test_groups_that_overlap_in_every_way_still_give_a_usable_split() -> None:
    groups = [f"g{row % 4}" for row in range(40)]
    labels = np.stack([np.arange(40) % 2, np.arange(40) // 2 % 2, np.arange(40) // 4 % 2], axis=1)
    drawn = content_splits(contents(40), labels, groups)
    assert set(drawn) == set(SPLITS)


def test_sets_are_joined() -> None:
    assert joined(5, [(3, 1), (4, 3)]).tolist() == [0, 1, 2, 1, 1]
    assert joined_rows([["a", "b", "a", None, None], [None, 1, None, 1, None]]).tolist() == [0, 1, 0, 1, 2]
    assert content_splits([], np.empty((0, 1), np.int64)) == []


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("count", [2, 3])
def test_a_small_set_meets_its_shares_and_keeps_its_splits_when_it_grows(seed: int, count: int) -> None:
    earlier: dict[str, str] = {}
    for size in (60, 120, 400, 1100):
        names = contents(size)
        drawn = content_splits(names, values(size, count), seed=seed, earlier=earlier, ranked=True)
        assert [split for name, split in zip(names, drawn, strict=True) if name in earlier] == [*earlier.values()]
        if size <= 400:
            for value in range(count):
                held = Counter(drawn[value::count])
                of = len(drawn[value::count])
                for split, share in zip(SPLITS, (0.7, 0.15, 0.15), strict=True):
                    assert abs(held[split] - share * of) <= 1.5, (size, value, split)
            whole = Counter(drawn)
            assert max(abs(whole[s] - share * size) for s, share in zip(SPLITS, (0.7, 0.15, 0.15), strict=True)) <= 1
        earlier = dict(zip(names, drawn, strict=True))


def test_ranks_are_those_of_the_content_whatever_the_order_and_leave_large_sets_alone() -> None:
    names = contents(60)
    drawn = content_splits(names, values(60), ranked=True)
    assert content_splits(names[::-1], values(60)[::-1], ranked=True) == drawn[::-1]
    assert content_splits(names, values(60), ranked=True, seed=1) != drawn
    assert content_splits(contents(700), values(700), ranked=True) == content_splits(contents(700), values(700))
    without = content_splits(names[:59], values(59), ranked=True)  # one image less moves few, if any
    assert sum(one != other for one, other in zip(drawn, without, strict=False)) <= 3


def test_a_rare_value_and_unequal_groups_get_their_shares() -> None:
    labels = (np.arange(800) % 20 == 0).astype(np.int64).reshape(-1, 1)
    drawn = content_splits(contents(800), labels, ranked=True)
    assert Counter(split for split, rare in zip(drawn, labels[:, 0], strict=True) if rare) == {
        "train": 28,
        "val": 6,
        "test": 6,
    }
    sizes = [1 + 7 * (person % 4 == 0) for person in range(60)]
    groups = [f"person {person}" for person, size in enumerate(sizes) for _ in range(size)]
    size = len(groups)
    by_group = Counter(content_splits(contents(size), values(size), groups, ranked=True))
    assert abs(by_group["test"] / size - 0.15) < 0.05
    assert abs(by_group["train"] / size - 0.7) < 0.07
