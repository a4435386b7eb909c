"""fleet.json and the searches it names -> one page over all attributes, self-contained, with a few lines of script.

Without script it is the same page, but for sorting and searching.
"""

from importlib.resources import files
from pathlib import Path
from typing import NamedTuple

from markupsafe import Markup

from reports.fleet_entries import Fleet, read_fleet
from reports.fleet_figures import fleet_scores_figure, known_kinds, tree_cost_figure
from reports.fleet_rows import COLUMNS, METRIC, overview_row
from reports.fleet_tables import accuracy_tables, cost_table, images_table, thresholds_table, versions_table
from reports.formats import change, count, interval, score, short_count
from reports.layout import Picture, Section, picture
from reports.page import templates, write_page
from reports.palette import css_variables
from reports.policy import script_policy
from reports.tree_cost import TreeCost, saving, tree_cost
from reports.values import items, table, text
from reports.verdict import Tile


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


def headline(fleet: Fleet) -> str:
    """How many attributes there are, and how many have a current result."""
    entries, states = fleet.entries, [one.state for one in fleet.entries]
    if not entries:
        return "No attribute yet"
    current = states.count("current")
    if "unchecked" in states and not current:
        return f"{len(entries)} attributes, {sum(one.measured for one in entries)} with a result"
    if current == len(entries):
        return "1 attribute, current" if current == 1 else f"{current} attributes, all current"
    return f"{current} of {len(entries)} attribute{'s' if len(entries) > 1 else ''} current"


def sentence(fleet: Fleet, cost: TreeCost) -> str:
    """What the tree saves, and what waits to be done."""
    parts = []
    saved = saving(cost.tree.parameters, cost.separate.parameters)
    if saved is not None and len(cost.counted) > 1:
        parts.append(
            f"One trunk with {len(cost.counted)} branches has {short_count(cost.tree.parameters)} parameters, "
            f"{change(saved)} against {len(cost.counted)} separate networks."
        )
    for state, words in (
        ("stale", "no longer answer what is asked"),
        ("unfinished", "are not finished"),
        ("missing", "are not searched yet"),
        ("failed", "cannot be searched"),
    ):
        names = [one.attribute for one in fleet.entries if one.state == state]
        if names:
            some = ", ".join(names[:8]) + (f" and {len(names) - 8} more" if len(names) > 8 else "")
            parts.append(f"{some} {words if len(names) > 1 else _SINGULAR[state]}.")
    return " ".join(parts)


_SINGULAR = {
    "stale": "no longer answers what is asked",
    "unfinished": "is not finished",
    "missing": "is not searched yet",
    "failed": "cannot be searched",
}


def tiles(fleet: Fleet, cost: TreeCost) -> tuple[Tile, ...]:
    """The key figures of the fleet."""
    found = []
    done = sorted((one for one in fleet.entries if one.measured), key=lambda one: one.score or 0.0)
    if done:
        low, high = done[0], done[-1]
        middle = done[len(done) // 2] if len(done) % 2 else None
        mean = (done[len(done) // 2 - 1].score or 0.0) / 2 + (done[len(done) // 2].score or 0.0) / 2
        value = middle.score if middle else mean
        note = f"{low.attribute} {score(low.score, 3)} to {high.attribute} {score(high.score, 3)}"
        found.append(Tile(f"median test {low.metric}", score(value), note))
        gained = [one.gain for one in done if one.gain]
        if gained:
            better = sum(one.judgement == "better" for one in gained)
            worse = sum(one.judgement == "worse" for one in gained)
            note = f"worse: {worse}; not told apart: {len(gained) - better - worse}"
            found.append(Tile("better than random search", f"{better} of {len(gained)}", note))
    for title, field in (("parameters of the tree", "parameters"), ("MACs of the tree", "macs")):
        tree, separate = getattr(cost.tree, field), getattr(cost.separate, field)
        if tree is not None:
            saved = saving(tree, separate)
            note = f"{change(saved)} against separate networks" if saved is not None else ""
            found.append(Tile(title, short_count(tree), note))
    return tuple(found)


def remark(fleet: Fleet) -> str:
    """What the columns mean."""
    measured = [one for one in fleet.entries if one.measured]
    metric = f"{METRIC} unless it says otherwise" if any(one.metric == METRIC for one in measured) else "see the cell"
    parts = [f"Test score: {metric}, the mean over trainings."]
    if any(one.low is not None for one in measured):
        parts.append(
            "Below it the 95 % interval over test images: of an AUROC after Hanley and McNeil (1982), of an accuracy "
            "after Wilson (1927)."
        )
    if any(one.gain and interval(one.gain.low, one.gain.high) for one in measured):
        parts.append("Gain over random architectures at equal budget, with its 95 % interval.")
    parts.append("Parameters, MACs and latency: of the branch alone, for one image.")
    return " ".join(parts)


def links_of(fleet: Fleet) -> tuple[Link, ...]:
    """The label graphs and studies of the project."""
    found = []
    for one in map(table, items(fleet.record.get("links"))):
        kind, name = text(one.get("kind")), text(one.get("name"))
        if kind and name:
            found.append(Link(kind, name, text(one.get("page")), text(one.get("sentence")) or ""))
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
