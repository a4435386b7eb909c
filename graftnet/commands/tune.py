"""graftnet tune: freeze depth, space and recipe of an attribute, or the label graph, by Optuna."""

from dataclasses import dataclass
from typing import Annotated, Any

import typer

from graftnet.commands.options import SEARCH, Device, Folder, Json, Seed, spread
from graftnet.terminal.output import answer

commands = typer.Typer()
app = typer.Typer(no_args_is_help=True, help="Tune depth and recipe of an attribute, or the label graph (Optuna).")
commands.add_typer(app, name="tune", rich_help_panel=SEARCH)


Trials = Annotated[int, typer.Option(min=1, metavar="N", help="In all, those of earlier calls included.")]
Storage = Annotated[
    str, typer.Option(metavar="URL", help="An Optuna storage, as postgresql://user@host/name. Default: a SQLite file.")
]


@dataclass(eq=False, repr=False)
class DepthOptions:
    """The options of a depth study that are fields of `graftnet.studies.plan.TuneRequest`."""

    trials: Trials = 30
    storage: Storage = ""
    second: Annotated[
        str, typer.Option(metavar="NAME", help="The second objective: parameters, or latency (measured).")
    ] = "parameters"
    depths: Annotated[str | None, typer.Option(metavar="LIST", help="Depths to try, as 3,4,5. Default: all.")] = None
    with_tail: Annotated[
        bool, typer.Option("--with-tail", help="Also try the backbone's own blocks behind each depth, fine-tuned.")
    ] = False
    epochs: Annotated[int, typer.Option(min=1, metavar="N", help="Of a trial's final training.")] = 6
    draws: Annotated[
        int, typer.Option(min=1, metavar="N", help="Architectures that a trial draws and trains shortly.")
    ] = 4
    draw_epochs: Annotated[int, typer.Option(min=1, metavar="N", help="Of each of those.")] = 1
    rule: Annotated[
        str, typer.Option("--pick", metavar="RULE", help="smallest_within (the tolerance of the best), or best.")
    ] = "smallest_within"
    tolerance: Annotated[float, typer.Option(min=0, metavar="X", help="In standard errors of the best val score.")] = (
        1.0
    )


DEPTH = DepthOptions()
Workers = Annotated[int, typer.Option("--workers", min=1, metavar="N", help="So many processes at once.")]
Subject = Annotated[str, typer.Argument(metavar="ATTR|gcn", help="An attribute, or gcn for the label graph.")]


@app.command()
@spread
def depth(
    attribute: Annotated[str, typer.Argument(metavar="ATTR", help="An attribute with a sub-dataset.")],
    options: DepthOptions = DEPTH,
    workers: Workers = 1,
    project: Folder = None,
    seed: Seed = None,
    device: Device = "auto",
    as_json: Json = False,
) -> None:
    """Tune where an attribute's branch leaves the trunk, its space and its recipe.

    Each trial is a small search at one depth; two objectives: the val score, and
    parameters or latency. The features of all depths are computed in one pass of
    the trunk. Unpromising trials are stopped early; test is never looked at.

    \b
    Examples:
      graftnet tune depth bald
      graftnet tune depth bald --trials 60 --workers 2
      graftnet tune depth bald --second latency --depths 4,5,6 --with-tail
      graftnet tune depth bald --storage postgresql://user@host/studies

    After Ctrl-C or kill call it again: it continues. The same call on another
    machine with the same --storage helps.
    """
    from graftnet.studies.run import depths_of, tune_call

    given = {**vars(options), "depths": depths_of(options.depths)}
    tuned = tune_call(project, "depth", attribute, seed=seed, device=device, workers=workers, **given)
    answer(*tuned, as_json=as_json)


@app.command()
def gcn(
    trials: Trials = 30,
    storage: Storage = "",
    workers: Workers = 1,
    project: Folder = None,
    seed: Seed = None,
    device: Device = "auto",
    as_json: Json = False,
) -> None:
    """Tune the label graph: edges, nodes, layers, loss and learning rate, for val mAP.

    \b
    Examples:
      graftnet tune gcn
      graftnet tune gcn --trials 100 --workers 2

    After Ctrl-C or kill call it again: it continues.
    """
    from graftnet.studies.run import tune_call

    given: dict[str, Any] = {"trials": trials, "storage": storage}
    tuned = tune_call(project, "gcn", seed=seed, device=device, workers=workers, rule="best", **given)
    answer(*tuned, as_json=as_json)


@app.command()
def apply(
    subject: Subject,
    trial: Annotated[
        int | None, typer.Option(min=0, metavar="N", help="Another finished trial than the picked one.")
    ] = None,
    project: Folder = None,
    as_json: Json = False,
) -> None:
    """Write what a study found into graftnet.toml.

    The picked trial of the attribute's newest study; comments are kept, and only
    that attribute is changed.

    \b
    Examples:
      graftnet tune apply bald
      graftnet tune apply bald --trial 17
      graftnet tune apply gcn
    """
    from graftnet.project.folder import open_project
    from graftnet.studies.records import apply_study

    applied = apply_study(open_project(project), subject, trial=trial)
    answer(*applied, as_json=as_json)


@app.command()
def show(subject: Subject, project: Folder = None, as_json: Json = False) -> None:
    """Show an attribute's newest study, and write its report anew.

    \b
    Examples:
      graftnet tune show bald
    """
    from graftnet.project.folder import open_project
    from graftnet.studies.records import newest_study
    from graftnet.studies.run import tuned_in

    tuned = tuned_in(newest_study(open_project(project), subject))
    answer(*tuned, as_json=as_json)


@app.command("list")
def list_(project: Folder = None, as_json: Json = False) -> None:
    """List the project's studies, the newest last.

    \b
    Examples:
      graftnet tune list
    """
    from graftnet.project.folder import open_project
    from graftnet.studies.run import studies_in

    answer(*studies_in(open_project(project)), as_json=as_json)
