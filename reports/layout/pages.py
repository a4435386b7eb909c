"""The pieces a page is made of; the templates know these and nothing else."""

from typing import NamedTuple

from markupsafe import Markup
from matplotlib.figure import Figure

from reports.layout.svg import inline_svg


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


def picture(name: str, title: str, figure: Figure, caption: str, description: str = "") -> Picture:
    """A figure set as a picture; `description`, or else title and caption, is read to those who cannot see it."""
    return Picture(name, title, Markup(inline_svg(figure, name, description or f"{title}. {caption}")), caption, figure)
