"""Images that are broken, strange or made to hurt: a refusal in a sentence, or the pixels that training sees."""

import io
import resource
import struct
import zlib
from collections.abc import Callable

import numpy as np
import PIL
import pytest
from PIL import Image

from deployment.runtime.images import normalised
from deployment.serve.decoding import MAX_SCANS, decode
from deployment.serve.requests import Refusal
from subdatasets.image_files import decode_image
from tests.deployment.serve.conftest import Client
from trunk.preprocessing import Preprocessing

Picture = Callable[..., bytes]
PREPROCESSING = Preprocessing(16)
LIMIT = 1_000_000


def chunk(kind: bytes, data: bytes) -> bytes:
    """A chunk of a PNG."""
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(width: int, height: int, *chunks: bytes, depth: int = 8, colour: int = 0) -> bytes:
    """A PNG of these chunks; without any it holds too little data for its size."""
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + b"".join(chunks or [chunk(b"IDAT", zlib.compress(b"\0" * 100))]) + END


def run_length_bmp(width: int, height: int) -> bytes:
    """A BMP whose run-length data jump: Pillow reads them in Python, pixel by pixel where a line ends early."""
    header = struct.pack("<IHHIIiiHHIIiiII", 154, 0, 0, 1078, 40, width, height, 1, 8, 1, 0, 0, 0, 256, 0)
    return b"BM" + header + bytes(1024) + b"\0\2\0\xff" + bytes(8)


def exif_bomb(entries: int) -> bytes:
    """A TIFF directory whose every entry holds most of the block: entries x 60,000 bytes for who copies them."""
    listed = b"".join(struct.pack("<HHLL", tag, 7, 12 * entries, 8) for tag in range(1, entries + 1))
    return b"II*\0" + struct.pack("<LH", 8, entries) + listed


def with_segment(marker: int, data: bytes) -> bytes:
    """A JPEG with one segment more."""
    jpeg = saved(Image.fromarray(noise(16, 16, 3)), "JPEG")
    return jpeg[:2] + struct.pack(">BBH", 0xFF, marker, len(data) + 2) + data + jpeg[2:]


END = chunk(b"IEND", b"")
TINY = chunk(b"IDAT", zlib.compress(b"\0\7"))
WORDS = zlib.compress(b"a" * 999_000 + "\U0001f600".encode() * 200, 9)  # one million characters, of four bytes each
BOMB = zlib.compress(b"\0" * 50_000_000, 9)


def saved(image: Image.Image, kind: str, **options: object) -> bytes:
    written = io.BytesIO()
    image.save(written, kind, **options)
    return written.getvalue()


def noise(*shape: int, dtype: type = np.uint8) -> np.ndarray:
    return np.random.default_rng(0).integers(np.iinfo(dtype).max, size=shape, dtype=dtype)


def frames(kind: str) -> bytes:
    """An animation whose second frame is another picture."""
    first, second = Image.fromarray(noise(20, 31, 3)), Image.new("RGB", (31, 20), (200, 10, 10))
    return saved(first, kind, save_all=True, append_images=[second, first], duration=50)


def turned() -> bytes:
    exif = Image.Exif()
    exif[0x0112] = 6
    return saved(Image.fromarray(noise(20, 31, 3)), "JPEG", exif=exif)


def many_scans() -> bytes:
    """A progressive JPEG whose last scan is repeated until decoding it would take long."""
    data = saved(Image.fromarray(noise(16, 16, 3)), "JPEG", progressive=True)
    last = data.rindex(b"\xff\xda")
    return data[:last] + data[last:-2] * (MAX_SCANS + 1) + data[-2:]


