"""Freeze depth of each attribute: what is set, what a race of cuts or a probe advises, or where the table cuts.

`graftnet trunk probe` writes one record per trunk and attribute, ``runs/probes/<fingerprint>/<attribute>.json``. Where
`trunk.freeze_depth` is 0 new searches take the attribute's advice, or, where it was not probed itself, that for all
attributes that were. What is finished stays as it is: a probe that is made later gives advice and makes nothing stale.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, NamedTuple

from annotated_types import Ge, Le, Len
from typing_extensions import TypedDict

from foundation.errors import RecordError
from foundation.records import Digest, Name, Share, Size, Text, inside, read_record
from graftnet.errors import ConfigError
from graftnet.project.config import project_of
from graftnet.project.folder import Project
from graftnet.project.settings import depth_of
from trunk.records import TrunkShape

FINGERPRINT_SHOWN = 12
Depths = Annotated[list[Any], Len(1, 2**10)]


class ScoreShape(TypedDict):
    """A val AUROC with its 95 % interval."""

    auroc: Share
    low: Share
    high: Share


class DepthShape(ScoreShape):
    """What a probe says of one depth."""

    depth: Size
    name: Text
    channels: Size
    height: Size
    width: Size


class ProbeShape(TypedDict):
    """The record of one attribute's probe, as far as it is read again."""

    attribute: Name
    fingerprint: Digest
    backbone: Text
    depths: Annotated[list[DepthShape], Len(1, 2**10)]
    joined: ScoreShape
    covariance: Annotated[list[Annotated[list[Annotated[float, Ge(-1), Le(1)]], Len(1, 2**10)]], Len(1, 2**10)]
    advised: Size


class RaceShape(TypedDict):
    """The record of one attribute's race of cuts (`graftnet.studies.cuts`), as far as it is read again."""

    attribute: Name
    fingerprint: Digest
    depth: Size


class Choice(NamedTuple):
    """A freeze depth and why: ``by`` is ``set``, ``race``, ``probe``, ``probes`` (of other attributes) or ``table``."""

    depth: int
    by: str

    @property
    def measured(self) -> bool:
        """Whether a race or a probe advises it."""
        return self.by in ("race", "probe", "probes")


def probe_file(project: Project, fingerprint: str, attribute: str) -> Path:
    """Where an attribute's probe on a trunk is, or will be."""
    return inside(project.runs, "probes", fingerprint[:FINGERPRINT_SHOWN], f"{attribute}.json")


def race_file(project: Project, fingerprint: str, attribute: str) -> Path:
    """Where the record of an attribute's newest race of cuts on a trunk is, or will be."""
    return inside(project.runs, "cuts", fingerprint[:FINGERPRINT_SHOWN], attribute, "race.json")


def raced_depth(project: Project, fingerprint: str, attribute: str) -> int | None:
    """The depth that a race of cuts found for the attribute on this trunk; None where there was none.

    Raises:
        RecordError: its record is damaged.
    """
    path = race_file(project, fingerprint, attribute)
    try:
        record = read_record(path, RaceShape)
    except FileNotFoundError:
        return None
    if record["fingerprint"] != fingerprint or record["attribute"] != attribute:
        raise RecordError(f"{path} is not a race of {attribute} on this trunk; delete it and race again.")
    depth: int = record["depth"]
    return depth


def read_probe(project: Project, fingerprint: str, attribute: str) -> dict[str, Any] | None:
    """The attribute's probe on this trunk; None where it was not probed there.

    Raises:
        RecordError: it is damaged.
    """
    path = probe_file(project, fingerprint, attribute)
    try:
        record = read_record(path, ProbeShape)
    except FileNotFoundError:
        return None
    count = len(record["depths"])
    numbered = [row["depth"] for row in record["depths"]] == list(range(1, count + 1))
    square = [len(row) for row in record["covariance"]] == [count] * count
    if record["fingerprint"] != fingerprint or not numbered or not square or record["advised"] > count:
        raise RecordError(
            f"{path} is not a probe of trunk {fingerprint[:FINGERPRINT_SHOWN]}; delete it and probe again."
        )
    return record


def probes_on(project: Project, fingerprint: str) -> dict[str, dict[str, Any]]:
    """The probes of this trunk, of the attributes that the project still has."""
    found = {name: read_probe(project, fingerprint, name) for name in project.sources()}
    return {name: record for name, record in found.items() if record is not None}


