"""A search folder -> one HTML file that needs nothing else: inline SVG and CSS, no script, no network."""

from collections.abc import Callable
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined

from foundation.files import write_bytes
from reports.architecture_section import architecture_section
from reports.audit_section import audit_section
from reports.candidates_section import candidates_section
from reports.data_section import data_section, repeat_section
from reports.errors import ReportError
from reports.images_section import images_section
from reports.layout import Section
from reports.operation_section import operation_section
from reports.palette import css_variables
from reports.policy import NO_SCRIPT
from reports.records import Records, read_records
from reports.scores_section import scores_section
from reports.search_section import search_section
from reports.sections import comparison_section
from reports.values import number, text, whole
from reports.verdict import attribute_of, values_of, verdict

SECTIONS: tuple[Callable[[Records], Section | None], ...] = (
    comparison_section,
    architecture_section,
    operation_section,
    scores_section,
    images_section,
    search_section,
    candidates_section,
    audit_section,
    data_section,
    repeat_section,
)


def write_report(search_folder: Path, destination: Path | None = None, *, refresh: float | None = None) -> Path:
    """Writes the report of one search and returns its path, `<search_folder>/report.html` unless another is given.

    Whatever of the search is there is shown, whatever is missing is named. The file appears whole or not at all.
    refresh: seconds after which a browser is to load the page again; None: never.
    Raises ReportError when there is no such folder or the report cannot be written.
    """
    page = render(read_records(search_folder), refresh)
    target = destination if destination is not None else search_folder / "report.html"
    return write_page(page, target / "report.html" if target.is_dir() else target)


def write_page(page: str, target: Path) -> Path:
    """Writes a page, whole or not at all, and returns its path. Raises ReportError when it cannot be written."""
    return write_bytes(target, page.encode(), durable=False, error=ReportError)


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


def render(records: Records, refresh: float | None = None) -> str:
    """The page as text; the same records give the same page."""
    return (
        templates()
        .get_template("page.html.jinja")
        .render(
            attribute=attribute_of(records),
            values=values_of(records),
            about=_about(records),
            verdict=verdict(records),
            problems=records.problems,
            sections=sections_of(records),
            light=css_variables("light"),
            dark=css_variables("dark"),
            refresh=refresh,
        )
    )


def sections_of(records: Records) -> list[Section]:
    """The sections that these records have something to say in."""
    return [section for build in SECTIONS if (section := build(records)) is not None]


def _about(records: Records) -> str:
    """One line below the title: backbone, space, seed, date."""
    result = records.result
    depth, seed = whole(result.get("freeze_depth")), number(result.get("seed"))
    trunk = result.get("trunk")
    backbone = text(trunk.get("backbone")) if isinstance(trunk, dict) else None
    parts = [
        f"on {backbone}{f' to block {depth - 1}' if depth else ''}" if backbone else None,
        f"{text(result.get('space'))} space" if text(result.get("space")) else None,
        f"seed {seed:.0f}" if seed is not None else None,
        text(result.get("created")),
    ]
    return " · ".join(part for part in parts if part)
