"""Show a project and a search in a notebook: HTML tables, and a report's figures as matplotlib figures."""

from collections.abc import Iterable, Sequence
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

from foundation.errors import UserError
from foundation.records import read_json
from graftnet.project.folder import Project

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from pandas import DataFrame

HEAD = ("attribute", "result", "test AUROC", "parameters", "advice")
LEFT = "text-align:left"


class Search:
    """An attribute's search: its records, tables and figures; in a notebook it shows its verdict and what it beat.

    ``Project.result("bald")`` gives the newest one. It reads what lies in the folder, so it can be asked about a search
    that is still running too.
    """

    def __init__(self, folder: Path, attribute: str) -> None:
        self.folder, self.attribute = folder, attribute

    def __repr__(self) -> str:
        return f"Search({self.attribute!r}, {str(self.folder)!r})"

    @property
    def finished(self) -> bool:
        """Whether there is a result."""
        return (self.folder / "result.json").is_file()

    @property
    def record(self) -> dict[str, Any]:
        """What result.json says; empty while the search is not finished."""
        return read_json(self.folder / "result.json") if self.finished else {}

    @property
    def verdict(self) -> str:
        """What to ship, in a sentence; or how far the search is."""
        if self.finished:
            return str(self.record.get("verdict", ""))
        return f"{self.attribute} is not finished; call `search` again, and it continues."

    def methods(self) -> "DataFrame":
        """The result and its controls, a row each (:func:`reports.tables.methods`)."""
        from reports.tables import methods

        return methods(self.folder)

    def history(self) -> "DataFrame":
        """A row per record of the search (:func:`reports.tables.history`)."""
        from reports.tables import history

        return history(self.folder)

    def candidates(self) -> "DataFrame":
        """A row per architecture that the search proposed (:func:`reports.tables.candidates`)."""
        from reports.tables import candidates

        return candidates(self.folder)

    def figures(self) -> "dict[str, Figure]":
        """The report's plots by name, each a matplotlib figure that a notebook shows and ``savefig`` writes."""
        from matplotlib.backends.backend_agg import FigureCanvasAgg

        from reports.layout.pages import sections_of
        from reports.search.page import SECTIONS
        from reports.summaries.search import read_records

        sections = sections_of(SECTIONS, read_records(self.folder))
        drawn = {
            picture.name: picture.figure
            for section in sections
            for picture in section.pictures
            if picture.figure is not None
        }
        for figure in drawn.values():
            FigureCanvasAgg(figure)
        return drawn

    def _repr_html_(self) -> str:
        sentence = f"<p><b>{escape(self.attribute)}</b>: {escape(self.verdict)}</p>"
        if not self.finished:
            return sentence
        result = self.record
        controls = result.get("controls") or {}
        rows = [
            [escape(str(name)), figure_of(measured), count_of(measured.get("parameters"))]
            for name, measured in ((result.get("kind") or "searched", result), *controls.items())
        ]
        report = self.folder / "report.html"
        page = f"<p>Report: <code>{escape(str(report))}</code></p>" if report.is_file() else ""
        return sentence + html_table(("", "test AUROC", "parameters"), rows) + page


def project_html(project: Project) -> str:
    """A project as a table: its attributes, what was found for each, and what is advised."""
    rows: list[Sequence[str]] = []
    for name in project.sources():
        finished = project.results(name)
        try:
            result = read_json(finished[-1] / "result.json") if finished else {}
        except (OSError, UserError) as error:
            rows.append((escape(name), escape(str(error)), "", "", ""))
            continue
        found = result.get("kind") or "searched" if result else "begun" if project.begun(name) else "not searched"
        advice = (result.get("advice") or {}).get("action", "")
        rows.append(
            (
                escape(name),
                escape(str(found)),
                figure_of(result),
                count_of(result.get("parameters")),
                escape(str(advice)),
            )
        )
    title = f"<p><b>{escape(project.config.project.name)}</b> <code>{escape(str(project.folder))}</code></p>"
    if not rows:
        return f"{title}<p>No sub-dataset yet: <code>graftnet data import</code> brings one in.</p>"
    return title + html_table(HEAD, rows)


def figure_of(measured: Any) -> str:
    """The test AUROC of a result or a control, as it is written in a table."""
    value = ((measured or {}).get("test") or {}).get("auroc")
    return f"{value:.3f}" if isinstance(value, int | float) else "–"


def count_of(value: Any) -> str:
    """A number of parameters."""
    return f"{value:,}" if isinstance(value, int) else "–"


def html_table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table of cells that are HTML already."""
    first = "".join(f'<th style="{LEFT}">{escape(cell)}</th>' for cell in head)
    lines = ["".join(f'<td style="{LEFT}">{cell}</td>' for cell in row) for row in rows]
    rest = "".join(f"<tr>{line}</tr>" for line in lines)
    return f"<table><thead><tr>{first}</tr></thead><tbody>{rest}</tbody></table>"
