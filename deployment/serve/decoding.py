"""Bytes of a request to what the trunk reads; hostile bytes to a refusal, before they cost memory or time.

The pixels are those of `deployment.runtime.images`, and so those that the trunk was trained on: upright, RGB, of an
animation the first frame. Size is read in the header, before a pixel is decoded. Two attacks are cheap to send and slow
to read: progressive JPEGs with thousands of scans, each a pass over all pixels (Two Issues with the JPEG Standard,
libjpeg-turbo, 2015), and files of a million tiny chunks; scans and reads are therefore counted.
"""

import io

from PIL import Image, UnidentifiedImageError

from deployment.runtime.images import pixels_of
from deployment.serve.refusals import Refusal

FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP")
BEGINNINGS = (b"\xff\xd8\xff", b"\x89PNG", b"RIFF", b"GIF8", b"BM")
MAX_SCANS = 64  # encoders write about ten
MAX_READS = 50_000


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
        with Image.open(_CountedReads(data), formats=FORMATS) as opened:
            _require_size(opened.width, opened.height, max_pixels)
            return pixels_of(opened)
    except Refusal:
        raise
    except UnidentifiedImageError as error:
        if data.startswith(BEGINNINGS):
            raise Refusal(422, "damaged", "is truncated or damaged: send the whole file") from error
        raise Refusal(415, "type", "is no JPEG, PNG, WebP, GIF or BMP: convert it") from error
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
