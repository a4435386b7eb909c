"""What the server takes under the worst requests that it accepts, as docs/serving.md states it."""

import concurrent.futures
import http.client
import io
import json
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from deployment.errors import BundleError
from deployment.runtime.images import STRIP, pixels_of
from deployment.serve.decoding import BYTES_PER_PIXEL, MAX_RUN_LENGTH, Room, decode
from deployment.serve.requests import Refusal
from deployment.serve.settings import MIB, ServeSettings
from tests.deployment.serve.conftest import Serving
from tests.deployment.serve.test_hostile_images import TINY, WORDS, chunk, png, run_length_bmp

ROOT = Path(__file__).parents[3]
SIDE = 5_000
MOST_PIXELS = ServeSettings().max_pixels
pytestmark = pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="peaks are read from Linux's /proc")


def saved(image: Image.Image, kind: str, **options: object) -> bytes:
    written = io.BytesIO()
    image.save(written, kind, **options)
    return written.getvalue()


def turned() -> Image.Exif:
    exif = Image.Exif()
    exif[0x0112] = 6
    return exif


def blank(mode: str, side: int) -> Image.Image:
    return Image.new(mode, (side, side))


def grey(side: int) -> bytes:
    """A 16-bit PNG of few bytes."""
    return saved(Image.fromarray(np.zeros((side, side), np.uint16)), "PNG", exif=turned())


def moving(side: int) -> bytes:
    """An animated WebP."""
    frames = [Image.new("RGBA", (side, side), (level, 2, 3, 4)) for level in (1, 2)]
    return saved(frames[0], "WEBP", save_all=True, append_images=frames[1:], method=0, lossless=True, exif=turned())


WORST: dict[str, Callable[[int], bytes]] = {
    "grey-16": grey,
    "animated-webp": moving,
    "animated-gif": lambda side: saved(
        blank("P", side), "GIF", save_all=True, append_images=[Image.new("P", (side, side), 4)], transparency=3
    ),
    "progressive-jpeg": lambda side: saved(
        blank("RGB", side), "JPEG", progressive=True, subsampling=0, exif=turned(), icc_profile=bytes(10**6)
    ),
    "cmyk": lambda side: saved(blank("CMYK", side), "JPEG", progressive=True, subsampling=0, exif=turned()),
    "alpha": lambda side: saved(blank("RGBA", side), "PNG", exif=turned()),
    "grey-alpha": lambda side: saved(blank("LA", side), "PNG", exif=turned()),
    "palette": lambda side: saved(blank("P", side), "PNG", transparency=3, exif=turned()),
    "one-bit": lambda side: saved(blank("1", side), "PNG"),
}


def peak() -> int:
    """The most bytes that this process has held since `forget`."""
    text = Path("/proc/self/status").read_text()
    return 1024 * int(re.findall(r"VmHWM:\s+(\d+) kB", text)[0])


def forget() -> None:
    Path("/proc/self/clear_refs").write_text("5")


@pytest.mark.parametrize("make", WORST.values(), ids=WORST)
def test_a_picture_takes_so_many_bytes_per_pixel(make: Callable[[int], bytes]) -> None:
    data, pixels = make(2_000), 2_000**2
    decode(make(10), max_pixels=pixels)  # what the first of a kind loads stays
    forget()
    before = peak()
    decode(data, max_pixels=pixels)
    assert peak() - before < BYTES_PER_PIXEL * pixels


def test_sixteen_bits_take_no_more_than_eight_and_a_strip() -> None:
    image = Image.fromarray(np.full((2_000, 2_000), 999, np.uint16))
    forget()
    before = peak()
    assert pixels_of(image).getpixel((1_999, 1_999)) == (3, 3, 3)
    assert peak() - before < 4 * 2_000**2 + 40 * STRIP  # the result, which Pillow keeps as four bytes per pixel


def test_texts_that_unfold_take_no_more_than_a_picture() -> None:
    data = png(1, 1, *[chunk(b"iTXt", b"t\0\1\0\0\0" + WORDS)] * 16, TINY)
    forget()
    before = peak()
    assert decode(data, max_pixels=1).size == (1, 1)
    assert peak() - before < BYTES_PER_PIXEL * MOST_PIXELS / 4


def test_a_small_run_length_picture_is_read() -> None:
    assert decode(run_length_bmp(100, 10), max_pixels=MAX_RUN_LENGTH).size == (100, 10)
    with pytest.raises(Refusal, match="run-length"):
        decode(run_length_bmp(2_000, 1_000), max_pixels=MOST_PIXELS)