STRANGE = {
    "gif": lambda: frames("GIF"),
    "animated-webp": lambda: frames("WEBP"),
    "apng": lambda: frames("PNG"),
    "cmyk": lambda: saved(Image.fromarray(noise(20, 31, 4), "CMYK"), "JPEG"),
    "16-bit-grey": lambda: saved(Image.fromarray(noise(20, 31, dtype=np.uint16)), "PNG"),
    "16-bit-rgb": lambda: png(5, 4, chunk(b"IDAT", zlib.compress((b"\0" + bytes(range(30))) * 4)), depth=16, colour=2),
    "exif-rotated": turned,
    "transparent": lambda: saved(Image.fromarray(noise(20, 31, 4), "RGBA"), "PNG"),
    "palette": lambda: saved(Image.fromarray(noise(20, 31, 3)).quantize(8), "PNG", transparency=3),
    "one-pixel": lambda: saved(Image.new("1", (1, 1), 1), "PNG"),
    "progressive": lambda: saved(Image.fromarray(noise(20, 31, 3)), "JPEG", progressive=True),
}


@pytest.mark.parametrize("make", STRANGE.values(), ids=STRANGE)
def test_strange_images_are_read_as_training_reads_them(make: Callable[[], bytes]) -> None:
    data = make()
    expected = PREPROCESSING.apply(decode_image(data)).numpy()
    found = normalised(decode(data, max_pixels=LIMIT), PREPROCESSING.to_json())
    np.testing.assert_allclose(found, expected, atol=1e-5)


# Pillow warns of what it passes over; the server does not repeat it.
pytestmark = pytest.mark.filterwarnings("ignore::UserWarning:PIL")
HOSTILE = {
    "zero-byte": (lambda: b"", 422, "is empty"),
    "text": (lambda: b"hello, I am an image", 415, "is no JPEG"),
    "zip": (lambda: b"PK\x03\x04" + b"\0" * 100, 415, "is no JPEG"),
    "pickle": (lambda: b"cos\nsystem\n(S'true'\ntR.", 415, "is no JPEG"),
    "svg": (
        lambda: b"<svg xmlns='http://www.w3.org/2000/svg'><image href='file:///etc/passwd'/></svg>",
        415,
        "no JPEG",
    ),
    "postscript": (
        lambda: b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n(/etc/passwd) (r) file\n",
        415,
        "no JPEG",
    ),
    "tiff": (lambda: saved(Image.new("RGB", (4, 4)), "TIFF"), 415, "is no JPEG"),
    "20000x20000": (lambda: png(20_000, 20_000), 413, "too many pixels"),
    "5000x5000": (lambda: png(5_000, 5_000), 413, "5,000 x 5,000 pixels"),
    "2^31-wide": (lambda: png(2**31 - 1, 2**31 - 1), 413, "pixels"),
    "huge-gif": (lambda: b"GIF89a" + struct.pack("<HH", 65535, 65535) + b"\0\0\0", 422, "damaged"),
    "huge-webp": (
        lambda: b"RIFF\x1e\0\0\0WEBPVP8X\x0a\0\0\0\0\0\0\0" + b"\xff\xff\xff" * 2 + b"\0" * 4,
        # Pillow 12 makes libwebp's decoder first, which refuses a file that holds no picture.
        *((413, "too many pixels") if int(PIL.__version__.split(".")[0]) >= 13 else (422, "damaged")),
    ),
    "huge-bmp": (
        lambda: b"BM" + struct.pack("<IHHIIiiHHIIiiII", 154, 0, 0, 54, 40, 60000, 60000, 1, 24, 0, 0, 0, 0, 0, 0),
        413,
        "too many pixels",
    ),
    "too-little-data": (lambda: png(300, 300), 422, "truncated"),
    "iccp-bomb": (lambda: png(1, 1, chunk(b"iCCP", b"p\0\0" + BOMB), TINY), 422, "too large"),
    "ztxt-bomb": (lambda: png(1, 1, chunk(b"zTXt", b"t\0\0" + BOMB), TINY), 422, "too large"),
    "itxt-bomb": (lambda: png(1, 1, chunk(b"iTXt", b"t\0\1\0\0\0" + BOMB), TINY), 422, "too large"),
    "idat-bomb": (lambda: png(1, 1, chunk(b"IDAT", BOMB)), 200, ""),
    "many-chunks": (lambda: png(1, 1, *[chunk(b"teXt", b"")] * 60_000, TINY), 422, "more pieces"),
    "many-scans": (many_scans, 422, "scans"),
    "many-texts": (lambda: png(1, 1, *[chunk(b"iTXt", b"t\0\1\0\0\0" + WORDS)] * 17, TINY), 422, "texts"),
    "run-length-bmp": (lambda: run_length_bmp(50_000, 1_000), 413, "50,000 x 1,000 pixels"),
    "exif-bomb-png": (lambda: png(1, 1, chunk(b"eXIf", exif_bomb(9_000)), TINY), 200, ""),
    "exif-bomb-jpeg": (lambda: with_segment(0xE1, b"Exif\0\0" + exif_bomb(5_000)), 200, ""),
    "mpf-bomb-jpeg": (lambda: with_segment(0xE2, b"MPF\0" + exif_bomb(5_000)), 200, ""),
}