def advised_depth(probes: Mapping[str, Mapping[str, Any]]) -> int | None:
    """The depth that probes of one trunk advise for all attributes together; None without any."""
    if not probes:
        return None
    from branches.measures.depths import advised_for_all

    scores = [[row["auroc"] for row in record["depths"]] for record in probes.values()]
    return advised_for_all(scores, [record["covariance"] for record in probes.values()])


def chosen_depth(project: Project, fingerprint: str, attribute: str | None = None) -> Choice:
    """The freeze depth on this trunk of an attribute, or of what belongs to none: the project's.

    ``project``: as the attribute has it; a depth that is set wins. Of a branch by hand the advice leaves it the blocks
    that it is made of.

    Raises:
        RecordError: a probe's record is damaged. TrunkError: there is no such backbone.
    """
    config = project.config
    usual = depth_of(config)
    if config.trunk.freeze_depth:
        return Choice(usual, "set")
    raced = raced_depth(project, fingerprint, attribute) if attribute and config.branch.kind != "tail" else None
    if raced is not None:
        return Choice(raced, "race")
    if not inside(project.runs, "probes", fingerprint[:FINGERPRINT_SHOWN]).is_dir():
        return Choice(usual, "table")
    own = read_probe(project, fingerprint, attribute) if attribute else None
    probes = {} if own else probes_on(project, fingerprint)
    depth = own["advised"] if own else advised_depth(probes)
    if depth is None:
        return Choice(usual, "table")
    if config.branch.kind == "tail":
        blocks = len((own or next(iter(probes.values())))["depths"])
        depth = min(depth, (config.branch.blocks or blocks) - 1) or usual
    return Choice(depth, "probe" if own else "probes")


def attribute_depth(project: Project, fingerprint: str, attribute: str) -> int:
    """The freeze depth of a new search of the attribute; ``project``: as all have it."""
    return chosen_depth(project_of(project, attribute), fingerprint, attribute).depth


def depth_in_use(project: Project, attribute: str | None = None) -> int:
    """:func:`chosen_depth` on the trunk in use; where there is none yet, what is set, or the backbone's table's."""
    try:
        fingerprint = read_record(project.current_trunk / "trunk.json", TrunkShape)["fingerprint"]
    except (ConfigError, FileNotFoundError):
        return depth_of(project.config)
    return chosen_depth(project, fingerprint, attribute).depth


def pinned(project: Project, depth: int) -> Project:
    """The project with its freeze depth set."""
    trunk = project.config.trunk.model_copy(update={"freeze_depth": depth})
    return replace(project, config=project.config.model_copy(update={"trunk": trunk}))


def why(names: Sequence[str], choice: Choice, depth: int, *, blocks: int) -> str:
    """Which depth the searches of these attributes read and why, in a sentence.

    ``depth``: what they read; another than that of ``choice`` where they were searched before it was advised.
    """
    those = ", ".join(names)
    call = f"`graftnet trunk probe {' '.join(names)}`"
    if choice.measured and depth != choice.depth:
        who = "short trainings at several depths now advise" if choice.by == "race" else "a probe now advises"
        return (
            f"{those}: {who} depth {choice.depth}, what is there reads depth {depth}; search again with --force to "
            f"follow it, or set trunk.freeze_depth = {depth} to keep it."
        )
    where = f"{those}: reading the trunk after {depth} of {blocks} blocks"
    match choice.by:
        case "set":
            return f"{where}, as trunk.freeze_depth says."
        case "race":
            return f"{where}, as short trainings at several depths advise."
        case "probe":
            return f"{where}, as its probe advises."
        case "probes":
            return f"{where}, as the probes of other attributes advise; {call} makes its own."
        case _:
            return f"{where}, where the backbone's table cuts; {call} measures where it pays."


def shared_advice(probes: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """What probes say together: mean val AUROC per depth, the advice for all and for each."""
    first: Sequence[Mapping[str, Any]] = next(iter(probes.values()))["depths"]
    means = [sum(record["depths"][at]["auroc"] for record in probes.values()) / len(probes) for at in range(len(first))]
    return {
        "advised": advised_depth(probes),
        "attributes": {name: record["advised"] for name, record in probes.items()},
        "depths": [{**shown_depth(row), "auroc": mean} for row, mean in zip(first, means, strict=True)],
    }


def shown_depth(row: Mapping[str, Any]) -> dict[str, Any]:
    """What a depth is, without its scores."""
    return {key: row[key] for key in ("depth", "name", "channels", "height", "width", "milliseconds") if key in row}
