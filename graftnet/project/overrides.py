"""Options of `graftnet search`: what one call sets in place of graftnet.toml, and where its searches run.

An option is a field of :class:`Overrides`, which says what it is called, how --help explains it and which key it sets;
the command line makes its options of the fields. What is imported at the top is light, for --help reads it; nor are
methods made that nobody calls, which takes longer than all the rest.
"""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import typer

from graftnet.errors import ConfigError

if TYPE_CHECKING:
    from graftnet.project.config import Config
    from graftnet.project.folder import Project


PLACES = ("here", "ray")


class Sets(NamedTuple):
    """The key of graftnet.toml that an option sets; "": the one of the option's name."""

    table: str
    key: str = ""


@dataclass(frozen=True, eq=False, repr=False)
class Overrides:
    """The options of a call that are settings of [search], [branch] and [trunk]; None leaves graftnet.toml's.

    Raises ConfigError: a name that there is not, a limit that is not above 0, or is not a whole number of parameters.
    """

    strategy: Annotated[
        str | None,
        Sets("search"),
        typer.Option(
            metavar="NAME",
            help="How it is searched: auto, enas, controller, random, local, surrogate, nni-random, nni-evolution or "
            "nni-darts.",
        ),
    ] = None
    minutes: Annotated[
        float | None,
        Sets("search"),
        typer.Option(metavar="N", help="Epochs, candidates and trainings for about so long, features aside."),
    ] = None
    max_parameters: Annotated[
        float | None, Sets("search"), typer.Option(metavar="N", help="No branch with more is considered.")
    ] = None
    max_macs: Annotated[
        float | None, Sets("search"), typer.Option(metavar="N", help="Likewise, multiply-accumulates per image.")
    ] = None
    max_latency: Annotated[
        float | None, Sets("search"), typer.Option(metavar="MS", help="Likewise, milliseconds on this device.")
    ] = None
    branch: Annotated[
        str | None,
        Sets("branch", "kind"),
        typer.Option(
            metavar="KIND",
            help="searched, or tail: the backbone's own next blocks, fine-tuned; nothing is searched.",
        ),
    ] = None
    blocks: Annotated[
        int | None,
        Sets("branch"),
        typer.Option(min=1, metavar="N", help="Of a tail: it ends after the backbone's first N blocks."),
    ] = None
    pooling: Annotated[
        str | None,
        Sets("branch"),
        typer.Option(metavar="NAME", help="Of a tail: how it pools, as branch.pooling."),
    ] = None
    width: Annotated[
        int | None,
        Sets("branch"),
        typer.Option(min=1, metavar="N", help="Of a tail: channels before bilinear pooling."),
    ] = None
    freeze_depth: Annotated[
        int | None, Sets("trunk"), typer.Option(min=1, metavar="N", help="Blocks of the trunk that this branch reads.")
    ] = None
    warm_start: Annotated[
        bool | None,
        Sets("search"),
        typer.Option(
            "--warm-start/--cold-start", help="From what earlier attributes learned. Default: search.warm_start."
        ),
    ] = None

    def __post_init__(self) -> None:
        for name in ("minutes", "max_parameters", "max_macs", "max_latency"):
            value = getattr(self, name)
            if value is not None and not (value > 0 and math.isfinite(value)):
                raise ConfigError(f"{option_of(name)} must be above 0, is {value:g}; leave it out for no limit.")
        if self.max_parameters is not None and self.max_parameters != int(self.max_parameters):
            raise ConfigError(f"--max-parameters must be a whole number, is {self.max_parameters:g}.")
        for option, (table, key), value in self.given():
            for known in choices(table, key):
                if value not in known:
                    raise ConfigError(f"{option} must be one of {', '.join(known)}, is {value!r}.")

    def given(self, *tables: str) -> Iterator[tuple[str, tuple[str, str], Any]]:
        """(option, (table, key), value) of what the call sets: in these tables, or in all."""
        for field in fields(Overrides):
            value = getattr(self, field.name)
            sets = next(rule for rule in field.type.__metadata__ if isinstance(rule, Sets))  # type: ignore[union-attr]
            if value is not None and (not tables or sets.table in tables):
                value = int(value) if field.name == "max_parameters" else value
                yield option_of(field.name), (sets.table, sets.key or field.name), value

    def applied(self, config: "Config") -> "Config":
        """The configuration with what the call sets.

        Raises ConfigError: an option of a tail where the branch is searched, or the other way round.
        """
        if (self.branch or config.branch.kind) == "tail":
            idle = [option for option, _, value in self.given("search") if value is not False]
            why = "a branch of the kind tail is not searched; add --branch searched"
        else:
            idle = [option for option, _, _ in self.given("branch") if option != "--branch"]
            why = "a search decides that by itself; add --branch tail"
        if idle:
            raise ConfigError(f"{idle[0]} has no meaning here: {why}.")
        return with_keys(config, {key: value for _, key, value in self.given()})


