"""The page: sections of pictures, tables and listings in one template, under a policy that the browser enforces.

Nothing leaves a page and nothing comes in: pictures are data URLs, styles inline; of scripts only the one whose hash
is named runs, if any. https://www.w3.org/TR/CSP3/
"""

import base64
import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from matplotlib.figure import Figure

from foundation.files import write_bytes
from reports.errors import ReportError
from reports.layout.figures import css_variables, inline_svg

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
    """A part of the page. `missing` says what is not there, and why, when something is not.

    `placement`: where the tables stand: "below" the pictures in as many columns as fit, "stacked" below them, "above"
    them, "beside" them, or the "first beside" them and the others below. `body`: HTML of the section's own.
    """

    anchor: str
    title: str
    lead: str = ""
    pictures: tuple[Picture, ...] = ()
    tables: tuple[Table, ...] = ()
    listings: tuple[Listing, ...] = ()
    missing: tuple[str, ...] = ()
    galleries: tuple[Gallery, ...] = ()
    placement: Literal["below", "stacked", "above", "beside", "first beside"] = "below"
    body: Markup = Markup()

    @property
    def above(self) -> tuple[Table, ...]:
        """The tables above the pictures."""
        return self.tables if self.placement == "above" else ()

    @property
    def beside(self) -> tuple[Table, ...]:
        """The tables beside the pictures; none without pictures."""
        wanted = {"beside": len(self.tables), "first beside": 1}.get(self.placement, 0)
        return self.tables[:wanted] if self.pictures else ()

    @property
    def below(self) -> tuple[Table, ...]:
        """All others."""
        return self.tables[len(self.above) + len(self.beside) :]


class Tile(NamedTuple):
    """A key figure: what it is, its value, and a line below."""

    name: str
    value: str
    note: str


class Verdict(NamedTuple):
    """What a page says first. `standing`: "better", "worse", "not told apart" ... sets its sign; "": it has none."""

    standing: str
    headline: str
    sentence: str
    tiles: tuple[Tile, ...] = ()


class Page(NamedTuple):
    """A whole page; `html` writes it out.

    `about`: parts of one line below the heading, those that are known. `skip`: the anchor that a keyboard may jump to,
    and what is there. `contents`: whether the sections are listed above the first. `refresh`: seconds after which a
    browser is to load it again, None: never. `style`, `script`: what this page alone needs.
    """

    title: str
    kind: str
    heading: str
    about: Sequence[str | None]
    skip: tuple[str, str]
    verdict: Verdict
    sections: Sequence[Section]
    problems: Sequence[str] = ()
    problems_title: str = "What is missing"
    contents: bool = True
    refresh: float | None = None
    style: str = ""
    script: str = ""

    @property
    def policy(self) -> str:
        """What the page may do; of scripts it may run its own, known by its hash."""
        if not self.script:
            return NO_SCRIPT
        digest = base64.b64encode(hashlib.sha256(self.script.encode()).digest()).decode()
        return f"{NO_SCRIPT}; script-src 'sha256-{digest}'"

    def html(self) -> str:
        """The page as text; the same page gives the same bytes."""
        editions = {edition: css_variables(edition) for edition in ("light", "dark")}
        return templates().get_template("page.html.jinja").render(page=self, **editions)


def sections_of(builders: Sequence[Callable[..., Section | None]], *records: Any) -> list[Section]:
    """The sections that these records have something to say in."""
    return [section for build in builders if (section := build(*records)) is not None]


def picture(name: str, title: str, figure: Figure, caption: str, description: str = "") -> Picture:
    """A figure set as a picture; `description`, or else title and caption, is read to those who cannot see it."""
    return Picture(name, title, Markup(inline_svg(figure, name, description or f"{title}. {caption}")), caption, figure)


def write_page(page: str, target: Path) -> Path:
    """Writes a page, whole or not at all, and returns its path. Raises ReportError when it cannot be written."""
    return write_bytes(target, page.encode(), durable=False, error=ReportError)


def templates() -> Environment:
    """The room's templates: everything is escaped, and a name that is not given is an error."""
    loader = PackageLoader("reports")
    return Environment(loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)


def macros(template: str) -> Any:
    """The macros of a template as functions that give HTML, for the `body` of a section."""
    return templates().get_template(template).module
