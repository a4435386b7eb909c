"""The page in a real browser: it lays out, every figure has a size, and nothing is wider than the window."""

import json
import re
import shutil
import subprocess
from html import unescape
from pathlib import Path
from typing import Any

import pytest

from reports import write_report
from reports.label_graph.page import write_label_graph_report
from reports.study import render_study
from search_spaces import Space, macro_space, micro_space
from tests.reports.label_graph.test_page import run as write_run
from tests.reports.search_folder import write_search
from tests.reports.test_study import make_record

BROWSER = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
QUIET = ["--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"]
QUIET += ["--disable-component-update", "--disable-sync", "--no-sandbox"]
# A frame of the wanted width: a headless window has a least width of its own.
MEASURE = """<!DOCTYPE html><meta charset="utf-8"><iframe id="f" width="{width}" height="3000" srcdoc="{page}"></iframe>
<pre id="measured"></pre><script>addEventListener("load", () => {{
const page = document.getElementById("f").contentDocument, size = one => one.getBoundingClientRect();
document.getElementById("measured").textContent = JSON.stringify({{
figures: [...page.querySelectorAll("figure svg.figure")].map(one => [size(one).width, size(one).height]),
words: [...page.querySelectorAll("svg.figure")].map(svg => [...svg.querySelectorAll("text")].filter(one =>
size(one).left < size(svg).left - 2 || size(one).right > size(svg).right + 2).map(one => one.textContent)),
width: page.documentElement.scrollWidth, ground: getComputedStyle(page.body).backgroundColor}});
}});</script>"""

pytestmark = pytest.mark.skipif(BROWSER is None, reason="needs a browser: apt-get install chromium (Debian package)")


MICRO = micro_space(5, cells=2)


@pytest.mark.parametrize(
    ("space", "width", "dark", "figures"),
    [
        (macro_space(4), 1200, False, 19),
        (macro_space(4), 400, True, 19),
        (MICRO, 1200, True, 21),
        (MICRO, 400, False, 21),
    ],
)
def test_page_lays_out(tmp_path: Path, space: Space, width: int, dark: bool, figures: int) -> None:
    page = write_report(write_search(tmp_path / "search", space=space)).read_text(encoding="utf-8")
    check(laid_out(page, tmp_path, width, dark), width, dark, figures)


@pytest.mark.parametrize(("width", "dark"), [(1200, False), (400, True)])
def test_label_graph_page_lays_out(tmp_path: Path, width: int, dark: bool) -> None:
    page = write_label_graph_report(write_run(tmp_path / "run")).read_text(encoding="utf-8")
    check(laid_out(page, tmp_path, width, dark), width, dark, 3)


@pytest.mark.parametrize(("width", "dark"), [(1200, False), (400, True)])
def test_study_page_lays_out(tmp_path: Path, width: int, dark: bool) -> None:
    check(laid_out(render_study(make_record()), tmp_path, width, dark), width, dark, 5)


def laid_out(page: str, tmp_path: Path, width: int, dark: bool) -> dict[str, Any]:
    """What the browser measures of a page in a frame of this width."""
    frame = tmp_path / "frame.html"
    quoted = page.replace("&", "&amp;").replace('"', "&quot;")
    frame.write_text(MEASURE.format(width=width, page=quoted), encoding="utf-8")
    assert BROWSER is not None
    command = [BROWSER, "--headless", *QUIET, f"--user-data-dir={tmp_path / 'profile'}", "--dump-dom"]
    command += [f"--blink-settings=preferredColorScheme={0 if dark else 1}", "--window-size=1300,900", frame.as_uri()]
    dumped = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True).stdout
    found = re.search(r'<pre id="measured">(\{.*?\})</pre>', dumped)
    assert found is not None
    measured: dict[str, Any] = json.loads(unescape(found[1]))
    return measured


def check(measured: dict[str, Any], width: int, dark: bool, figures: int) -> None:
    """All figures are there, legible, whole, and nothing is wider than the frame."""
    assert len(measured["figures"]) == figures
    assert all(w > 250 and h > 80 for w, h in measured["figures"])
    assert measured["words"] == [[]] * figures  # no label leaves its drawing
    assert measured["width"] <= width
    assert measured["ground"] == ("rgb(14, 19, 25)" if dark else "rgb(244, 246, 248)")
