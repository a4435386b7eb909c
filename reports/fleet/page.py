"""Page over all attributes, from fleet.json and the searches it names: self-contained, with a few lines of script.

Without script it is the same page, but for sorting and searching.
"""

from importlib.resources import files
from pathlib import Path
from typing import NamedTuple

from markupsafe import Markup

from reports.fleet.entries import Fleet, address, read_fleet
from reports.fleet.overview import COLUMNS, headline, overview_row, remark, sentence, tiles
from reports.fleet.tables import (
    TreeCost,
    accuracy_tables,
    cost_table,
    fleet_scores_figure,
    images_table,
    known_kinds,
    thresholds_table,
    tree_cost,
    tree_cost_figure,
    versions_table,
)
from reports.layout.figures import css_variables
from reports.layout.formats import count, score
from reports.layout.pages import Picture, Section, picture, script_policy, templates, write_page
from reports.summaries.values import items, table, text


class Link(NamedTuple):
    """Something else that lies in the project: its kind, name, page (None: it has none), and what came out of it.

    A page counts from the fleet page.
    """

    kind: str
    name: str
    page: str | None
    sentence: str


def write_fleet_report(record_file: Path, destination: Path | None = None) -> Path:
    """Write the fleet page beside its record, `fleet.html`, or elsewhere, and return its path.

    Links count from the record's folder. Raises ReportError when the record cannot be read, or the page not be written.
    """
    return write_page(render_fleet(read_fleet(record_file)), destination or record_file.with_suffix(".html"))


def render_fleet(fleet: Fleet) -> str:
    """The page as text; the same records give the same page."""
    script = (files("reports") / "templates" / "fleet.js").read_text(encoding="utf-8")
    cost = tree_cost(fleet)
    return (
        templates()
        .get_template("fleet.html.jinja")
        .render(
            name=text(fleet.record.get("project")) or "",
            about=_about(fleet),
            headline=headline(fleet),
            sentence=sentence(fleet, cost),
            fresh=bool(fleet.entries) and all(one.state == "current" for one in fleet.entries),
            tiles=tiles(fleet, cost),
            problems=fleet.problems,
            columns=COLUMNS,
            rows=[overview_row(one) for one in fleet.entries],
            remark=remark(fleet),
            sections=fleet_sections(fleet, cost),
            links=links_of(fleet),
            script=Markup(script),
            policy=script_policy(script),
            light=css_variables("light"),
            dark=css_variables("dark"),
        )
    )


def fleet_sections(fleet: Fleet, cost: TreeCost) -> tuple[Section, ...]:
    """What stands below the overview."""
    measured = [one for one in fleet.entries if one.measured]
    sections = []
    if measured:
        spoken = ", ".join(f"{one.attribute} {score(one.score)}" for one in measured)
        caption = "Best first; the bar is the 95 % interval over test images."
        drawn = picture("scores", "Test scores", fleet_scores_figure(measured), caption, f"Test scores: {spoken}.")
        sections.append(Section("scores", "Scores", "", (drawn,), (thresholds_table(measured),)))
    if cost.counted:
        sections.append(cost_section(fleet, cost))
    tables = accuracy_tables(measured)
    if any(one.counts for one in fleet.entries):
        tables += (images_table(fleet.entries),)
    if tables:
        sections.append(Section("paper", "In the paper's form", tables=tables))
    trunk = table(fleet.record.get("trunk"))
    versions = versions_table(fleet)
    missing = () if versions else ("this project has no trunk yet",)
    sections.append(
        Section("trunk", "Trunk", text(trunk.get("sentence")) or "", (), (versions,) if versions else (), (), missing)
    )
    return tuple(sections)


def cost_section(fleet: Fleet, cost: TreeCost) -> Section:
    """The tree beside separate networks."""
    pictures: tuple[Picture, ...] = ()
    if kinds := known_kinds(cost):
        spoken = "; ".join(
            f"{title}: tree {count(getattr(cost.tree, field))}, separate {count(getattr(cost.separate, field))}"
            for title, field in kinds
        )
        caption = f"One trunk and {len(cost.counted)} branches beside {len(cost.counted)} networks of their own."
        pictures = (picture("cost", "One tree or many networks", tree_cost_figure(cost), caption, f"{spoken}."),)
    lead = ""
    if cost.left_out:
        lead = f"Not counted, for they are on another trunk or of unknown cost: {', '.join(cost.left_out)}."
    missing = () if pictures else ("what the trunk and the tails cost is not in the records",)
    return Section("cost", "Cost", lead, pictures, (cost_table(fleet, cost),), missing=missing)


def links_of(fleet: Fleet) -> tuple[Link, ...]:
    """The label graphs and studies of the project."""
    found = []
    for one in map(table, items(fleet.record.get("links"))):
        kind, name = text(one.get("kind")), text(one.get("name"))
        if kind and name:
            found.append(Link(kind, name, address(text(one.get("page"))), text(one.get("sentence")) or ""))
    return tuple(found)


def _about(fleet: Fleet) -> str:
    trunk = table(fleet.record.get("trunk"))
    backbone, version = text(trunk.get("backbone")), text(trunk.get("version"))
    parts = (
        f"{backbone}, trunk {version}" if backbone and version else None,
        text(fleet.record.get("created")),
        text(fleet.record.get("machine")),
    )
    return " · ".join(part for part in parts if part)
