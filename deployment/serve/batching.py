"""Batch images of many requests: run through the model together, by one thread.

A batch is taken when the model is free: whatever waits, up to `max_batch`. The thread waits for more, at most
`max_delay` seconds, only while images are being decoded; an image that comes alone is run at once.
"""

import asyncio
import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Protocol

import numpy as np
import numpy.typing as npt

from deployment.serve.loading import LoadedBundle
from deployment.serve.metrics import Metrics

Floats = npt.NDArray[np.float32]
logger = logging.getLogger("graftnet.serve")


class Waiting(Protocol):
    """Who waits for an image's scores, {attribute: (values,)}: a future, or what answers like one."""

    def done(self) -> bool: ...
    def set_result(self, scores: dict[str, Floats], /) -> None: ...
    def set_exception(self, error: BaseException, /) -> None: ...


@dataclass(frozen=True, slots=True)
class Job:
    """One image (3, S, S), what is asked about it, of which bundle, and by whom."""

    bundle: LoadedBundle
    attributes: tuple[str, ...]
    answer: Waiting
    image: Floats


class Batcher:
    """A thread that answers jobs; `close` ends it. Every method may be called from any thread."""

    def __init__(self, loop: asyncio.AbstractEventLoop, metrics: Metrics, *, max_batch: int, max_delay: float) -> None:
        self.loop = loop
        self.metrics = metrics
        self.max_batch = max_batch
        self.max_delay = max_delay
        self._waiting: deque[Job] = deque()
        self._decoding = 0
        self._closed = False
        self._wake = threading.Condition()
        self._thread = threading.Thread(target=self._work, name="batcher", daemon=True)
        self._thread.start()

    @property
    def alive(self) -> bool:
        """Whether anybody is there to answer."""
        return self._thread.is_alive()

    def expect(self, images: int) -> None:
        """So many images more (or fewer) are being decoded."""
        with self._wake:
            self._decoding += images
            self._wake.notify()

    def submit(self, job: Job) -> None:
        """Queue a job whose image is decoded."""
        with self._wake:
            self._waiting.append(job)
            self._wake.notify()

    def close(self) -> None:
        """Answer what is queued, then stop."""
        with self._wake:
            self._closed = True
            self._wake.notify()
        self._thread.join()

    def _work(self) -> None:
        while (batch := self._next()) is not None:
            jobs = [job for job in batch if not job.answer.done()]  # who gave up needs no scores
            if jobs:
                self._run(jobs)

    def _next(self) -> list[Job] | None:
        """The jobs of the next batch, all of one bundle, in the order they came; None when closed and done."""
        with self._wake:
            while not self._waiting:
                if self._closed:
                    return None
                self._wake.wait()
            until = time.monotonic() + self.max_delay
            while len(self._waiting) < self.max_batch and self._decoding > 0 and not self._closed:
                left = until - time.monotonic()
                if left <= 0:
                    break
                self._wake.wait(left)
            batch = [self._waiting.popleft()]
            while self._waiting and len(batch) < self.max_batch and self._waiting[0].bundle is batch[0].bundle:
                batch.append(self._waiting.popleft())
            return batch

    def _run(self, jobs: Sequence[Job]) -> None:
        names = tuple(dict.fromkeys(name for job in jobs for name in job.attributes))
        began = time.perf_counter()
        try:
            scores = jobs[0].bundle.scores(np.stack([job.image for job in jobs]), names)
        except Exception as error:  # whatever a runtime throws, the thread must go on
            logger.exception("a batch of %d images failed", len(jobs))
            self._tell(partial(_fail, jobs, error))
            return
        self.metrics.batch_seconds.observe(time.perf_counter() - began)
        self.metrics.batch_size.observe(len(jobs))
        self._tell(partial(_answer, jobs, scores))

    def _tell(self, outcome: Callable[[], None]) -> None:
        if not self.loop.is_closed():
            self.loop.call_soon_threadsafe(outcome)


def _answer(jobs: Sequence[Job], scores: dict[str, Floats]) -> None:
    for number, job in enumerate(jobs):
        if not job.answer.done():
            job.answer.set_result({name: scores[name][number] for name in job.attributes})


def _fail(jobs: Sequence[Job], error: Exception) -> None:
    for job in jobs:
        if not job.answer.done():
            job.answer.set_exception(error)
