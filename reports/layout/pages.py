"""The page: sections of pictures, tables and listings in one template, under a policy that the browser enforces.

Nothing leaves a page and nothing comes in: pictures are data URLs, styles inline; of scripts only the one whose hash
is named runs, if any. https://www.w3.org/TR/CSP3/
"""

import base64
import hashlib
from pathlib import Path
from typing import NamedTuple

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from matplotlib.figure import Figure

from reports.layout.figures import inline_svg
from reports.writing import write_whole

NO_SCRIPT = "default-src 'none'; img-src data:; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"


class Picture(NamedTuple):
    """A drawing with its title and what to see in it; `figure`: what it was drawn as, to be written to other files."""

    name: str
    title: str
    svg: Markup
    caption: str
    figure: Figure | None = None


class Table(NamedTuple):
    """Rows of written cells. The first cell of a row is its heading; what follows a line break in a cell is a remark.

    `marked`: the row to point out, if any. `folded`: closed until asked for, under this title; "": shown.
    """

    caption: str
    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    marked: int | None = None
    folded: str = ""


class Listing(NamedTuple):
    """Text to be shown as it is: a command, settings. `folded`: closed until asked for."""

    title: str
    text: str
    folded: bool = False


class Photo(NamedTuple):
    """A small picture as a data URL, in words for those who cannot see it, and the lines below it.

    right: whether what was predicted of it is true, None where nothing was. beside: a second picture, with its words.
    """

    source: str
    words: str
    lines: tuple[str, ...] = ()
    right: bool | None = None
    beside: tuple[str, str] | None = None


class Gallery(NamedTuple):
    """Pictures of one kind, with a remark."""

    title: str
    note: str
    photos: tuple[Photo, ...]


class Section(NamedTuple):
    """A part of the page. `missing` says what is not there, and why, when something is not."""

    anchor: str
    title: str
    lead: str = ""
    pictures: tuple[Picture, ...] = ()
    tables: tuple[Table, ...] = ()
    listings: tuple[Listing, ...] = ()
    missing: tuple[str, ...] = ()
    galleries: tuple[Gallery, ...] = ()


class Tile(NamedTuple):
    """A key figure: what it is, its value, and a line below."""

    name: str
    value: str
    note: str


def picture(name: str, title: str, figure: Figure, caption: str, description: str = "") -> Picture:
    """A figure set as a picture; `description`, or else title and caption, is read to those who cannot see it."""
    return Picture(name, title, Markup(inline_svg(figure, name, description or f"{title}. {caption}")), caption, figure)


def script_policy(script: str) -> str:
    """The policy of a page with this one inline script."""
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    return f"{NO_SCRIPT}; script-src 'sha256-{digest}'"


def write_page(page: str, target: Path) -> Path:
    """Writes a page, whole or not at all, and returns its path. Raises ReportError when it cannot be written."""
    return write_whole(page.encode(), target)


def templates() -> Environment:
    """The room's templates: everything is escaped, and a name that is not given is an error."""
    environment = Environment(
        loader=PackageLoader("reports"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals["policy"] = NO_SCRIPT
    return environment
