"""Train, val and test: stratified by value, groups kept together, repeatable by seed.

On the Stratification of Multi-Label Data (Sechidis, Tsoumakas, Vlahavas, 2011) gives the idea: hand out the rarest
label first, each time to the split that still needs it most. Here whole groups are handed out, and before the rest
every label gets one group in each split.
"""

import hashlib
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from subdatasets.errors import DataError

SPLITS = ("train", "val", "test")
FRACTIONS = (0.7, 0.15, 0.15)
_ATTEMPTS = 20


def stratified_splits(
    values: Sequence[int],
    groups: Sequence[str | None] | None = None,
    *,
    fractions: Sequence[float] = FRACTIONS,
    seed: int = 0,
) -> list[str]:
    """A split's name for each of N examples.

    Examples of one group share a split (`None`: the example is a group of its own). Every value that occurs in three
    groups or more occurs in every split with a fraction above zero. Two values always get this; with more values whose
    groups overlap it may be impossible, and then as many as can be found do.

    Args:
        values: N value indices.
        groups: N group names, or None for no groups at all.
        fractions: the shares of train, val and test, adding up to 1.
        seed: the same seed and input give the same splits.

    Raises:
        DataError: unusable fractions, or a different number of groups than values.
    """
    return multilabel_splits(np.asarray(values, dtype=np.int64).reshape(-1, 1), groups, fractions=fractions, seed=seed)


def multilabel_splits(
    values: NDArray[np.int64],
    groups: Sequence[str | None] | None = None,
    *,
    fractions: Sequence[float] = FRACTIONS,
    seed: int = 0,
) -> list[str]:
    """`stratified_splits` for several attributes at once: `values` is (N, attributes), -1 where unknown.

    One split per image for all attributes keeps an image that tests one attribute out of the training of another.
    """
    shares = _checked_fractions(fractions)
    if groups is not None and len(groups) != len(values):
        raise DataError(f"there are {len(groups)} groups for {len(values)} examples: give one group (or None) for each")
    if not len(values):
        return []
    group_of = _group_numbers(groups, len(values))
    counts = _counts_per_group(values, group_of)
    random = np.random.default_rng(seed)
    assigned = _seeded(counts, shares, random)
    _fill(assigned, counts, shares, random)
    return [SPLITS[split] for split in assigned[group_of]]


def content_splits(
    contents: Sequence[str],
    values: NDArray[np.int64],
    groups: Sequence[str | None] | None = None,
    *,
    fractions: Sequence[float] = FRACTIONS,
    seed: int = 0,
    earlier: Mapping[str, str] | None = None,
    alike: Sequence[int] | None = None,
    ranked: bool = False,
) -> list[str]:
    """Splits that stay when images are added: each image's depends on its own content (or group) and the seed alone.

    The hash of content or group is a number from 0 to 1, and the fractions cut that range. Images of one content, one
    group or one number in `alike` share a split. In a small set that comes out rough; `ranked` cuts the order of the
    numbers there instead of their range (`_ranked`), for whoever writes the splits down. Only where a value has less
    than half its share in a split are images moved there, those with the numbers nearest to it, so that small
    sub-datasets can be used too.

    Args:
        contents: N content hashes.
        values: (N, attributes) value indices, -1 where unknown.
        groups: N group names, None for an image without.
        fractions: the shares of train, val and test.
        seed: another one gives other splits.
        earlier: content hash -> the split it had, which it keeps.
        alike: N numbers, equal for near copies.
        ranked: whether the shares are to be met in a small set too; splits then stay by `earlier` alone.
    """
    shares = _checked_fractions(fractions)
    if not len(values):
        return []
    keys = [
        hashlib.sha256(f"{seed}/{content if group is None else f'group/{group}'}".encode()).hexdigest()
        for content, group in zip(contents, groups or [None] * len(contents), strict=True)
    ]
    unit_of = joined_rows([contents, groups or [None] * len(contents), alike or [None] * len(contents)])
    counts = _counts_per_group(values, unit_of) > 0
    numbers = np.ones(len(counts))
    for key, unit in zip(keys, unit_of.tolist(), strict=True):
        numbers[unit] = min(numbers[unit], int(key[:13], 16) / 16**13)
    ends = np.cumsum(shares)
    assigned = np.minimum(np.searchsorted(ends, numbers, side="right"), int(np.flatnonzero(shares)[-1]))
    kept = np.full(len(counts), -1)
    for content, unit in zip(contents, unit_of.tolist(), strict=True):
        if earlier and content in earlier:
            kept[unit] = max(kept[unit], SPLITS.index(earlier[content]))
    assigned[kept >= 0] = kept[kept >= 0]
    if ranked and is_small(values):
        images = np.bincount(unit_of).astype(np.float64)
        _ranked(assigned, counts, numbers, images, shares, kept >= 0)
    if not _levelled(assigned, counts, numbers, shares, kept >= 0) and not earlier:
        # Groups that overlap in many ways; a split that can be used is worth more than one that stays.
        order = np.argsort(np.asarray(keys), kind="stable")
        names = [str(unit_of[row]) for row in order]
        drawn = multilabel_splits(values[order], names, fractions=fractions, seed=seed)
        back = dict(zip(order.tolist(), drawn, strict=True))
        return [back[row] for row in range(len(keys))]
    return [SPLITS[split] for split in assigned[unit_of]]


