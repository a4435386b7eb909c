"""The order in which a training reads its images: plain epochs, or batches that hold all values in equal parts."""

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from branches.settings import FitSettings

Indices = npt.NDArray[np.int64]


def batches(labels: Indices, values: int, settings: FitSettings, rng: np.random.Generator) -> Iterator[list[Indices]]:
    """Endless epochs, each a list of index arrays of one batch size; what does not fill a batch waits for later.

    `labels` (N,) hold every value in 0..values-1. Plain epochs are permutations. With `settings.balance` "sampling" a
    batch takes one image of each value in turn; the images of one value come in permutations of their own, one after
    the other, so that none comes twice before all came once.
    """
    size = min(settings.batch_size, len(labels))
    count = max(1, len(labels) // size)
    if settings.balance == "sampling":
        pools = [np.flatnonzero(labels == value) for value in range(values)]
    else:
        pools = [np.arange(len(labels))]
    queues = [np.empty(0, dtype=np.int64) for _ in pools]
    turn = 0
    while True:
        owner = (np.arange(turn, turn + count * size)) % len(pools)
        turn = (turn + count * size) % len(pools)
        epoch = np.empty(count * size, dtype=np.int64)
        for number, pool in enumerate(pools):
            places = owner == number
            needed = int(places.sum())
            while len(queues[number]) < needed:
                queues[number] = np.concatenate([queues[number], rng.permutation(pool)])
            epoch[places], queues[number] = queues[number][:needed], queues[number][needed:]
        yield list(epoch.reshape(count, size))
