"""Page of one search: one HTML file that needs nothing else, with inline SVG and CSS, no script, no network."""

from collections.abc import Callable
from pathlib import Path

from reports.layout.pages import Page, Section, sections_of, write_page
from reports.search.architecture import architecture_section
from reports.search.audit import audit_section
from reports.search.candidates import candidates_section
from reports.search.comparison import comparison_section
from reports.search.data import data_section, labels_section, repeat_section
from reports.search.depths import depths_section
from reports.search.images import images_section
from reports.search.operation import operation_section
from reports.search.run import search_section
from reports.search.scores import scores_section
from reports.search.verdict import verdict
from reports.summaries.search import Records, attribute_of, read_records, values_of
from reports.summaries.values import number, table, text, whole

SECTIONS: tuple[Callable[[Records], Section | None], ...] = (
    comparison_section,
    architecture_section,
    operation_section,
    scores_section,
    images_section,
    search_section,
    candidates_section,
    audit_section,
    depths_section,
    labels_section,
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


def render(records: Records, refresh: float | None = None) -> str:
    """The page as text; the same records give the same page."""
    attribute = attribute_of(records)
    return Page(
        title=f"{attribute}: architecture report",
        kind="Architecture report",
        heading=attribute,
        about=(" / ".join(values_of(records)), *_about(records)),
        skip=("comparison", "the comparison"),
        verdict=verdict(records),
        sections=sections_of(SECTIONS, records),
        problems=records.problems,
        refresh=refresh,
    ).html()


def _about(records: Records) -> tuple[str | None, ...]:
    """Backbone, space, seed, date."""
    result = records.result
    depth, seed = whole(result.get("freeze_depth")), number(result.get("seed"))
    backbone, space = text(table(result.get("trunk")).get("backbone")), text(result.get("space"))
    return (
        f"on {backbone}{f' to block {depth - 1}' if depth else ''}" if backbone else None,
        f"{space} space" if space else None,
        f"seed {seed:.0f}" if seed is not None else None,
        text(result.get("created")),
    )
