"""Page over all attributes, from fleet.json and the searches it names: self-contained, with a few lines of script.

Without script it is the same page, but for sorting and searching.
"""

from importlib.resources import files
from pathlib import Path
from typing import NamedTuple

from reports.drawing.depths import depths_section as shown_depths
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
from reports.layout.formats import count, score
from reports.layout.pages import Page, Picture, Section, Verdict, macros, picture, sections_of, write_page
from reports.summaries.values import items, table, text, whole

FOLDER = files("reports") / "templates"


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
    cost, name = tree_cost(fleet), text(fleet.record.get("project")) or ""
    fresh = bool(fleet.entries) and all(entry.state == "current" for entry in fleet.entries)
    trunk = table(fleet.record.get("trunk"))
    backbone, version = text(trunk.get("backbone")), text(trunk.get("version"))
    return Page(
        title=f"{name}: all attributes",
        kind="All attributes",
        heading=name,
        about=(
            f"{backbone}, trunk {version}" if backbone and version else None,
            text(fleet.record.get("created")),
            text(fleet.record.get("machine")),
        ),
        skip=("attributes", "the attributes"),
        verdict=Verdict(
            "better" if fresh else "unfinished", headline(fleet), sentence(fleet, cost), tiles(fleet, cost)
        ),
        sections=fleet_sections(fleet, cost),
        problems=fleet.problems,
        style=(FOLDER / "fleet.css").read_text(encoding="utf-8"),
        script=(FOLDER / "fleet.js").read_text(encoding="utf-8") if fleet.entries else "",
    ).html()


def fleet_sections(fleet: Fleet, cost: TreeCost) -> list[Section]:
    """The sections that there is something to say in."""
    return sections_of(SECTIONS, fleet, cost)


def attributes_section(fleet: Fleet, _: TreeCost) -> Section:
    """The overview, a row per attribute."""
    if not fleet.entries:
        missing = ("no sub-dataset has been brought in; `graftnet data import` does it",)
        return Section("attributes", "Attributes", missing=missing)
    rows = [overview_row(entry) for entry in fleet.entries]
    written = macros("fleet.html.jinja").overview(COLUMNS, rows, remark(fleet))
    return Section("attributes", "Attributes", body=written)


def scores_section(fleet: Fleet, _: TreeCost) -> Section | None:
    """The test scores, best first, and where each attribute is decided."""
    measured = fleet.measured
    if not measured:
        return None
    spoken = ", ".join(f"{entry.attribute} {score(entry.score)}" for entry in measured)
    caption = "Best first; the bar is the 95 % interval over test images."
    drawn = picture("scores", "Test scores", fleet_scores_figure(measured), caption, f"Test scores: {spoken}.")
    return Section("scores", "Scores", "", (drawn,), (thresholds_table(measured),), placement="beside")


def cost_section(fleet: Fleet, cost: TreeCost) -> Section | None:
    """The tree beside separate networks."""
    if not cost.counted:
        return None
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
    return Section("cost", "Cost", lead, pictures, (cost_table(fleet, cost),), (), missing, placement="beside")


def paper_section(fleet: Fleet, _: TreeCost) -> Section | None:
    """Tables 1 and 2 of the paper."""
    tables = accuracy_tables(fleet.measured)
    if any(entry.counts for entry in fleet.entries):
        tables += (images_table(fleet.entries),)
    return Section("paper", "In the paper's form", tables=tables, placement="stacked") if tables else None


def trunk_section(fleet: Fleet, _: TreeCost) -> Section:
    """The versions of the trunk, and whether it should be trained again."""
    versions = versions_table(fleet)
    missing = () if versions else ("this project has no trunk yet",)
    lead = text(table(fleet.record.get("trunk")).get("sentence")) or ""
    return Section("trunk", "Trunk", lead, tables=(versions,) if versions else (), missing=missing)


def depths_section(fleet: Fleet, _: TreeCost) -> Section | None:
    """What probes say of the trunk's depths, all together, and the depth that each attribute is advised."""
    probe = table(table(fleet.record.get("trunk")).get("probe"))
    advised, own = whole(probe.get("advised")), table(probe.get("attributes"))
    if advised is None:
        return None
    each = ", ".join(f"{name} {depth}" for name, value in own.items() if (depth := whole(value)) is not None)
    lead = f"Probes of the trunk in use advise depth {advised} for all that were probed; alone: {each}."
    return shown_depths(probe, lead, f"Mean over {len(own)} attributes; trunk: for one image.")


def elsewhere_section(fleet: Fleet, _: TreeCost) -> Section | None:
    """The label graphs and studies of the project."""
    if not (links := links_of(fleet)):
        return None
    written = macros("fleet.html.jinja").elsewhere(links)
    return Section("elsewhere", "Elsewhere in this project", body=written)


def links_of(fleet: Fleet) -> tuple[Link, ...]:
    """The label graphs and studies of the project."""
    links = []
    for entry in map(table, items(fleet.record.get("links"))):
        kind, name = text(entry.get("kind")), text(entry.get("name"))
        if kind and name:
            links.append(Link(kind, name, address(text(entry.get("page"))), text(entry.get("sentence")) or ""))
    return tuple(links)


SECTIONS = (
    attributes_section,
    scores_section,
    cost_section,
    paper_section,
    trunk_section,
    depths_section,
    elsewhere_section,
)
