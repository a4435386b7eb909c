import numpy as np
import pytest
from numpy.typing import NDArray

from trunk.pretraining.indeed import draw_pairs, partial_coco


def as_set(pairs: NDArray[np.int64]) -> set[tuple[int, int]]:
    return {(min(a, b), max(a, b)) for a, b in pairs.tolist()}


def test_partial_coco_pairs_share_a_label_and_differ_in_one() -> None:
    person, horse, motorcycle, bird = np.eye(4, dtype=np.int8)
    labels = np.stack([person + horse, person + motorcycle, horse, bird, person + horse])
    assert partial_coco(labels).astype(int).tolist() == [
        [0, 1, 1, 0, 0],  # with row 4 it shares all and differs in nothing
        [1, 0, 0, 0, 1],
        [1, 0, 0, 0, 1],  # one set of labels within the other is enough: only one difference has to be there
        [0, 0, 0, 0, 0],
        [0, 1, 1, 0, 0],
    ]


def test_what_is_unknown_neither_joins_nor_parts() -> None:
    shared_unknown = np.array([[-1, 1, 0], [1, 0, 0]])
    differing_unknown = np.array([[1, 1, 0], [1, -1, 0]])
    known = np.array([[1, 1, -1], [1, 0, -1]])
    assert not partial_coco(shared_unknown).any()
    assert not partial_coco(differing_unknown).any()
    assert partial_coco(known).tolist() == [[False, True], [True, False]]


def test_images_without_a_partner_get_the_default_pair() -> None:
    labels = np.array([[1, 1, 0, 0], [1, 0, 1, 0], [0, 0, 0, 1], [0, 0, 0, 0]])
    assert as_set(draw_pairs(labels, np.random.default_rng(0))) == {(0, 1), (2, 2), (3, 3)}
    same = np.tile([1, 1, 0], (3, 1))
    assert draw_pairs(same, np.random.default_rng(0)).tolist() == [[0, 0], [1, 1], [2, 2]]
    assert draw_pairs(np.empty((0, 4), dtype=np.int64), np.random.default_rng(0)).shape == (0, 2)


def random_labels(seed: int, count: int = 40) -> NDArray[np.int64]:
    return np.random.default_rng(seed).choice([-1, 0, 1], size=(count, 6), p=[0.2, 0.5, 0.3])


@pytest.mark.parametrize("seed", range(5))
def test_every_image_is_in_one_pair_and_none_remains(seed: int) -> None:
    labels = random_labels(seed)
    pairs = draw_pairs(labels, np.random.default_rng(seed))
    real = pairs[pairs[:, 0] != pairs[:, 1]]
    default = pairs[pairs[:, 0] == pairs[:, 1], 0]
    assert sorted([*real.flatten().tolist(), *default.tolist()]) == list(range(len(labels)))
    allowed = partial_coco(labels)
    assert allowed[real[:, 0], real[:, 1]].all()
    assert not allowed[np.ix_(default, default)].any()


@pytest.mark.parametrize("seed", range(5))
def test_the_pairs_are_those_drawn_one_after_the_other(seed: int) -> None:
    """The plain way: all possible pairs in a random order; the first one whose images both remain is taken."""
    labels = random_labels(seed, count=25)
    pairs = draw_pairs(labels, np.random.default_rng(seed))
    firsts, seconds = np.triu_indices(len(labels), 1)
    order = np.argsort(-np.random.default_rng(seed).permutation(len(firsts)))
    allowed, remaining, expected = partial_coco(labels), set(range(len(labels))), set()
    for place in order.tolist():
        a, b = int(firsts[place]), int(seconds[place])
        if allowed[a, b] and {a, b} <= remaining:
            expected.add((a, b))
            remaining -= {a, b}
    assert as_set(pairs) == expected | {(row, row) for row in remaining}


def test_partners_are_drawn_evenly_and_by_the_seed() -> None:
    labels = np.eye(4, dtype=np.int64)[[0, 1, 2]] + np.array([0, 0, 0, 1])
    partners = [as_set(draw_pairs(labels, np.random.default_rng(seed))) for seed in range(600)]
    for pair in ((0, 1), (0, 2), (1, 2)):
        assert 150 < sum(pair in found for found in partners) < 250
    assert partners[7] == as_set(draw_pairs(labels, np.random.default_rng(7)))
