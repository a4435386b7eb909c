"""What a call sets for itself, in place of graftnet.toml's [search]."""

import math
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, get_args

from graftnet.config import Config, Strategy
from graftnet.errors import ConfigError
from graftnet.project import Project, open_project


@dataclass(frozen=True)
class Overrides:
    """The options of a call that are settings of [search]; None leaves graftnet.toml's.

    Raises ConfigError: there is no such strategy, a limit is not above 0, or not a whole number of parameters.
    """

    strategy: str | None = None
    max_parameters: float | None = None
    max_macs: float | None = None
    max_latency: float | None = None
    warm_start: bool | None = None

    def __post_init__(self) -> None:
        known = get_args(Strategy)
        if self.strategy is not None and self.strategy not in known:
            raise ConfigError(f"--strategy must be one of {', '.join(known)}, is {self.strategy!r}.")
        for name in ("max_parameters", "max_macs", "max_latency"):
            value = getattr(self, name)
            if value is not None and not (value > 0 and math.isfinite(value)):
                option = f"--{name.replace('_', '-')}"
                raise ConfigError(f"{option} must be above 0, is {value:g}; leave it out for no limit.")
        if self.max_parameters is not None and self.max_parameters != int(self.max_parameters):
            raise ConfigError(f"--max-parameters must be a whole number, is {self.max_parameters:g}.")

    def applied(self, config: Config) -> Config:
        """The configuration with what the call sets."""
        given: dict[str, Any] = {name: value for name, value in vars(self).items() if value is not None}
        if self.max_parameters is not None:
            given["max_parameters"] = int(self.max_parameters)
        return config.model_copy(update={"search": config.search.model_copy(update=given)})


NONE = Overrides()


def open_overridden(folder: Path | None, overrides: Overrides = NONE) -> Project:
    """The project in `folder` or around the working directory, with what the call sets."""
    return overridden(open_project(folder), overrides)


def overridden(project: Project, overrides: Overrides) -> Project:
    """An open project with what the call sets."""
    return replace(project, config=overrides.applied(project.config))
