"""Encoded images in, decided attributes out: admission, decoding threads, the batcher, and the time an answer has."""

import asyncio
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from deployment.serve.batching import Batcher, Floats, Job
from deployment.serve.decoding import decode
from deployment.serve.loading import LoadedBundle
from deployment.serve.metrics import Metrics
from deployment.serve.refusals import Refusal
from deployment.serve.settings import ServeSettings


class Predictor:
    """Answers images with a bundle; lives in one event loop, from its construction to `close`."""

    def __init__(self, settings: ServeSettings, metrics: Metrics) -> None:
        self.settings = settings
        self.metrics = metrics
        self.loop = asyncio.get_running_loop()
        self.batcher = Batcher(self.loop, metrics, max_batch=settings.max_batch, max_delay=settings.max_delay)
        self._decoders = ThreadPoolExecutor(settings.decoders, "decoder")
        self._under_way = 0

    async def predict(
        self, images: Sequence[bytes], bundle: LoadedBundle, attributes: tuple[str, ...]
    ) -> list[dict[str, dict[str, Any]]]:
        """Per image {attribute: {value, scores, threshold}}, in order.

        Raises: Refusal when there is no room for the images, one of them cannot be used, or it took too long.
        """
        if self._under_way + len(images) > self.settings.queue:
            raise Refusal(503, "busy", "The server has as many images as it can take: try again later.")
        jobs = [Job(bundle, attributes, self.loop.create_future()) for _ in images]
        self._under_way += len(jobs)
        self.metrics.queue_depth.set(self._under_way)
        try:
            self.batcher.expect(len(jobs))
            for number, (job, data) in enumerate(zip(jobs, images, strict=True), start=1):
                self._decoders.submit(self._decode, job, data, f"Image {number}" if len(jobs) > 1 else "The image")
            scores = await asyncio.wait_for(_all(jobs), self.settings.timeout)
        except TimeoutError as error:
            seconds = f"{self.settings.timeout:g} s"
            raise Refusal(503, "timeout", f"The answer took longer than {seconds}: try again later.") from error
        finally:
            for job in jobs:
                job.answer.cancel()
            self._under_way -= len(jobs)
            self.metrics.queue_depth.set(self._under_way)
        self.metrics.images.inc(len(jobs))
        return [bundle.decide(row) for row in scores]

    def close(self) -> None:
        """End the threads; what is queued is answered first."""
        self._decoders.shutdown()
        self.batcher.close()

    def _decode(self, job: Job, data: bytes, which: str) -> None:
        """In a decoder's thread: from bytes to the batcher's queue, unless nobody waits any more."""
        try:
            if job.answer.done():
                return
            job.image = decode(data, job.bundle.preprocessing, max_pixels=self.settings.max_pixels)
            self.batcher.submit(job)
        except Exception as error:
            failure = Refusal(error.status, error.reason, f"{which} {error}.") if isinstance(error, Refusal) else error
            self.loop.call_soon_threadsafe(_fail, job, failure)
        finally:
            self.batcher.expect(-1)


async def _all(jobs: Sequence[Job]) -> list[dict[str, Floats]]:
    if len(jobs) == 1:
        return [await jobs[0].answer]
    return await asyncio.gather(*(job.answer for job in jobs))


def _fail(job: Job, failure: Exception) -> None:
    if not job.answer.done():
        job.answer.set_exception(failure)
