"""The labelling page in Chromium: 200 answers by keyboard, undo, reload, kill and reopen, two windows, odd names."""

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from graftnet.data.labelling.server import listen
from tests.graftnet.data.labelling.made import HOSTILE, labelling, paint, pool_of
from tests.reports.browser import MISSING, PROGRAM, Browser

pytestmark = pytest.mark.skipif(PROGRAM is None, reason=MISSING)
HOUSE = Path(__file__).parents[4]
PICTURES = 260
# Else the server may be gone before a picture is asked for, and the next test hears of it.
LOADED = "[...document.querySelectorAll('.card img')].every((img) => img.complete && img.naturalWidth)"


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    chromium = Browser(tmp_path_factory.mktemp("profile"))
    yield chromium
    chromium.close()


@contextmanager
def served(folder: Path) -> Iterator[str]:
    """The page of a folder's labelling, in a thread of this process: its address."""
    ready = listen(labelling(folder, pool_of(sorted((folder / "pool").iterdir())), page=24), "token-of-the-test")
    thread = threading.Thread(target=ready.run)
    thread.start()
    try:
        yield ready.url
    finally:
        ready.server.should_exit = True
        thread.join()


@contextmanager
def served_elsewhere(folder: Path) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """The page of a folder's labelling in a process of its own, which can be killed: the process and the address."""
    command = [sys.executable, "-m", "tests.graftnet.data.labelling.made", str(folder)]
    path = os.pathsep.join([str(HOUSE), os.environ.get("PYTHONPATH", "")])
    environment = {**os.environ, "PYTHONPATH": path}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=folder, env=environment) as process:
        assert process.stdout is not None
        try:
            yield process, process.stdout.readline().strip()
        finally:
            process.kill()


def until(browser: Browser, condition: str) -> None:
    """Wait until an expression of the page is true."""
    last = time.monotonic() + 60
    while not browser.run(f"Boolean({condition})"):
        assert time.monotonic() < last, (condition, browser.run("document.body.innerText"))
        time.sleep(0.02)


def answered(folder: Path) -> int:
    """Answers that count, by the file."""
    kinds = [json.loads(line)["kind"] for line in (folder / "data" / "bright.answers.jsonl").read_text().splitlines()]
    return kinds.count("answer") - kinds.count("undo")


def answer(browser: Browser, count: int) -> None:
    """Give answers by keyboard, each as soon as the page takes one: every third is yes, every tenth unsure."""
    for number in range(count):
        until(browser, "!busy && pictures.length && !pictures[current].answered")
        browser.press("u" if number % 10 == 9 else "y" if number % 3 == 0 else "n")
    until(browser, "waiting === 0")


def test_two_hundred_answers_by_keyboard_through_kill_reload_and_a_second_window(
    browser: Browser, tmp_path: Path
) -> None:
    paint(tmp_path / "pool", PICTURES, hostile=True)
    with served_elsewhere(tmp_path) as (process, address):
        browser.open(address)
        until(browser, "pictures.length")
        answer(browser, 100)
        assert answered(tmp_path) == 100
        for _ in range(3):
            browser.press("z")
        until(browser, "waiting === 0 && !pictures[current].answered")
        assert answered(tmp_path) == 97

        browser.open(address)
        until(browser, "pictures.length")
        again = browser.run("pictures.map((picture) => picture.id)")
        answer(browser, 3)
        first = browser.new_window()
        browser.open(address)
        until(browser, "pictures.length")
        assert not set(browser.run("pictures.map((picture) => picture.id)")) & set(again)
        answer(browser, 20)
        asked, problems = browser.asked, browser.problems
        browser.window = first
        answer(browser, 30)
        assert answered(tmp_path) == 150
        assert browser.problems == problems == []
        assert all(request.startswith(address) for request in [*asked, *browser.asked])
        assert len(browser.asked) > 40

        until(browser, LOADED)
        process.kill()
        process.wait()
        browser.press("y")
        until(browser, "document.getElementById('status').textContent.startsWith('The labelling has ended')")
        assert not browser.run("pictures[current].answered")
    with served(tmp_path) as address:
        browser.open(address)
        until(browser, "pictures.length")
        answer(browser, 50)
        until(browser, LOADED)
    assert answered(tmp_path) == 200
    assert browser.problems == []
    rows = (tmp_path / "data" / "bright.csv").read_text().count("/pool/")
    said = [json.loads(line) for line in (tmp_path / "data" / "bright.answers.jsonl").read_text().splitlines()]
    unsure = sum(line["kind"] == "answer" and line["value"] is None for line in said)
    assert 200 - unsure <= rows < 200


@pytest.mark.parametrize(("width", "dark"), [(400, False), (1200, True)])
def test_it_fits_is_used_by_click_and_a_hostile_name_does_nothing(
    browser: Browser, tmp_path: Path, width: int, dark: bool
) -> None:
    paint(tmp_path / "pool", 40, hostile=True)
    with served(tmp_path) as address:
        browser.open(address, width=width, dark=dark)
        until(browser, "pictures.length")
        names = browser.run("[...document.querySelectorAll('.name')].map((each) => each.textContent)")
        assert browser.run("document.documentElement.scrollWidth") <= width
        # The others, without waiting for each answer: what counts here is what comes next.
        browser.run("Promise.all(pictures.map((picture) => post('answer', { picture: picture.id, value: 'no' })))")
        browser.run("page(false)")
        names += browser.run("[...document.querySelectorAll('.name')].map((each) => each.textContent)")
        assert browser.run("document.documentElement.scrollWidth") <= width
        assert set(HOSTILE) <= set(names)
        assert browser.run("document.querySelectorAll('img').length === pictures.length + 1 && !document.scripts[1]")
        until(browser, LOADED)
        assert browser.run("document.title") == "bright: label pictures"
        widths = browser.run("[...document.querySelectorAll('.card img')].map((image) => image.clientWidth)")
        assert min(widths) >= 150

        before = answered(tmp_path)
        browser.run("document.querySelector('.card.now .values button:nth-child(2)').click()")
        until(browser, "waiting === 0 && document.querySelectorAll('[aria-pressed=true]').length === 1")
        assert answered(tmp_path) == before + 1
        browser.press("f")
        until(browser, "document.getElementById('full').open && document.getElementById('large').naturalWidth")
        browser.press("n")
        until(browser, "waiting === 0")
        assert browser.run("document.getElementById('full').open")
        browser.press("Escape")
        until(browser, "!document.getElementById('full').open")
        assert answered(tmp_path) == before + 2
        assert browser.problems == []
        assert all(request.startswith(address) for request in browser.asked)
