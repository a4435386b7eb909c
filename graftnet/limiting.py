"""The limits of a call, in place of those of graftnet.toml."""

import math

from graftnet.config import Config
from graftnet.errors import ConfigError


def limited(
    config: Config,
    *,
    max_parameters: float | None = None,
    max_macs: float | None = None,
    max_latency: float | None = None,
) -> Config:
    """The configuration with the limits that are given; None leaves graftnet.toml's.

    Raises:
        ConfigError: a limit is not above 0, or not a whole number of parameters.
    """
    given = {
        name: value
        for name, value in (("max_parameters", max_parameters), ("max_macs", max_macs), ("max_latency", max_latency))
        if value is not None
    }
    for name, value in given.items():
        if not (value > 0 and math.isfinite(value)):
            raise ConfigError(f"--{name.replace('_', '-')} must be above 0, is {value:g}; leave it out for no limit.")
    if max_parameters is not None:
        if max_parameters != int(max_parameters):
            raise ConfigError(f"--max-parameters must be a whole number, is {max_parameters:g}.")
        given["max_parameters"] = int(max_parameters)
    return config.model_copy(update={"search": config.search.model_copy(update=given)})
