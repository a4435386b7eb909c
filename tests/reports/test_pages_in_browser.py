"""Every kind of page in a real browser: quiet, by itself, legible, narrow, on paper, and used by keyboard.

Contrast and sizes are computed from what the browser computed: Web Content Accessibility Guidelines 2.2, success
criteria 1.4.3 (contrast 4.5:1, of large letters 3:1), 1.4.10 (no sideways scrolling) and 2.5.8 (targets of 24 pixels).
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from reports import write_comparison, write_fleet_report, write_report
from reports.label_graph.page import write_label_graph_report
from tests.reports.browser import MISSING, PROGRAM, Browser
from tests.reports.fleet_folder import write_fleet
from tests.reports.label_graph.test_page import run

pytestmark = pytest.mark.skipif(PROGRAM is None, reason=MISSING)
KINDS = ("attribute", "fleet", "compare", "label graph")


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    one = Browser(tmp_path_factory.mktemp("profile"))
    yield one
    one.close()


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A page of each kind."""
    runs = tmp_path_factory.mktemp("pages") / "runs"
    record = write_fleet(runs, names=("bald", "backpack", "courier", "with a very long name indeed", "youth"))
    first, second = runs / "searches" / "bald" / "id0", runs / "searches" / "backpack" / "id1"
    return {
        "attribute": write_report(first),
        "fleet": write_fleet_report(record),
        "compare": write_comparison(first, second, runs / "reports" / "compare.html"),
        "label graph": write_label_graph_report(run(runs / "label_graph" / "ab12")),
    }


# Every element with words of its own: its words, colour, the grounds beneath it, size and weight. In an SVG the
# colour is its fill, and the ground that of the page around the drawing.
WORDS = """(() => {
const found = [], walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
for (let node = walker.nextNode(); node; node = walker.nextNode()) {
  const one = node.parentElement, box = one.getBoundingClientRect(), style = getComputedStyle(one);
  if (!node.data.trim() || !box.width || style.visibility === "hidden" || one.closest("script, style, .skip")) continue;
  const grounds = [], drawing = one.closest("svg");
  for (let up = drawing || one; up; up = up.parentElement) grounds.push(getComputedStyle(up).backgroundColor);
  found.push([node.data.trim().slice(0, 40), drawing ? style.fill : style.color, grounds,
    parseFloat(style.fontSize), parseInt(style.fontWeight), drawing ? 1 : parseFloat(style.opacity)]);
}
return found;
})()"""
LAYOUT = """(() => {
const size = one => one.getBoundingClientRect();
const shown = one => size(one).width > 0 && getComputedStyle(one).visibility !== "hidden";
return {
  width: document.documentElement.scrollWidth,
  figures: [...document.querySelectorAll("svg.figure")].map(one => [size(one).width, size(one).height]),
  targets: [...document.querySelectorAll("a, button, input, summary")]
    .filter(one => shown(one) && !one.matches(".skip"))
    .map(one => [one.textContent.trim() || one.id, size(one).width, size(one).height]),
  nameless: [...document.querySelectorAll("a, button, input, svg.figure, [role=region]")]
    .filter(one => !one.textContent.trim() && !one.ariaLabel && !one.labels?.length)
    .filter(one => !one.hasAttribute("aria-labelledby")).length,
  wide: [...document.querySelectorAll("body *")].filter(one => size(one).right > innerWidth + 1 && shown(one))
    .map(one => `${one.localName} ${one.className} ${one.id} ${one.textContent.trim().slice(0, 20)}`).slice(0, 5),
  hidden: [...document.querySelectorAll("nav, .skip, #tools")].filter(one => !shown(one)).map(one => one.localName),
};
})()"""


def channels(colour: str) -> list[float]:
    """ "rgba(1, 2, 3, 0.5)" -> [1, 2, 3, 0.5]."""
    numbers = [float(part) for part in colour[colour.index("(") + 1 : -1].replace("/", ",").split(",")]
    return [*numbers, 1.0][:4]


def over(colour: str, ground: list[float]) -> list[float]:
    """What is seen of a colour over a ground."""
    red, green, blue, alpha = channels(colour)
    return [alpha * a + (1 - alpha) * b for a, b in zip((red, green, blue), ground, strict=True)]


def luminance(colour: list[float]) -> float:
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in (part / 255 for part in colour)]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(words: list[Any]) -> float:
    """The contrast ratio of what WORDS found."""
    _, colour, grounds, _, _, opacity = words
    seen = [255.0, 255.0, 255.0]
    for ground in reversed(grounds):
        seen = over(ground, seen)
    front = [opacity * a + (1 - opacity) * b for a, b in zip(over(colour, seen), seen, strict=True)]
    lighter, darker = sorted((luminance(front), luminance(seen)), reverse=True)
    return (lighter + 0.05) / (darker + 0.05)


def test_contrast_is_that_of_the_guidelines() -> None:
    ground = ["rgb(255, 255, 255)"]
    assert contrast(["", "rgb(0, 0, 0)", ground, 16, 400, 1]) == pytest.approx(21)
    assert contrast(["", "rgb(118, 118, 118)", ground, 16, 400, 1]) == pytest.approx(4.54, abs=0.01)
    assert contrast(["", "rgba(0, 0, 0, 0.5)", ground, 16, 400, 1]) == pytest.approx(
        contrast(["", "rgb(0, 0, 0)", ground, 16, 400, 0.5])
    )


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("kind", KINDS)
def test_a_page_is_quiet_fetches_nothing_and_is_legible(
    browser: Browser, pages: dict[str, Path], kind: str, dark: bool
) -> None:
    browser.open(pages[kind], dark=dark)
    browser.run("document.querySelectorAll('details').forEach(one => one.open = true)")
    words, layout = browser.run(WORDS), browser.run(LAYOUT)
    assert browser.problems == []
    assert [one for one in browser.asked if not one.startswith("data:image/")] == [pages[kind].as_uri()]
    assert len(words) > 100
    faint = [
        (one[0], round(contrast(one), 2))
        for one in words
        if contrast(one) < (3 if one[3] >= 24 or (one[3] >= 18.66 and one[4] >= 700) else 4.5)
    ]
    assert faint == []
    assert len(layout["figures"]) >= 2
    assert all(width > 200 and height > 60 for width, height in layout["figures"])
    assert layout["nameless"] == 0
    assert layout["width"] <= 1200


