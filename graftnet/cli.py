"""The command line: `graftnet COMMAND`. What commands do is in graftnet/commands, one file per group."""

import math
import signal
import sys
from collections.abc import Callable, Sequence
from functools import partial
from typing import Annotated, Any, cast

import typer

from graftnet import __version__
from graftnet.commands import data, demo, deploy, graph, label, project, report, search, serve, trunk, tune
from graftnet.commands.options import PANELS
from graftnet.terminal.failures import explain
from graftnet.terminal.output import answer, printable
from graftnet.terminal.stopping import HEARD, INTERRUPTED, exit_code, heed

# Usage errors share this base class, wherever the installed typer keeps its own.
UsageError = cast(type[Exception], typer.BadParameter.__mro__[2])

app = typer.Typer(
    name="graftnet",
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def show_version(wanted: bool) -> None:
    """Print the version and stop."""
    if wanted:
        typer.echo(f"graftnet {__version__}")
        raise typer.Exit


@app.callback(epilog="Exit codes: 0 done, 1 failed at run time, 2 the input or the call was wrong, 130 or 143 stopped.")
def root(
    version: Annotated[
        bool, typer.Option("--version", callback=show_version, is_eager=True, help="Show the version and stop.")
    ] = False,
) -> None:
    """One frozen trunk; for every attribute a small searched branch, grafted on and exported.

    \b
    A first look, in a minute:   graftnet demo --quick
    A project of your own:       graftnet init people && cd people
                                 graftnet data import labels.csv --images photos/
                                 graftnet trunk train
                                 graftnet search --all
                                 graftnet report bald
                                 graftnet graft bald && graftnet export bald
    """


for group in (data, label, trunk, report, search, tune, graph, deploy, serve, demo, project):
    app.registered_commands += group.commands.registered_commands
    app.registered_groups += group.commands.registered_groups
app.registered_commands.sort(key=lambda command: PANELS.index(str(command.rich_help_panel)))


LONGEST = 1e9  # seconds, some thirty years; what waits for longer overflows


def require_finite(command: Any) -> None:
    """Have every option that takes a number refuse infinity, NaN, and of seconds more than anybody waits."""
    for part in getattr(command, "commands", {}).values():
        require_finite(part)
    for option in command.params:
        option.callback = partial(finite, option.callback)


def finite(before: Callable[..., Any] | None, context: Any, option: Any, value: Any) -> Any:
    """The value of an option, if it is a number that can be reckoned with."""
    most = LONGEST if option.name.endswith(("timeout", "poll", "every")) else math.inf
    for number in value if isinstance(value, tuple) else (value,):
        if isinstance(number, float) and not (math.isfinite(number) and number <= most):
            raise typer.BadParameter(f"{number} is no number to reckon with; give a finite one", context, option)
    return before(context, option, value) if before else value


def run(arguments: Sequence[str]) -> int:
    """Run one command line and return its exit code; a user's mistake becomes one sentence on standard error."""
    try:
        command = typer.main.get_command(app)
        require_finite(command)
        code = command.main(args=list(arguments), prog_name="graftnet", standalone_mode=False)
    except (KeyboardInterrupt, typer.Abort):
        code = INTERRUPTED
    except BrokenPipeError:
        # Whoever read our output has seen enough; Python's own flush at exit must not complain either.
        sys.stdout = None
        return 0
    except UsageError as error:
        if type(error).__name__ == "NoArgsIsHelpError":
            typer.echo(error.format_message(), err=True)  # type: ignore[attr-defined]
            return 2
        return fail(usage_sentence(error), 2, arguments)
    except Exception as error:
        if not HEARD:
            return fail(*explain(error), arguments)
        code = INTERRUPTED  # the signal came in the midst of a library, which made this error of it
    if code == INTERRUPTED or HEARD:
        code = exit_code()  # typer says 130 of every KeyboardInterrupt
        return fail("Stopped. What is done is kept; call the same command again to continue.", code, arguments)
    return code if isinstance(code, int) else 0


def usage_sentence(error: Exception) -> str:
    """What is wrong with the call, on one line, and the help page of the command that was called."""
    context = getattr(error, "ctx", None)
    page = f"`{context.command_path if context else 'graftnet'} --help`"
    message = " ".join(error.format_message().split())  # type: ignore[attr-defined]
    return f"{message} See {page}." if message.endswith("?") else f"{message.rstrip('.')}; see {page}."


def fail(message: str, code: int, arguments: Sequence[str]) -> int:
    """Say what went wrong on standard error, and with --json on standard output too."""
    typer.echo(printable(message), err=True)
    if "--json" in arguments:
        answer({"error": message}, "", as_json=True)
    return code


def main() -> None:
    """The console script."""
    for number in (signal.SIGINT, signal.SIGTERM):
        heed(number)
    sys.exit(run(sys.argv[1:]))
