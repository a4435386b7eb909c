"""Predict from encoded images: admission, decoding threads, the batcher, and the time an answer has."""

import asyncio
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

from deployment.runtime.images import enough_for
from deployment.serve.batching import Batcher, Floats, Job
from deployment.serve.decoding import Room, decode, pixels_together
from deployment.serve.loading import LoadedBundle
from deployment.serve.metrics import Metrics
from deployment.serve.persons import FindPersons, View, views_of
from deployment.serve.requests import Refusal
from deployment.serve.settings import ServeSettings


class Scored(NamedTuple):
    """One view of a picture: whose it is (empty for the whole), and {attribute: scores (values,)}."""

    person: dict[str, Any]
    scores: dict[str, Floats]


class Picture:
    """One image of a request, answered when all its views are scored; but for `see`, called in the event loop only."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.answer: asyncio.Future[list[Scored]] = loop.create_future()
        self._views: Sequence[View] = ()
        self._scores: dict[int, dict[str, Floats]] = {}

    def see(self, views: Sequence[View]) -> "list[Part]":
        """These are the views; returns who waits for the scores of each."""
        self._views = views
        return [Part(self, number) for number in range(len(views))]

    def put(self, number: int, scores: dict[str, Floats]) -> None:
        """The scores of one view."""
        self._scores[number] = scores
        self.finish()

    def finish(self) -> None:
        """Answer, when nothing is missing."""
        if len(self._scores) == len(self._views) and not self.answer.done():
            scored = [Scored(view.person, self._scores[number]) for number, view in enumerate(self._views)]
            self.answer.set_result(scored)

    def fail(self, error: BaseException) -> None:
        """Nothing will come of it."""
        if not self.answer.done():
            self.answer.set_exception(error)


class Part(NamedTuple):
    """What the batcher gives the scores of one view to, as if it were a future."""

    picture: Picture
    number: int

    def done(self) -> bool:
        """Whether nobody waits any more."""
        return self.picture.answer.done()

    def set_result(self, scores: dict[str, Floats]) -> None:
        """As a future's."""
        self.picture.put(self.number, scores)

    def set_exception(self, error: BaseException) -> None:
        """As a future's."""
        self.picture.fail(error)


class Predictor:
    """Runs images through a bundle; lives in one event loop, from its construction to `close`."""

    def __init__(self, settings: ServeSettings, metrics: Metrics, persons: FindPersons | None = None) -> None:
        self.settings = settings
        self.metrics = metrics
        self.persons = persons
        self.loop = asyncio.get_running_loop()
        self.batcher = Batcher(self.loop, metrics, max_batch=settings.max_batch, max_delay=settings.max_delay)
        self._decoders = ThreadPoolExecutor(settings.decoders, "decoder")
        self._room = Room(settings.max_decoding)
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
            async with asyncio.timeout(self.settings.timeout):
                if len(images) > 1:
                    await self._require_few_pixels(images)
                self.batcher.expect(len(images))
                for number, (picture, data) in enumerate(zip(pictures, images, strict=True), start=1):
                    which = f"Image {number}" if len(images) > 1 else "The image"
                    self._decoders.submit(self._decode, picture, data, bundle, attributes, which)
                scored = await _all(pictures)
        except TimeoutError as error:
            seconds = f"{self.settings.timeout:g} s"
            raise Refusal(503, "timeout", f"The answer took longer than {seconds}: try again later.") from error
        finally:
            for picture in pictures:
                picture.answer.cancel()
            self._count(-len(images))
        self.metrics.images.inc(len(images))
        return scored

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
            with self._room.lent() as take:
                decoded = decode(
                    data,
                    max_pixels=self.settings.max_pixels,
                    white=bundle.preprocessing.get("white"),
                    enough=None if self.persons else enough_for(bundle.preprocessing),
                    admit=take,
                )
                views = views_of(decoded, bundle.preprocessing, self.persons)
                del decoded
            for part, view in zip(picture.see(views), views, strict=True):
                self.batcher.submit(Job(bundle, attributes, part, view.image))
            if not views:
                self.loop.call_soon_threadsafe(picture.finish)
        except Exception as error:
            failure = Refusal(error.status, error.reason, f"{which} {error}.") if isinstance(error, Refusal) else error
            self.loop.call_soon_threadsafe(picture.fail, failure)
        finally:
            self.batcher.expect(-1)

    async def _require_few_pixels(self, images: Sequence[bytes]) -> None:
        """Raises: Refusal when the images have too many pixels together, by their headers."""
        most = self.settings.max_request_pixels
        pixels = await self.loop.run_in_executor(self._decoders, pixels_together, images)
        if pixels > most:
            said = f"The images have {pixels:,} pixels together; {most:,} are allowed: send several requests."
            raise Refusal(413, "pixels", said)

    def _count(self, images: int) -> None:
        self._under_way += images
        self.metrics.queue_depth.set(self._under_way)


async def _all(pictures: Sequence[Picture]) -> list[list[Scored]]:
    if len(pictures) == 1:
        return [await pictures[0].answer]
    return await asyncio.gather(*(picture.answer for picture in pictures))
