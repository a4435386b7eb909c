"""graftnet graph: one classifier per label, made by a graph of the labels that occur together."""

from pathlib import Path
from typing import Annotated

import typer

from graftnet.commands.options import SEARCH, Device, Folder, Images, Json, Seed
from graftnet.terminal.output import answer

commands = typer.Typer()
app = typer.Typer(no_args_is_help=True, help="The label graph: attributes that occur together help each other.")
commands.add_typer(app, name="graph", rich_help_panel=SEARCH)


@app.command("train")
def train(
    attributes: Annotated[list[str] | None, typer.Argument(metavar="ATTR...", help="Default: all of them.")] = None,
    force: Annotated[bool, typer.Option("--force", help="Train again even where a current run exists.")] = False,
    project: Folder = None,
    seed: Seed = None,
    device: Device = "auto",
    as_json: Json = False,
) -> None:
    """Train label classifiers with and without a graph, and compare.

    The sub-datasets are joined on image content. On the trunk's cached features
    three classifiers are trained: by the graph of labels that occur together
    (IML-GCN), by a graph without edges, and without a graph. Test says once
    what the graph gains, alone and together with the branches.

    \b
    Examples:
      graftnet graph train
      graftnet graph train hat bag belt --seed 1

    Settings: the \\[label_graph] table of graftnet.toml. After Ctrl-C or kill
    call it again: it continues.
    """
    from graftnet.label_graphs.calls import train_graph

    run = train_graph(project, attributes or [], seed=seed, device=device, force=force)
    answer(*run, as_json=as_json)


@app.command("report")
def report(project: Folder = None, as_json: Json = False) -> None:
    """Write the newest run's page again.

    One self-contained file; it needs no network.
    """
    from graftnet.label_graphs.calls import newest_run, with_report
    from graftnet.project.folder import open_project

    page = with_report(newest_run(open_project(project))).record["report"]
    answer({"report": page}, page, as_json=as_json)


@app.command("list")
def list_(project: Folder = None, as_json: Json = False) -> None:
    """List the runs of the label graph, oldest first."""
    from graftnet.label_graphs.calls import list_runs

    rows = list_runs(project)
    lines = [f"{row['created']}  {row['labels']} labels  {row['verdict']}\n  {row['folder']}" for row in rows]
    answer({"runs": rows}, "\n".join(lines) or "No label graph is trained yet.", as_json=as_json)


@app.command("export")
def export(
    destination: Annotated[
        Path | None, typer.Argument(metavar="DIR", help="Default: runs/exports/label_graph.")
    ] = None,
    project: Folder = None,
    as_json: Json = False,
) -> None:
    """Write the newest run's classifiers as ONNX.

    At work the graph is one matrix: label_graph.onnx reads the trunk's features
    and gives a probability per label; label_graph.json is its contract.

    \b
    Examples:
      graftnet graph export
      graftnet graph export deploy/label_graph
    """
    from graftnet.label_graphs.calls import export_graph

    folder = export_graph(project, destination)
    answer({"folder": folder}, f"Exported the label graph's classifiers ({folder}).", as_json=as_json)


@app.command("end-to-end")
def end_to_end(
    table: Annotated[
        Path | None,
        typer.Argument(
            metavar="TABLE.csv",
            exists=True,
            dir_okay=False,
            help="A column per label, 1, 0 or blank, and one for the split. Default: the project's sub-datasets.",
        ),
    ] = None,
    images: Images = None,
    direct_epochs: Annotated[int, typer.Option(min=0, metavar="N", help="Without the graph first; 0 for none.")] = 40,
    epochs: Annotated[int, typer.Option(min=1, metavar="N", help="Then with it.")] = 40,
    learning_rate: Annotated[
        float, typer.Option(min=1e-9, metavar="X", help="Of both; a tenth after 10, 20, 30 epochs.")
    ] = 1e-3,
    fresh: Annotated[bool, typer.Option("--fresh", help="New weights, not those of the trunk in use.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Train again even where it is done.")] = False,
    project: Folder = None,
    seed: Seed = None,
    device: Device = "auto",
    as_json: Json = False,
) -> None:
    """Train the backbone together with the label graph.

    IML-GCN: first the backbone with a plain classifier, then label embeddings
    from what it learnt, then both with the graph. The backbone, image size and
    random changes are those of \\[trunk], the graph that of \\[label_graph].

    \b
    Examples:
      graftnet graph end-to-end
      graftnet graph end-to-end voc.csv --images VOC2007/JPEGImages --device cuda

    What it makes is a trunk of its own, with label classifiers on it; no trunk
    in use changes. After Ctrl-C or kill call it again: it continues.
    """
    from graftnet.label_graphs.end_to_end import Choices, train_end_to_end
    from graftnet.project.folder import open_project
    from graftnet.project.machine import choose_device
    from graftnet.project.settings import seed_or
    from graftnet.terminal.output import show_progress

    home, chosen = open_project(project), choose_device(device)
    choices = Choices(table, images, direct_epochs, epochs, learning_rate, fresh)
    with show_progress() as progress:
        training = train_end_to_end(
            home, choices, seed=seed_or(seed, home), device=chosen, progress=progress, force=force
        )
    answer(*training, as_json=as_json)
