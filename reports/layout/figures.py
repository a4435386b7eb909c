"""Figures of a page: colours in a light and a dark edition, empty plots, SVG that takes its colours from the page.

A figure is drawn in the light edition; in the page every colour becomes a CSS variable, so one drawing serves both.
The hues follow Okabe and Ito (2008), which stay apart for colour-blind readers; nothing is told by colour alone.
"""

import io
import re
import warnings
from collections.abc import Callable
from functools import wraps
from html import escape
from typing import Any, NamedTuple, ParamSpec, TypeVar

import matplotlib
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, LogLocator, MaxNLocator, NullLocator

from reports.layout.formats import short_count

# What a node computes, or which kind of cell it is.
FAMILY_FILLS = {
    "conv": "convolution_fill",
    "separable": "separable_fill",
    "pooling": "pooling_fill",
    "identity": "surface",
    "normal": "convolution_fill",
    "reduction": "pooling_fill",
}
DASHES: dict[str, tuple[float, tuple[float, ...]]] = {
    "winner": (0, ()),
    "random": (0, (5, 1.6)),
    "rival": (0, (4, 1.2, 1.2, 1.2, 1.2, 1.2)),
    "probe": (0, (1.4, 1.4)),
    "tail": (0, (6, 1.6, 1.4, 1.6)),
}
MARKERS = {"winner": "*", "random": "s", "rival": "P", "probe": "D", "tail": "^"}
_INLINE = re.compile(r'\bstyle="[^"]*"')
_COLOUR = re.compile(r"#[0-9a-fA-F]{6}\b")
_FONT = re.compile(r"font: ((?:italic |oblique )?(?:\w+ )?)([\d.]+)px [^;\"]*")
_FAMILY = re.compile(r"font-family: [^;\"]*")
P = ParamSpec("P")
R = TypeVar("R")
WIDTH, HEIGHT = 3.7, 2.75  # inches; legible on a phone, and three side by side on a desk


class Colour(NamedTuple):
    """One role: "#rrggbb" on a light and on a dark page."""

    light: str
    dark: str


PALETTE = {
    # the page
    "ink": Colour("#1b2430", "#e6eaf0"),
    "muted": Colour("#586474", "#a3adba"),
    "line": Colour("#c9d0d9", "#3f4a58"),
    "grid": Colour("#e7ebf0", "#2a333f"),
    "surface": Colour("#fefefe", "#161c24"),
    "page": Colour("#f4f6f8", "#0e1319"),
    "note": Colour("#fff6e0", "#332a12"),
    # who a number belongs to
    "winner": Colour("#0067a9", "#5db8f0"),
    "random": Colour("#c14f00", "#f0934e"),
    "rival": Colour("#7a6200", "#d9bf45"),
    "probe": Colour("#00805f", "#3fc79d"),
    "tail": Colour("#8f4a86", "#dc9bd2"),
    # the parts of a drawing
    "trunk_fill": Colour("#e3e7ec", "#2b3440"),
    "convolution_fill": Colour("#dcecf8", "#16354d"),
    "separable_fill": Colour("#d9f1e8", "#123a2f"),
    "pooling_fill": Colour("#fbe9d7", "#462c15"),
    "head_fill": Colour("#efe6f3", "#3a2a40"),
    "skip": Colour("#b04700", "#f5a05f"),
    "shortcut": Colour("#007a5a", "#4ad0a5"),
}
_ROLES = {colour.light: role for role, colour in PALETTE.items()}


def light(role: str) -> str:
    """The colour figures are drawn in."""
    return PALETTE[role].light


def css_variables(edition: str) -> str:
    """`--ink: #1b2430; ...` for edition "light" or "dark"."""
    return " ".join(f"--{role.replace('_', '-')}: {getattr(colour, edition)};" for role, colour in PALETTE.items())


def role_of(colour: str) -> str | None:
    """The role of a light colour as matplotlib writes it, None when it is none of ours."""
    return _ROLES.get(colour.lower())


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


def _themed(style: re.Match[str]) -> str:
    themed = _FONT.sub(r"font: \1\2px var(--face)", _COLOUR.sub(_variable, style.group()))
    return _FAMILY.sub("font-family: var(--face)", themed)


def _variable(colour: re.Match[str]) -> str:
    role = role_of(colour.group())
    return f"var(--{role.replace('_', '-')})" if role else colour.group()


def panel(xlabel: str, ylabel: str, *, width: float = WIDTH, height: float = HEIGHT) -> tuple[Figure, Axes]:
    """A figure with one empty plot; the y label stands above the plot, where it needs no turning of the head."""
    figure = Figure(figsize=(width, height), layout="constrained")
    axes = figure.add_subplot()
    axes.set_xlabel(xlabel)
    axes.set_title(ylabel, loc="left", color=light("muted"), fontsize=9)
    axes.tick_params(length=3)
    return figure, axes


def legend(axes: Axes, columns: int = 3) -> None:
    """Below the plot, so that it covers nothing."""
    axes.figure.legend(
        loc="outside lower left",
        ncols=columns,
        handlelength=1.7,
        columnspacing=1.0,
        handletextpad=0.5,
        borderaxespad=0.2,
    )


def logarithmic(axes: Axes, values: list[float]) -> None:
    """A logarithmic x axis labelled "30 k", with three labels or more even when the values span less than a decade."""
    if not values:
        return
    low, high = min(values) / 1.15, max(values) * 1.15
    axes.set_xscale("log")
    axes.set_xlim(low, high)
    axes.xaxis.set_minor_locator(NullLocator())
    for steps in ((1.0,), (1.0, 3.0), (1.0, 2.0, 5.0), (1.0, 1.5, 2.0, 3.0, 4.0, 5.0, 6.0, 8.0)):
        ticks = [tick for tick in LogLocator(subs=steps).tick_values(low, high) if low <= tick <= high]
        if len(ticks) >= 4:
            break
    axes.xaxis.set_major_locator(FixedLocator(ticks))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: rounded_count(value)))


def rounded_count(value: float) -> str:
    """A count for an axis: 30000 -> "30 k", without zeros after the point."""
    written = short_count(value)
    number, _, unit = written.partition("\N{NO-BREAK SPACE}")
    number = number.rstrip("0").rstrip(".") if "." in number else number
    return f"{number}\N{NO-BREAK SPACE}{unit}" if unit else number


def epoch_axis(axes: Axes, epochs: tuple[float, ...] | list[float]) -> None:
    axes.set_xlim(0, max(max(epochs), 1) * 1.02)
    axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))
