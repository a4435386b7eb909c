"""Inline SVG: same figure, same bytes; ids of its own; colours and type face left to the page."""

import re
import subprocess
import sys

import matplotlib
import pytest
from matplotlib.figure import Figure

from reports.layout.figures import PALETTE, css_variables, inline_svg, light, styled


@styled
def drawn() -> Figure:
    figure = Figure(figsize=(3, 2))
    axes = figure.add_subplot()
    axes.plot([0, 1], [0, 1], "o-", color=light("winner"), label="<&> $5 #0067a9")
    axes.fill_between([0, 1], [0, 1], color=light("tail"), alpha=0.2)
    axes.legend()
    return figure


def test_same_figure_same_bytes() -> None:
    assert inline_svg(drawn(), "a", "words") == inline_svg(drawn(), "a", "words")


def test_ids_of_two_figures_differ_and_references_resolve() -> None:
    first, second = (inline_svg(drawn(), name, "words") for name in ("a", "b"))
    ids = [set(re.findall(r'\bid="([^"]+)"', svg)) for svg in (first, second)]
    assert ids[0]
    assert not ids[0] & ids[1]
    used = set(re.findall(r'href="#([^"]+)"', first)) | set(re.findall(r"url\(#([^)]+)\)", first))
    assert used
    assert used <= ids[0]


def test_every_colour_is_the_pages() -> None:
    svg = inline_svg(drawn(), "a", "words")
    styles = " ".join(re.findall(r'style="([^"]*)"', svg))
    assert not re.search(r"#[0-9a-fA-F]{3}", styles)
    used = set(re.findall(r"var\(--([\w-]+)\)", styles)) - {"face"}
    assert used
    assert used <= {role.replace("_", "-") for role in PALETTE}
    assert "DejaVu" not in svg


def test_text_stays_as_written() -> None:
    assert "&lt;&amp;&gt; $5 #0067a9" in inline_svg(drawn(), "a", "words")


def test_nothing_reaches_out_of_the_drawing() -> None:
    svg = inline_svg(drawn(), "a", 'a "quoted" <name>')
    assert "<style" not in svg
    assert "http" not in svg
    assert 'aria-label="a &quot;quoted&quot; &lt;name&gt;"' in svg


def test_settings_of_matplotlib_are_left_alone() -> None:
    before = dict(matplotlib.rcParams)
    inline_svg(drawn(), "a", "words")
    assert dict(matplotlib.rcParams) == before


def contrast(one: str, other: str) -> float:
    """WCAG 2.1 contrast ratio of two colours."""
    levels = []
    for colour in (one, other):
        parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
        linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
        levels.append(0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2])
    return (max(levels) + 0.05) / (min(levels) + 0.05)


@pytest.mark.parametrize("edition", ["light", "dark"])
def test_text_and_lines_can_be_seen(edition: str) -> None:
    colour = {role: getattr(pair, edition) for role, pair in PALETTE.items()}
    for ground in [role for role in PALETTE if role.endswith("_fill")] + ["surface", "page", "note"]:
        assert contrast(colour["ink"], colour[ground]) >= 7
        assert contrast(colour["muted"], colour[ground]) >= 4.5
    for line in ("winner", "random", "probe", "tail", "skip", "shortcut"):
        assert contrast(colour[line], colour["surface"]) >= 4.5
    assert f"--convolution-fill: {colour['convolution_fill']};" in css_variables(edition)


def test_light_colours_tell_roles_apart() -> None:
    assert len({pair.light for pair in PALETTE.values()}) == len(PALETTE)


def test_no_torch_and_no_pyplot_is_imported() -> None:
    code = "import sys, reports; print(sorted({'torch', 'matplotlib.pyplot'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
