"""Decode images that strangers sent: hostile bytes become a refusal before they cost memory or time.

The pixels are those of `deployment.runtime.images`, and so those that the trunk was trained on: upright, RGB, of an
animation the first frame. The size is read in the header, before a pixel is decoded. Some attacks are cheap to send and
slow to read: progressive JPEGs with thousands of scans, each a pass over all pixels (Two Issues with the JPEG Standard,
libjpeg-turbo, 2015), files of a million tiny chunks, texts that unfold to megabytes each, run-length BMPs, which Pillow
reads in Python; scans, reads, texts and such pixels are therefore counted.
"""

import ctypes
import io
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from PIL import Image, UnidentifiedImageError

from deployment.runtime.images import FORMAT_NAMES, FORMATS, Size, pixels_of
from deployment.serve.requests import Refusal

MAX_SCANS = 64  # encoders write about ten
MAX_READS = 50_000
MAX_TEXTS = 16  # compressed or international ones of a PNG, each of up to a million characters of four bytes
MAX_RUN_LENGTH = 1_000_000  # pixels of a run-length BMP
# What a picture takes at most while it is decoded, per pixel: an animated WebP's two canvases of libwebp, its data, the
# picture in Pillow, the one turned upright, and the result, all of four bytes.
BYTES_PER_PIXEL = 24
LARGE = 2**20  # bytes of a block of memory that is given back to the system as soon as it is free
_M_MMAP_THRESHOLD = -3  # glibc's number for what `mallopt` sets


class _CountedReads(io.BytesIO):
    """Bytes that may be read piece by piece so often and no more."""

    left = MAX_READS

    def read(self, size: int | None = -1, /) -> bytes:
        self.left -= 1
        if self.left < 0:
            raise Refusal(422, "chunks", "is cut into more pieces than an image needs: save it again")
        return super().read(size)


class Room:
    """Pixels that may be decoded at once, by all threads together; who finds no room waits until others are done."""

    def __init__(self, pixels: int) -> None:
        self._left = pixels
        self._changed = threading.Condition()

    @contextmanager
    def lent(self) -> Iterator[Callable[[int], None]]:
        """`take(pixels)` for the block, at whose end they are given back; none asks for more than there is in all."""
        taken = 0

        def take(pixels: int) -> None:
            nonlocal taken
            with self._changed:
                self._changed.wait_for(lambda: self._left >= pixels)
                self._left -= pixels
                taken += pixels

        try:
            yield take
        finally:
            with self._changed:
                self._left += taken
                self._changed.notify_all()


def give_back_memory() -> None:
    """Have large blocks of memory given back when they are free, for this process and from now on.

    glibc soon keeps Pillow's blocks of 16 MiB for the thread that freed them, where no other thread finds them: half of
    a large picture per decoder, beside the picture that another one is decoding. Other libraries of C are left as they
    are.
    """
    if sys.platform == "linux" and (mallopt := getattr(ctypes.CDLL(None), "mallopt", None)) is not None:
        mallopt(_M_MMAP_THRESHOLD, LARGE)


def decode(
    data: bytes,
    *,
    max_pixels: int,
    white: int | None = None,
    enough: Callable[[Size], Size] | None = None,
    admit: Callable[[int], object] = lambda pixels: None,
) -> Image.Image:
    """One encoded image, upright and RGB. Raises: Refusal, whose sentence begins after "the image".

    `enough` as in `pixels_of`.
    `admit` hears the number of its pixels before one of them is decoded, and returns when there is room for them.
    """
    with _refusing(data, max_pixels), _header(data) as opened:
        _require_size(opened, max_pixels)
        admit(opened.width * opened.height)
        return pixels_of(opened, white, enough)


def pixels_together(images: Sequence[bytes]) -> int:
    """The pixels of all images that have a header, none of which is decoded."""
    total = 0
    for data in images:
        try:
            with _refusing(data, 0), _header(data) as opened:
                total += opened.width * opened.height
        except Refusal as refusal:
            if refusal.reason == "pixels":
                raise
    return total


def _header(data: bytes) -> Image.Image:
    if not data:
        raise Refusal(422, "empty", "is empty: send the bytes of an image")
    if data.startswith(b"\xff\xd8") and data.count(b"\xff\xda") > MAX_SCANS:
        raise Refusal(422, "scans", f"is a JPEG of more than {MAX_SCANS} scans: save it again")
    if data.startswith(b"\x89PNG") and data.count(b"zTXt") + data.count(b"iTXt") > MAX_TEXTS:
        raise Refusal(422, "texts", f"carries more than {MAX_TEXTS} texts: save it without")
    return Image.open(_CountedReads(data), formats=list(FORMATS))


@contextmanager
def _refusing(data: bytes, max_pixels: int) -> Iterator[None]:
    """Whatever Pillow raises in the block, as a Refusal."""
    try:
        yield
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


def _require_size(opened: Image.Image, max_pixels: int) -> None:
    width, height = opened.size
    if width * height > max_pixels:
        raise Refusal(
            413, "pixels", f"has {width:,} x {height:,} pixels; {max_pixels:,} are allowed: send a smaller one"
        )
    if width * height > MAX_RUN_LENGTH and any(tile[0] == "bmp_rle" for tile in getattr(opened, "tile", ())):
        raise Refusal(
            413, "pixels", f"is a run-length BMP of more than {MAX_RUN_LENGTH:,} pixels: save it as another format"
        )


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:200]