@pytest.mark.parametrize(("make", "status", "said"), HOSTILE.values(), ids=HOSTILE)
def test_hostile_images_are_refused_in_a_sentence(
    client: Client, make: Callable[[], bytes], status: int, said: str
) -> None:
    data = make()
    if len(data) > 200_000:  # the limit of the client's bodies, which is tested elsewhere
        with pytest.raises(Refusal, match=said) as caught:
            decode(data, max_pixels=100_000)
        assert caught.value.status == status
        return
    answer = client.post("/predict", content=data, headers={"content-type": "image/png"})
    assert answer.status_code == status, answer.text
    if status != 200:
        assert list(answer.json()) == ["error"]
        assert answer.json()["error"].startswith("The image ")
        assert said in answer.json()["error"]
        assert "0x" not in answer.json()["error"]


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "GIF", "BMP"])
def test_no_beginning_of_an_image_is_answered_with_scores(client: Client, picture: Picture, kind: str) -> None:
    data = picture(kind)
    for length in sorted({1, 2, 3, 5, 9, 14, 20, 40, *range(60, len(data) - 20, len(data) // 12)}):
        answer = client.post("/predict", content=data[:length], headers={"content-type": f"image/{kind.lower()}"})
        assert answer.status_code in (415, 422), length
        assert answer.json()["error"].endswith(".")


def test_no_flipped_byte_breaks_the_server(client: Client, picture: Picture) -> None:
    rng = np.random.default_rng(0)
    for kind in ("PNG", "JPEG", "WEBP", "GIF", "BMP"):
        data = np.frombuffer(picture(kind), dtype=np.uint8)
        for _ in range(25):
            broken = data.copy()
            broken[rng.integers(len(data), size=6)] ^= rng.integers(1, 256, size=6, dtype=np.uint8)
            answer = client.post("/predict", content=broken.tobytes(), headers={"content-type": "image/png"})
            assert answer.status_code in (200, 413, 415, 422), answer.text
    assert client.get("/readyz").json()["ready"]


def test_one_bad_image_among_several_is_named(client: Client, picture: Picture) -> None:
    form = [("images", ("a.png", picture())), ("images", ("b.png", picture()[:300]))]
    answer = client.post("/predict", files=form)
    assert answer.status_code == 422
    assert answer.json()["error"].startswith("Image 2 is truncated or damaged")


def test_refusing_a_bomb_takes_no_memory() -> None:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for name in ("20000x20000", "2^31-wide", "huge-webp", "huge-gif", "huge-bmp"):
        make, status, _ = HOSTILE[name]
        with pytest.raises(Refusal) as caught:
            decode(make(), max_pixels=LIMIT)
        assert caught.value.status == status
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 20_000  # KiB; the pixels are 400 MB and more
