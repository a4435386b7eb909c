"""A matplotlib figure as an inline SVG that takes its colours and its type face from the page around it."""

import io
import re
import warnings
from collections.abc import Callable
from functools import wraps
from html import escape
from typing import Any, ParamSpec, TypeVar

import matplotlib
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure

from reports.layout.palette import light, role_of

STYLE: Any = {
    "svg.fonttype": "none",  # text stays text: it can be read aloud, searched and copied
    "svg.hashsalt": "graftnet",
    "text.parse_math": False,  # a value may be called "$5"
    "font.family": ["DejaVu Sans"],
    "font.size": 9.0,
    "axes.titlesize": 9.5,
    "axes.labelsize": 9.0,
    "xtick.labelsize": 8.5,
    "ytick.labelsize": 8.5,
    "legend.fontsize": 8.5,
    "legend.frameon": False,
    "text.color": light("ink"),
    "axes.labelcolor": light("muted"),
    "axes.titlecolor": light("ink"),
    "axes.edgecolor": light("line"),
    "axes.facecolor": "none",
    "figure.facecolor": "none",
    "savefig.facecolor": "none",
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": light("grid"),
    "grid.linewidth": 0.8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "xtick.color": light("line"),
    "ytick.color": light("line"),
    "xtick.labelcolor": light("muted"),
    "ytick.labelcolor": light("muted"),
    "lines.linewidth": 1.6,
    "lines.solid_capstyle": "round",
    "path.simplify": True,
}
_INLINE = re.compile(r'\bstyle="[^"]*"')
_COLOUR = re.compile(r"#[0-9a-fA-F]{6}\b")
_FONT = re.compile(r"font: ((?:italic |oblique )?(?:\w+ )?)([\d.]+)px [^;\"]*")
_FAMILY = re.compile(r"font-family: [^;\"]*")

P = ParamSpec("P")
R = TypeVar("R")


def styled(draw: Callable[P, R]) -> Callable[P, R]:
    """Draws under `STYLE`; matplotlib's own settings are as they were afterwards."""

    @wraps(draw)
    def wrapper(*args: P.args, **kwargs: P.kwargs) -> R:
        with matplotlib.rc_context(STYLE):
            return draw(*args, **kwargs)

    return wrapper


@styled
def inline_svg(figure: Figure, name: str, description: str) -> str:
    """`<svg>` for the body of a page, the same bytes for the same figure.

    `name` becomes the prefix of every id inside, so that several drawings on one page do not share any;
    `description` is what a screen reader says. Colours of the palette become `var(--role)`.
    """
    canvas, drawn = FigureCanvasSVG(figure), io.StringIO()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")  # the reader's browser has it
        # savefig() would draw everything twice, the first time to no avail.
        write: Callable[..., None] = canvas.print_svg  # the library gives it no types
        write(drawn, metadata={"Date": None, "Creator": None, "Format": None, "Type": None})
    body = drawn.getvalue()
    body = body[body.index("<svg") :]
    opening, body = re.match(r"<svg[^>]*>", body), re.sub(r"^<svg[^>]*>", "", body, count=1)
    assert opening is not None
    box = re.search(r'viewBox="0 0 ([\d.]+) ([\d.]+)"', opening.group())
    assert box is not None
    body = re.sub(r"<metadata>.*?</metadata>", "", body, flags=re.DOTALL)
    body = re.sub(r"<style[^>]*>.*?</style>", "", body, flags=re.DOTALL)  # its `*` would reach the whole page
    body = re.sub(r'\bid="', f'id="{name}-', body)
    body = re.sub(r'((?:xlink:)?href="#|url\(#)', rf"\g<1>{name}-", body).replace("xlink:href=", "href=")
    body = _INLINE.sub(_themed, body)
    body = re.sub(r"<!--.*?-->\s*", "", body, flags=re.DOTALL)
    return (
        f'<svg class="figure" role="img" aria-label="{escape(description)}" viewBox="0 0 {box[1]} {box[2]}"'
        f' style="max-width: {float(box[1]) * 1.5:.0f}px; stroke-linejoin: round; stroke-linecap: butt">{body}'
    )


def _themed(found: re.Match[str]) -> str:
    themed = _FONT.sub(r"font: \1\2px var(--face)", _COLOUR.sub(_variable, found.group()))
    return _FAMILY.sub("font-family: var(--face)", themed)


def _variable(found: re.Match[str]) -> str:
    role = role_of(found.group())
    return f"var(--{role.replace('_', '-')})" if role else found.group()