def lacking(splits: Sequence[str], values: NDArray[np.int64], fractions: Sequence[float]) -> bool:
    """Whether a value of three images or more is missing in a split that has a share."""
    names = np.asarray(splits)
    used = [name for name, share in zip(SPLITS, fractions, strict=True) if share > 0]
    return any(
        (labels == value).sum() >= len(used) and not (labels[names == name] == value).any()
        for labels in values.T
        for value in np.unique(labels[labels >= 0])
        for name in used
    )


# With so many images of each value the share of a split drawn by content is off by less than a tenth, mostly.
_LARGE = 300


def is_small(values: NDArray[np.int64]) -> bool:
    """Whether a value of (N, attributes) has so few images that shares drawn by content alone come out rough."""
    return any(np.bincount(known[known >= 0]).min(initial=_LARGE) < _LARGE for known in values.T)


def _ranked(
    assigned: NDArray[np.int64],
    counts: NDArray[np.bool_],
    numbers: NDArray[np.float64],
    images: NDArray[np.float64],
    shares: Sequence[float],
    fixed: NDArray[np.bool_],
) -> None:
    """Assign the units that are not fixed so that the images of each split come near to its share.

    Units of the same labels stand in the order of their numbers, and the shares cut that order; what one cut rounds off
    is added at the next. Fixed units count: the others get what is lacking.
    """
    owed = np.zeros(2)
    last = int(np.flatnonzero(shares)[-1])
    for members in _strata(counts):
        free = members[~fixed[members]]
        free = free[np.argsort(numbers[free], kind="stable")]
        if not len(free):
            continue
        there = np.bincount(
            assigned[members], weights=np.where(fixed[members], images[members], 0.0), minlength=len(shares)
        )
        missing = np.maximum(np.asarray(shares) * images[members].sum() - there, 0.0)
        weights = images[free]
        wanted = np.cumsum(missing * weights.sum() / missing.sum())[:2]
        middles = np.cumsum(weights) - weights / 2
        assigned[free] = np.minimum(np.searchsorted(wanted + owed, middles, side="right"), last)
        owed += wanted - [weights[assigned[free] <= split].sum() for split in (0, 1)]


# Units that carry the same labels are split by themselves where there are so many: one for each split.
_PART = 3


def _strata(counts: NDArray[np.bool_]) -> list[NDArray[np.int64]]:
    """The units, by the labels they carry: told apart by labels, the rarest first, while parts stay large enough."""
    parts = [np.arange(len(counts))]
    for label in np.argsort(counts.sum(axis=0), kind="stable").tolist():
        for place, part in enumerate(list(parts)):
            carried = counts[part, label]
            if _PART <= carried.sum() <= len(part) - _PART:
                parts[place] = part[~carried]
                parts.append(part[carried])
    return sorted(parts, key=len, reverse=True)


