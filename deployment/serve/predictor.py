"""Predict from encoded images: admission, decoding threads, the batcher, and the time an answer has.

Hostile bytes become a refusal before they cost memory or time. The pixels are those of `deployment.runtime.images`, and
so those that the trunk was trained on: upright, RGB, of an animation the first frame. The size is read in the header,
before a pixel is decoded. Two attacks are cheap to send and slow to read: progressive JPEGs with thousands of scans,
each a pass over all pixels (Two Issues with the JPEG Standard, libjpeg-turbo, 2015), and files of a million tiny
chunks; scans and reads are therefore counted.
"""

import asyncio
import io
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

from PIL import Image, UnidentifiedImageError

from deployment.runtime.images import FORMAT_NAMES, FORMATS, pixels_of
from deployment.serve.batching import Batcher, Floats, Job
from deployment.serve.loading import LoadedBundle
from deployment.serve.metrics import Metrics
from deployment.serve.persons import FindPersons, View, views_of
from deployment.serve.requests import Refusal
from deployment.serve.settings import ServeSettings

MAX_SCANS = 64  # encoders write about ten
MAX_READS = 50_000


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
            scored = await asyncio.wait_for(_all(pictures), self.settings.timeout)
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


class _CountedReads(io.BytesIO):
    """Bytes that may be read piece by piece so often and no more."""

    left = MAX_READS

    def read(self, size: int | None = -1, /) -> bytes:
        self.left -= 1
        if self.left < 0:
            raise Refusal(422, "chunks", "is cut into more pieces than an image needs: save it again")
        return super().read(size)


def decode(data: bytes, *, max_pixels: int) -> Image.Image:
    """One encoded image, upright and RGB. Raises: Refusal, whose sentence begins after "the image"."""
    if not data:
        raise Refusal(422, "empty", "is empty: send the bytes of an image")
    if data.startswith(b"\xff\xd8") and data.count(b"\xff\xda") > MAX_SCANS:
        raise Refusal(422, "scans", f"is a JPEG of more than {MAX_SCANS} scans: save it again")
    try:
        with Image.open(_CountedReads(data), formats=list(FORMATS)) as opened:
            _require_size(opened.width, opened.height, max_pixels)
            return pixels_of(opened)
    except Refusal:
        raise
    except UnidentifiedImageError as error:
        if data.startswith(tuple(kind.beginning for kind in FORMATS.values())):
            raise Refusal(422, "damaged", "is truncated or damaged: send the whole file") from error
        raise Refusal(415, "type", f"is no {FORMAT_NAMES}: convert it") from error
    except Image.DecompressionBombError as error:
        raise Refusal(413, "pixels", f"has too many pixels; {max_pixels:,} are allowed: send a smaller one") from error
    except MemoryError as error:
        raise Refusal(503, "memory", "does not fit in the memory that is free now: try again later") from error
    except Exception as error:  # Pillow's decoders answer broken files with nearly every exception there is
        raise Refusal(422, "damaged", f"is truncated or damaged ({_first_line(error)}): send the whole file") from error


def _require_size(width: int, height: int, max_pixels: int) -> None:
    if width * height > max_pixels:
        raise Refusal(
            413, "pixels", f"has {width:,} x {height:,} pixels; {max_pixels:,} are allowed: send a smaller one"
        )


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:200]
