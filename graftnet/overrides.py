"""What a call sets for itself, in place of graftnet.toml's [search], [branch] and trunk.freeze_depth."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from graftnet.config import KINDS, Config
from graftnet.errors import ConfigError
from graftnet.one_attribute import project_of, without
from graftnet.project import Project, open_project
from nas.search_settings import SEARCH_STRATEGIES
from search_spaces.operations import POOLINGS

SEARCH = ("strategy", "max_parameters", "max_macs", "max_latency", "warm_start")
TAIL = ("blocks", "pooling", "width")


@dataclass(frozen=True)
class Overrides:
    """The options of a call that are settings of [search], [branch] and [trunk]; None leaves graftnet.toml's.

    Raises ConfigError: there is no such strategy, branch or pooling, a limit is not above 0, or not a whole number of
    parameters.
    """

    strategy: str | None = None
    max_parameters: float | None = None
    max_macs: float | None = None
    max_latency: float | None = None
    warm_start: bool | None = None
    branch: str | None = None
    blocks: int | None = None
    pooling: str | None = None
    width: int | None = None
    freeze_depth: int | None = None

    def __post_init__(self) -> None:
        for name in ("max_parameters", "max_macs", "max_latency"):
            value = getattr(self, name)
            if value is not None and not (value > 0 and math.isfinite(value)):
                option = f"--{name.replace('_', '-')}"
                raise ConfigError(f"{option} must be above 0, is {value:g}; leave it out for no limit.")
        if self.max_parameters is not None and self.max_parameters != int(self.max_parameters):
            raise ConfigError(f"--max-parameters must be a whole number, is {self.max_parameters:g}.")
        for option, allowed in (("strategy", SEARCH_STRATEGIES), ("branch", KINDS), ("pooling", POOLINGS)):
            chosen = getattr(self, option)
            if chosen is not None and chosen not in allowed:
                raise ConfigError(f"--{option} must be one of {', '.join(allowed)}, is {chosen!r}.")

    def given(self, names: Sequence[str]) -> dict[str, Any]:
        """Those of these options that the call sets."""
        return {name: value for name in names if (value := getattr(self, name)) is not None}

    def applied(self, config: Config) -> Config:
        """The configuration with what the call sets.

        Raises ConfigError: an option of a tail where the branch is searched, or the other way round.
        """
        search, branch, trunk = self.given(SEARCH), self.given(TAIL), self.given(("freeze_depth",))
        if self.max_parameters is not None:
            search["max_parameters"] = int(self.max_parameters)
        kind = self.branch or config.branch.kind
        idle = [name for name, value in search.items() if value is not False] if kind == "tail" else list(branch)
        if idle:
            why = (
                "a branch of the kind tail is not searched; add --branch searched"
                if kind == "tail"
                else ("a search decides that by itself; add --branch tail")
            )
            raise ConfigError(f"{option_of(idle[0])} has no meaning here: {why}.")
        update = {
            "search": config.search.model_copy(update=search),
            "branch": config.branch.model_copy(update={"kind": kind, **branch}),
            "trunk": config.trunk.model_copy(update=trunk),
        }
        given = {name: list(keys) for name, keys in (("search", search), ("branch", branch), ("trunk", trunk))}
        if self.branch:
            given["branch"].append("kind")
        set_here = [(table, key) for table, keys in given.items() for key in keys]
        return without(config.model_copy(update=update), set_here)


def option_of(name: str) -> str:
    """A field as the command line writes it."""
    return f"--{name.replace('_', '-')}"


NONE = Overrides()


def open_overridden(folder: Path | None, overrides: Overrides = NONE, attribute: str | None = None) -> Project:
    """The project in `folder` or around the working directory, as `attribute` has it, with what the call sets."""
    project = open_project(folder)
    return overridden(project_of(project, attribute) if attribute else project, overrides)


def overridden(project: Project, overrides: Overrides) -> Project:
    """An open project with what the call sets."""
    return replace(project, config=overrides.applied(project.config))