def test_who_finds_no_room_waits() -> None:
    room, order = Room(10), []
    with room.lent() as take:
        take(7)

        def other() -> None:
            with room.lent() as also:
                also(4)
                order.append("other")

        thread = threading.Thread(target=other)
        thread.start()
        time.sleep(0.1)
        order.append("first")
    thread.join(20)
    assert order == ["first", "other"]


def test_pixels_of_a_request_are_bounded_together(bundle: Path, serving: Serving) -> None:
    with serving(bundle, max_pixels=10_000, max_request_pixels=25_000, max_decoding=10_000) as client:
        form = [("images", (f"{number}.png", grey(100))) for number in range(2)]
        assert client.post("/predict", files=form).status_code == 200
        answer = client.post("/predict", files=[*form, ("images", ("c.png", grey(100)))])
        assert answer.status_code == 413
        said = "The images have 30,000 pixels together; 25,000 are allowed: send several requests."
        assert answer.json() == {"error": said}
        answer = client.post("/predict", files=[*form, ("images", ("c.png", b"no image"))])
        assert (answer.status_code, answer.json()["error"][:8]) == (415, "Image 3 ")
        assert client.get("/readyz").json()["ready"]


def test_limits_that_would_let_no_picture_through_are_refused() -> None:
    for name in ("max_request_pixels", "max_decoding"):
        with pytest.raises(BundleError, match=f"more than {name}"):
            ServeSettings(**{name: MOST_PIXELS - 1})  # type: ignore[arg-type]


@contextmanager
def server(bundle: Path) -> Iterator[tuple[subprocess.Popen[str], int]]:
    """`graftnet serve` at its defaults, and its port."""
    command = [sys.executable, "-m", "graftnet", "serve", str(bundle), "--port", "0", "--json", "--threads", "1"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT) as process:
        assert process.stdout is not None
        port = int(json.loads(process.stdout.readline())["url"].rpartition(":")[2])
        try:
            yield process, port
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(60)


def ask(port: int, *images: bytes) -> tuple[int, bytes]:
    parts = [b'--xx\r\nContent-Disposition: form-data; name="images"\r\n\r\n' + data + b"\r\n" for data in images]
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
    headers = {"content-type": "multipart/form-data; boundary=xx"}
    connection.request("POST", "/predict", b"".join(parts) + b"--xx--\r\n", headers)
    answer = connection.getresponse()
    return answer.status, answer.read()


LEFT = """
import re, sys, threading
from pathlib import Path
from deployment.serve.decoding import decode, give_back_memory

def held():
    return 1024 * int(re.findall(r"VmRSS:\\s+(\\d+)", Path("/proc/self/status").read_text())[0])

data, left = Path(sys.argv[1]).read_bytes(), []
give_back_memory()
decode(data, max_pixels=25_000_000)
before = held()

def work():
    decode(data, max_pixels=25_000_000)
    left.append(held() - before)

for _ in range(2):
    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
print(max(left))
"""


def test_a_thread_keeps_nothing_of_a_picture(tmp_path: Path) -> None:
    (tmp_path / "animated").write_bytes(moving(SIDE))
    call = [sys.executable, "-c", LEFT, str(tmp_path / "animated")]
    left = int(subprocess.run(call, cwd=ROOT, capture_output=True, text=True, check=True).stdout)
    assert left < 20 * MIB


def test_the_server_stays_below_what_the_guide_states(bundle: Path) -> None:
    stated = re.search(r"at most (\d+) MB above", (ROOT / "docs" / "serving.md").read_text())
    assert stated is not None
    limit = int(stated[1]) * 10**6
    assert limit == BYTES_PER_PIXEL * MOST_PIXELS
    wide, animated = grey(SIDE), moving(SIDE)
    with server(bundle) as (process, port):
        status = Path(f"/proc/{process.pid}/status")

        def held(what: str) -> int:
            return 1024 * int(re.findall(rf"{what}:\s+(\d+) kB", status.read_text())[0])

        assert ask(port, grey(10), grey(10))[0] == 200
        idle = held("VmRSS")
        # A form of 47 KiB, which took 1.5 GiB.
        refused, said = ask(port, *[wide] * 8)
        assert (refused, "200,000,000 pixels together" in said.decode()) == (413, True)
        assert held("VmHWM") - idle < 20 * MIB
        # The worst that is accepted, from several at once.
        with concurrent.futures.ThreadPoolExecutor(3) as pool:
            answers = list(pool.map(lambda images: ask(port, *images)[0], [[animated, wide], [animated], [wide]]))
        assert set(answers) <= {200, 503}
        assert 200 in answers
        assert held("VmHWM") - idle < limit