@dataclass(frozen=True, eq=False, repr=False)
class PresetOverrides(Overrides):
    """The options of a call beside a preset, `PRESETS`, of which they are exceptions."""

    preset: str = ""

    def applied(self, config: "Config") -> "Config":
        """The configuration with what the preset sets, and then with what the options do."""
        hand = (self.branch or config.branch.kind) == "tail"
        keys = {key: value for key, value in PRESETS[self.preset].items() if not (hand and key[0] == "search")}
        return super().applied(with_keys(config, keys))


# What --quick and --thorough set: a first look in a fraction of the time, and all that is known to help.
PRESETS: dict[str, dict[tuple[str, str], Any]] = {
    "quick": {
        ("search", "epochs"): 8,
        ("search", "warmup_epochs"): 2,
        ("search", "trials"): 16,
        ("search", "candidates"): 40,
        ("search", "retrain_top"): 2,
        ("retrain", "epochs"): 6,
        ("retrain", "repeats"): 1,
        ("controls", "tail"): False,
    },
    "thorough": {
        ("search", "epochs"): 40,
        ("search", "warmup_epochs"): 8,
        ("search", "trials"): 100,
        ("search", "candidates"): 200,
        ("search", "finalists"): 16,
        ("search", "near_trainings"): 3,
        ("search", "least_val"): 20,
        ("retrain", "repeats"): 5,
        ("controls", "tail_share"): 1.0,
    },
}


def with_preset(overrides: Overrides, *, quick: bool, thorough: bool) -> Overrides:
    """The options with the preset that was asked for.

    Raises:
        ConfigError: both were.
    """
    if quick and thorough:
        raise ConfigError("--quick and --thorough are opposites; give one of them.")
    if not (quick or thorough):
        return overrides
    values = {field.name: getattr(overrides, field.name) for field in fields(overrides)}
    return PresetOverrides(**values, preset="quick" if quick else "thorough")


def with_keys(config: "Config", keys: Mapping[tuple[str, str], Any]) -> "Config":
    """The configuration with these (table, key) set, for all attributes."""
    from graftnet.project.config import without

    for (table, key), value in keys.items():
        changed = getattr(config, table).model_copy(update={key: value})
        config = config.model_copy(update={table: changed})
    return without(config, keys)


def choices(table: str, key: str) -> list[tuple[str, ...]]:
    """The names that a key of graftnet.toml may take, where it takes names."""
    from foundation.bounds import OneOf
    from graftnet.project.config import Config

    field = type(getattr(Config(), table)).model_fields[key]
    return [rule.names for rule in field.metadata if isinstance(rule, OneOf)]


def option_of(name: str) -> str:
    """A field as the command line writes it."""
    return f"--{name.replace('_', '-')}"


NONE = Overrides()


@dataclass(frozen=True, repr=False)
class PlaceOptions:
    """How many attributes are searched at a time, and on which machines."""

    workers: Annotated[
        int | None, typer.Option(min=1, metavar="N", help="With --all: N attributes at a time. Default: 1.")
    ] = None
    on: Annotated[str, typer.Option(metavar="PLACE", help="With --all: here, or ray for a Ray cluster.")] = "here"
    address: Annotated[
        str | None, typer.Option(metavar="ADDR", help="With --on ray: the cluster. Default: one of this machine.")
    ] = None
    cpus: Annotated[
        float | None, typer.Option(min=0, metavar="N", help="With --on ray: CPUs for each attribute. Default: 1.")
    ] = None
    gpus: Annotated[
        float | None,
        typer.Option(min=0, metavar="N", help="With --on ray: GPUs for each. Default: 1 if there are any."),
    ] = None

    @property
    def given(self) -> list[str]:
        """The options that the call sets."""
        return [f"--{field.name}" for field in fields(self) if getattr(self, field.name) != field.default]


HERE = PlaceOptions()


def open_overridden(folder: Path | None, overrides: Overrides = NONE, attribute: str | None = None) -> "Project":
    """The project in `folder` or around the working directory, as `attribute` has it, with what the call sets."""
    from graftnet.project.config import project_of
    from graftnet.project.folder import open_project

    project = open_project(folder)
    return overridden(project_of(project, attribute) if attribute else project, overrides)


def overridden(project: "Project", overrides: Overrides) -> "Project":
    """An open project with what the call sets."""
    return replace(project, config=overrides.applied(project.config))
