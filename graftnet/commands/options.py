"""Options that many commands share, and those that are the fields of a dataclass."""

import inspect
from collections.abc import Callable
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

from graftnet.errors import ConfigError

# The parts of `graftnet --help`, in their order.
PANELS = START, SEARCH, USE, HELP = ("Start a project", "Search", "Look and deploy", "Help")

Folder = Annotated[
    Path | None,
    typer.Option("--project", "-p", metavar="DIR", help="The project folder. Default: found from here upward."),
]
Json = Annotated[bool, typer.Option("--json", help="The last line of standard output is one JSON object.")]
Seed = Annotated[
    int | None,
    typer.Option("--seed", min=0, metavar="N", help="Makes the run repeatable. Default: project.seed."),
]
Device = Annotated[str, typer.Option("--device", metavar="NAME", help="auto, cpu, cuda (cuda:1) or mps.")]
Rehash = Annotated[
    bool, typer.Option("--rehash", help="Read every image again, also those that have not changed since.")
]
TableFile = Annotated[
    Path | None,
    typer.Option("--output", "-o", metavar="FILE", help="Write the table here, as a CSV of 1, 0 and blank."),
]
Replace = Annotated[
    bool, typer.Option("--replace", help="Write in the place of what is there, and keep that under a dated name.")
]

Images = Annotated[
    Path | None,
    typer.Option("--images", metavar="DIR", exists=True, file_okay=False, help="Where the table's images are."),
]

# Of a bundle's answers, a panel of `serve` and `predict`.
ANSWERS = "Answers"
RelationsFile = Annotated[
    Path | None,
    typer.Option(
        "--relations",
        metavar="FILE",
        exists=True,
        dir_okay=False,
        rich_help_panel=ANSWERS,
        help="Say what breaks the \\[\\[relations]] of this TOML.",
    ),
]
Repair = Annotated[
    bool, typer.Option("--repair", rich_help_panel=ANSWERS, help="With --relations: change such answers.")
]


def require_with_relations(relations: Path | None, repair: bool) -> None:
    """Refuse --repair without relations.

    Raises:
        ConfigError: it has none.
    """
    if repair and relations is None:
        raise ConfigError("--repair goes with --relations FILE; a project's graftnet.toml is one.")


def spread(command: Callable[..., None]) -> Callable[..., None]:
    """A command whose parameters that are dataclasses become an option per field; the command gets them whole.

    A field is `Annotated[kind, typer.Option(...)]` with a default.
    """
    signature = inspect.signature(command)
    whole: dict[str, Any] = {
        name: each.annotation for name, each in signature.parameters.items() if is_dataclass(each.annotation)
    }
    parameters: list[inspect.Parameter] = []
    for name, parameter in signature.parameters.items():
        if name in whole:
            parameters += [
                inspect.Parameter(field.name, parameter.kind, default=field.default, annotation=field.type)
                for field in fields(whole[name])
            ]
        else:
            parameters.append(parameter)

    def called(**values: Any) -> None:
        for name, kind in whole.items():
            values[name] = kind(**{field.name: values.pop(field.name) for field in fields(kind)})
        command(**values)

    called.__name__, called.__doc__ = command.__name__, command.__doc__
    called.__signature__ = signature.replace(parameters=parameters)  # type: ignore[attr-defined]
    called.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    return called
