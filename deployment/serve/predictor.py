"""Encoded images in, scores out: admission, decoding threads, the batcher, and the time an answer has."""

import asyncio
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from deployment.serve.batching import Batcher, Job
from deployment.serve.decoding import decode
from deployment.serve.loading import LoadedBundle
from deployment.serve.metrics import Metrics
from deployment.serve.persons import FindPersons, views_of
from deployment.serve.pictures import Picture, Scored
from deployment.serve.refusals import Refusal
from deployment.serve.settings import ServeSettings


class Predictor:
    """Runs images through a bundle; lives in one event loop, from its construction to `close`."""

    def __init__(self, settings: ServeSettings, metrics: Metrics, persons: FindPersons | None = None) -> None:
        self.settings = settings
        self.metrics = metrics
        self.persons = persons
        self.loop = asyncio.get_running_loop()
        self.batcher = Batcher(self.loop, metrics, max_batch=settings.max_batch, max_delay=settings.max_delay)
        self._decoders = ThreadPoolExecutor(settings.decoders, "decoder")
        self._under_way = 0

    async def predict(
        self, images: Sequence[bytes], bundle: LoadedBundle, attributes: tuple[str, ...]
    ) -> list[list[Scored]]:
        """Per image its views, in order: itself, or with `persons` each person in it.

        Raises: Refusal when there is no room for the images, one of them cannot be used, or it took too long.
        """
        if self._under_way + len(images) > self.settings.queue:
            raise Refusal(503, "busy", "The server has as many images as it can take: try again later.")
        self._count(len(images))
        pictures = [Picture(self.loop) for _ in images]
        try:
            self.batcher.expect(len(images))
            for number, (picture, data) in enumerate(zip(pictures, images, strict=True), start=1):
                which = f"Image {number}" if len(images) > 1 else "The image"
                self._decoders.submit(self._decode, picture, data, bundle, attributes, which)
            found = await asyncio.wait_for(_all(pictures), self.settings.timeout)
        except TimeoutError as error:
            seconds = f"{self.settings.timeout:g} s"
            raise Refusal(503, "timeout", f"The answer took longer than {seconds}: try again later.") from error
        finally:
            for picture in pictures:
                picture.answer.cancel()
            self._count(-len(images))
        self.metrics.images.inc(len(images))
        return found

    def close(self) -> None:
        """End the threads; what is queued is answered first."""
        self._decoders.shutdown()
        self.batcher.close()

    def _decode(
        self, picture: Picture, data: bytes, bundle: LoadedBundle, attributes: tuple[str, ...], which: str
    ) -> None:
        """In a decoder's thread: from bytes to the batcher's queue, unless nobody waits any more."""
        try:
            if picture.answer.done():
                return
            views = views_of(decode(data, max_pixels=self.settings.max_pixels), bundle.preprocessing, self.persons)
            for part, view in zip(picture.see(views), views, strict=True):
                self.batcher.submit(Job(bundle, attributes, part, view.image))
            if not views:
                self.loop.call_soon_threadsafe(picture.finish)
        except Exception as error:
            failure = Refusal(error.status, error.reason, f"{which} {error}.") if isinstance(error, Refusal) else error
            self.loop.call_soon_threadsafe(picture.fail, failure)
        finally:
            self.batcher.expect(-1)

    def _count(self, images: int) -> None:
        self._under_way += images
        self.metrics.queue_depth.set(self._under_way)


async def _all(pictures: Sequence[Picture]) -> list[list[Scored]]:
    if len(pictures) == 1:
        return [await pictures[0].answer]
    return await asyncio.gather(*(picture.answer for picture in pictures))