@pytest.mark.parametrize("kind", KINDS)
def test_a_page_fits_a_telephone_and_a_finger(browser: Browser, pages: dict[str, Path], kind: str) -> None:
    browser.open(pages[kind], width=400)
    layout = browser.run(LAYOUT)
    assert layout["width"] <= 400
    assert all(200 < width <= 400 and height > 60 for width, height in layout["figures"])
    small = [one for one in layout["targets"] if one[1] < 24 or one[2] < 24]
    assert small == []
    assert layout["targets"]


@pytest.mark.parametrize("kind", KINDS)
def test_a_page_prints(browser: Browser, pages: dict[str, Path], kind: str) -> None:
    browser.open(pages[kind], width=718, media="print", dark=True)  # A4 less margins, at 96 pixels to the inch
    layout, words = browser.run(LAYOUT), browser.run(WORDS)
    assert (layout["width"] <= 718, layout["wide"]) == (True, [])
    assert "nav" in layout["hidden"]
    assert ("div" in layout["hidden"]) == (kind == "fleet")
    assert all(width > 150 and height > 40 for width, height in layout["figures"])
    assert all(contrast(one) >= 3 for one in words)  # dark letters on paper, whatever the screen prefers
    printed = browser.pdf()
    assert printed.startswith(b"%PDF-")
    assert printed.count(b"/Type /Page\n") + printed.count(b"/Type /Page ") >= 2


def column(browser: Browser, number: int) -> list[str]:
    found: list[str] = browser.run(
        f"[...table.tBodies[0].rows].map(row => row.cells[{number}].innerText.split('\\n')[0])"
    )
    return found


def test_the_fleet_sorts_by_keyboard_and_says_so(browser: Browser, pages: dict[str, Path]) -> None:
    browser.open(pages["fleet"])
    names = column(browser, 0)
    assert names == ["bald", "backpack", "courier", "with a very long name indeed", "youth"]
    browser.run("heads[0].querySelector('button').focus()")
    browser.press("Enter")
    assert column(browser, 0) == ["backpack", "bald", "courier", "with a very long name indeed", "youth"]
    browser.press("Tab")
    assert browser.run("document.activeElement.textContent") == "test score"
    browser.press("Enter")
    scores = column(browser, 1)
    assert scores == [*sorted(scores[:-1], key=float), "–"]  # what was not measured comes last
    assert browser.run("heads.map(head => head.getAttribute('aria-sort'))").count("ascending") == 1
    browser.press("Enter")
    assert browser.run("heads[1].getAttribute('aria-sort')") == "descending"
    assert column(browser, 1) == [*sorted(scores[:-1], key=float, reverse=True), "–"]
    browser.run("heads[3].querySelector('button').click()")
    sizes = [int(cell.replace(",", "")) for cell in column(browser, 3)[:-1]]
    assert sizes == sorted(sizes)
    assert browser.problems == []


def test_the_fleet_is_searched_and_counts_what_it_found(browser: Browser, pages: dict[str, Path]) -> None:
    browser.open(pages["fleet"])
    found = "[...table.tBodies[0].rows].filter(row => !row.hidden && row.getBoundingClientRect().height).length"
    assert browser.run("document.getElementById('found').getAttribute('role')") == "status"
    for asked, rows in (("", 5), ("ba", 2), ("STALE epochs", 1), ("long name", 1), ("nothing like it", 0)):
        browser.run("wanted.focus(); wanted.select()")
        browser.call("Input.insertText", text=asked) if asked else browser.run("wanted.value = ''; search()")
        assert browser.run(found) == rows
        assert browser.run("document.getElementById('found').textContent") == f"{rows} of 5 attributes"


def test_the_policy_stops_what_is_not_the_pages_own(browser: Browser, pages: dict[str, Path], tmp_path: Path) -> None:
    page = pages["fleet"].read_text(encoding="utf-8")
    bad = '<img src="http://localhost:1/x.png"><script>document.title = "taken over"</script></body>'
    (tmp_path / "page.html").write_text(page.replace("</body>", bad), encoding="utf-8")
    browser.open(tmp_path / "page.html")
    assert browser.run("document.title") == "people: all attributes"
    assert len([one for one in browser.problems if "Content Security Policy" in one]) >= 2
    assert browser.asked == [(tmp_path / "page.html").as_uri()]


def test_without_script_the_fleet_is_whole_and_offers_nothing_that_does_not_work(
    browser: Browser, pages: dict[str, Path]
) -> None:
    browser.call("Emulation.setScriptExecutionDisabled", value=True)
    try:
        browser.open(pages["fleet"])
        assert browser.run("document.querySelectorAll('#fleet tbody tr').length") == 5
        assert browser.run("document.querySelectorAll('#fleet button').length") == 0
        assert browser.run("document.getElementById('tools').getBoundingClientRect().height") == 0
    finally:
        browser.call("Emulation.setScriptExecutionDisabled", value=False)
