"""A figure as a file for a slide or a paper: SVG or PNG, at a stated width, in the light edition, on its ground."""

import io
import re
import warnings
from typing import Any

import matplotlib
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure

from reports.errors import ReportError
from reports.layout.palette import light
from reports.layout.svg import STYLE, styled

FORMATS = ("svg", "png")
WIDTHS = (100, 10_000)  # pixels
_OPENING = re.compile(r"<svg[^>]*>")
_SIDES = re.compile(r'\b(width|height)="[^"]*"')


def check_size(formats: tuple[str, ...], width: int) -> None:
    """Raises ReportError for a format or a width that there is not."""
    for name in formats:
        if name not in FORMATS:
            raise ReportError(f"A figure is written as {' or '.join(FORMATS)}, not as {name!r}: choose one of them.")
    if not WIDTHS[0] <= width <= WIDTHS[1]:
        raise ReportError(f"A figure is {WIDTHS[0]} to {WIDTHS[1]} pixels wide, not {width}: choose another width.")


@styled
def figure_file(figure: Figure, kind: str, width: int, title: str) -> bytes:
    """The bytes of a file of this kind, `width` pixels wide, its height in proportion; `title` is kept inside.

    The same figure gives the same bytes. Letters of an SVG are outlines, so that they look the same everywhere.
    """
    inches = figure.get_figwidth()
    out = io.BytesIO()
    settings: Any = {**STYLE, "svg.fonttype": "path"}
    with warnings.catch_warnings(), matplotlib.rc_context(settings):
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        if kind == "png":
            FigureCanvasAgg(figure)
            # A hair more than the width, for matplotlib cuts off what is not a whole pixel.
            sharpness = (width + 1e-4) / inches
            metadata: dict[str, Any] = {"Title": title, "Software": None}
            figure.savefig(out, format="png", dpi=sharpness, facecolor=light("surface"), metadata=metadata)
            return out.getvalue()
        FigureCanvasSVG(figure)
        metadata = {"Date": None, "Creator": None, "Title": title}
        figure.savefig(out, format="svg", facecolor=light("surface"), metadata=metadata)
    drawn = out.getvalue().decode()
    sides = {"width": f"{width}", "height": f"{width * figure.get_figheight() / inches:.0f}"}

    def sized(opening: re.Match[str]) -> str:
        return _SIDES.sub(lambda found: f'{found[1]}="{sides[found[1]]}"', opening.group())

    return _OPENING.sub(sized, drawn, count=1).encode()