def joined_rows(columns: Sequence[Sequence[str | int | None]]) -> NDArray[np.int64]:
    """(N,) numbers of sets of rows, from 0: rows that agree in a column, unless it is None there, are in one set."""

    def pairs() -> Iterator[tuple[int, int]]:
        for column in columns:
            first: dict[str | int, int] = {}
            for row, key in enumerate(column):
                if key is not None:
                    yield first.setdefault(key, row), row

    return joined(len(columns[0]), pairs())


def joined(size: int, pairs: Iterable[tuple[int, int]]) -> NDArray[np.int64]:
    """(size,) numbers of sets, from 0 in the order of their first members: both of each pair are in one set."""
    parents = list(range(size))

    def root(row: int) -> int:
        while parents[row] != row:
            parents[row] = parents[parents[row]]
            row = parents[row]
        return row

    for one, other in pairs:
        low, high = sorted((root(one), root(other)))
        parents[high] = low
    numbers: dict[int, int] = {}
    return np.fromiter((numbers.setdefault(root(row), len(numbers)) for row in range(size)), np.int64, size)


def _levelled(
    assigned: NDArray[np.int64],
    counts: NDArray[np.bool_],
    numbers: NDArray[np.float64],
    shares: Sequence[float],
    fixed: NDArray[np.bool_],
) -> bool:
    """Move units until every label has half its share in each split; whether each has at least one where it can."""
    active = [split for split, share in enumerate(shares) if share > 0]
    begins = np.cumsum([0.0, *shares])
    sizes = counts.sum(axis=0)
    least = np.zeros((len(shares), len(sizes)), np.int64)
    for split in active:
        least[split] = np.where(sizes >= len(active), np.maximum(1, (shares[split] * sizes / 2).astype(np.int64)), 0)
    have = np.stack([counts[assigned == split].sum(axis=0) for split in range(len(shares))])
    for label in np.argsort(sizes, kind="stable").tolist():
        members = np.flatnonzero(counts[:, label] & ~fixed)
        for split in active:
            distance = np.abs(numbers[members] - (begins[split] + begins[split + 1]) / 2)
            for unit in members[np.argsort(distance, kind="stable")].tolist():
                if have[split, label] >= least[split, label]:
                    break
                source, carried = int(assigned[unit]), counts[unit]
                if source != split and (have[source, carried] > least[source, carried]).all():
                    assigned[unit] = split
                    have[source, carried] -= 1
                    have[split, carried] += 1
    return not ((least > 0) & (have == 0)).any()


def val_from_train(
    splits: Sequence[str],
    values: NDArray[np.int64],
    groups: Sequence[str | None] | None = None,
    *,
    fractions: Sequence[float] = FRACTIONS,
    seed: int = 0,
) -> list[str]:
    """The splits with a val split taken out of train, at the ratio the fractions have to each other."""
    train, val, _ = _checked_fractions(fractions)
    chosen = [row for row, split in enumerate(splits) if split == "train"]
    parts = multilabel_splits(
        values[chosen],
        None if groups is None else [groups[row] for row in chosen],
        fractions=(train / (train + val), val / (train + val), 0.0),
        seed=seed,
    )
    completed = list(splits)
    for row, part in zip(chosen, parts, strict=True):
        completed[row] = part
    return completed


def _checked_fractions(fractions: Sequence[float]) -> tuple[float, float, float]:
    if len(fractions) != 3 or min(fractions) < 0 or not math.isclose(sum(fractions), 1, abs_tol=1e-6):
        raise DataError(f"split fractions {tuple(fractions)} must be three shares of train, val, test that add up to 1")
    if fractions[0] == 0:
        raise DataError(f"split fractions {tuple(fractions)} leave nothing for train: give the first a share")
    return (fractions[0], fractions[1], fractions[2])


