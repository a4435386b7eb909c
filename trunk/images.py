"""Images as batches of pixels: decoded by threads ahead of the computation, or once and held in memory."""

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from trunk.preprocessing import Preprocessing

Job = TypeVar("Job")
Result = TypeVar("Result")
DECODING_THREADS = min(8, os.cpu_count() or 1)


def decode(paths: Iterable[Path], preprocessing: Preprocessing) -> NDArray[np.uint8]:
    """Image files -> uint8 (N, height, width, 3)."""
    return np.stack([preprocessing.pixels(preprocessing.read(path)) for path in paths])


def ahead(work: Callable[[Job], Result], jobs: Iterable[Job], *, threads: int, depth: int) -> Iterator[Result]:
    """``map(work, jobs)`` in threads, at most ``depth`` jobs ahead of the reader; results keep their order."""
    waiting: deque[Future[Result]] = deque()
    with ThreadPoolExecutor(threads) as pool:
        try:
            for job in jobs:
                waiting.append(pool.submit(work, job))
                if len(waiting) > depth:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()


def pixel_batches(paths: list[Path], preprocessing: Preprocessing, batch_size: int) -> Iterator[Tensor]:
    """Batches of files -> uint8 (n, height, width, 3), in order."""
    batches = [paths[start : start + batch_size] for start in range(0, len(paths), batch_size)]
    arrays = ahead(lambda batch: decode(batch, preprocessing), batches, threads=DECODING_THREADS, depth=4)
    return (torch.from_numpy(array) for array in arrays)


HELD_BYTES = 2**30


class HeldImages:
    """Rows of pixels that are decoded when they are first asked for; threads may ask at the same time.

    limit: bytes; the images beyond it are decoded each time. Memory is taken as images come in, not before.
    """

    def __init__(self, paths: Sequence[Path], preprocessing: Preprocessing, *, limit: int = HELD_BYTES) -> None:
        self.paths = paths
        self.preprocessing = preprocessing
        shape = (*preprocessing.shape, 3)
        count = min(len(paths), limit // int(np.prod(shape)))
        self.held = np.empty((count, *shape), dtype=np.uint8)
        self.there = np.zeros(count, dtype=np.bool_)

    def pixels(self, rows: NDArray[np.int64]) -> NDArray[np.uint8]:
        """uint8 (n, height, width, 3), a copy."""
        pixels = np.empty((len(rows), *self.held.shape[1:]), dtype=np.uint8)
        known = rows < len(self.there)
        known[known] = self.there[rows[known]]
        pixels[known] = self.held[rows[known]]
        if not known.all():
            new = rows[~known]
            pixels[~known] = decode([self.paths[row] for row in new], self.preprocessing)
            kept = new < len(self.there)
            # First the pixels, then the word that they are there: another thread may look in between.
            self.held[new[kept]] = pixels[~known][kept]
            self.there[new[kept]] = True
        return pixels
