"""Image files to batches of pixels, decoded by threads ahead of the computation."""

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from subdatasets.contents import read_image
from trunk.preprocessing import Preprocessing

Job = TypeVar("Job")
Result = TypeVar("Result")
DECODING_THREADS = min(8, os.cpu_count() or 1)


def decode(paths: Iterable[Path], preprocessing: Preprocessing) -> NDArray[np.uint8]:
    """Image files -> uint8 (N, size, size, 3)."""
    return np.stack([preprocessing.pixels(read_image(path)) for path in paths])


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
    """Batches of files -> uint8 (n, size, size, 3), in order."""
    batches = [paths[start : start + batch_size] for start in range(0, len(paths), batch_size)]
    arrays = ahead(lambda batch: decode(batch, preprocessing), batches, threads=DECODING_THREADS, depth=4)
    return (torch.from_numpy(array) for array in arrays)