def _group_numbers(groups: Sequence[str | None] | None, size: int) -> NDArray[np.int64]:
    if groups is None:
        return np.arange(size)
    numbers: dict[str | int, int] = {}
    keys = (row if group is None else group for row, group in enumerate(groups))
    return np.fromiter((numbers.setdefault(key, len(numbers)) for key in keys), np.int64, size)


def _counts_per_group(values: NDArray[np.int64], group_of: NDArray[np.int64]) -> NDArray[np.int64]:
    """(groups, labels): how many examples of each group carry each (attribute, value)."""
    columns = []
    size = int(group_of.max()) + 1
    for attribute in values.T:
        for value in np.unique(attribute[attribute >= 0]):
            columns.append(np.bincount(group_of[attribute == value], minlength=size))
    return np.stack(columns, axis=1) if columns else np.zeros((size, 1), np.int64)


def _seeded(counts: NDArray[np.int64], shares: Sequence[float], random: np.random.Generator) -> NDArray[np.int64]:
    """(groups,): one group of each label in each split, -1 elsewhere; the best of several attempts."""
    best, fewest = np.full(len(counts), -1), math.inf
    for _ in range(_ATTEMPTS):
        assigned, missing = _seed_once(counts, shares, random.permutation(len(counts)))
        if missing < fewest:
            best, fewest = assigned, missing
        if missing == 0:
            break
    return best


def _seed_once(
    counts: NDArray[np.int64], shares: Sequence[float], order: NDArray[np.int64]
) -> tuple[NDArray[np.int64], int]:
    active = [split for split, share in enumerate(shares) if share > 0]
    assigned = np.full(len(counts), -1)
    sizes = counts.sum(axis=1)[order]
    order = order[np.argsort(sizes, kind="stable")]
    missing = 0
    for label in np.argsort((counts > 0).sum(axis=0), kind="stable"):
        members = order[counts[order, label] > 0]
        present = set(assigned[members].tolist())
        free = members[assigned[members] < 0].tolist()
        for split in active:
            if split in present:
                continue
            if free:  # the largest group would swamp a small split: it goes to train
                assigned[free.pop(-1 if split == 0 else 0)] = split
            elif len(members) >= len(active):
                missing += 1
    return assigned, missing


def _fill(
    assigned: NDArray[np.int64], counts: NDArray[np.int64], shares: Sequence[float], random: np.random.Generator
) -> None:
    """Hand out the remaining groups, those with the rarest label first, then the largest.

    A group goes where its labels are furthest from their share, counted in parts of that share, so that all splits
    fill up evenly; the group counts by half, which rounds the last ones as Webster's (Sainte-Lague's) method rounds
    seats. Plain floats, added in a fixed order: every machine decides alike.
    """
    total = counts.sum(axis=0)
    active = [split for split, share in enumerate(shares) if share > 0]
    full = [[max(shares[split] * int(size), 1e-9) for size in total] for split in active]
    have = [counts[assigned == split].sum(axis=0) for split in active]
    need = [[1 - float(got) / size for got, size in zip(*pair, strict=True)] for pair in zip(have, full, strict=True)]
    rarest = np.full(len(counts), total.max(initial=0))
    for label in np.argsort(-total, kind="stable"):
        rarest[counts[:, label] > 0] = total[label]
    order = random.permutation(len(counts))
    order = order[assigned[order] < 0]
    order = order[np.lexsort((-counts[order].sum(axis=1), rarest[order]))]
    rows, columns = np.nonzero(counts[order])
    labels, amounts = columns.tolist(), counts[order[rows], columns].tolist()
    ends = np.searchsorted(rows, np.arange(len(order)), side="right").tolist()
    chosen = []
    begin = 0
    for end in ends:
        carried = list(zip(labels[begin:end], amounts[begin:end], strict=True))
        wanted = [
            sum([amount * (row[label] - amount / 2 / size[label]) for label, amount in carried])
            for row, size in zip(need, full, strict=True)
        ]
        best = wanted.index(max(wanted))
        for label, amount in carried:
            need[best][label] -= amount / full[best][label]
        chosen.append(active[best])
        begin = end
    assigned[order] = chosen
