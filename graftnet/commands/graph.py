"""graftnet graph: one classifier per label, made by a graph of the labels that occur together."""

from pathlib import Path
from typing import Annotated

import typer

from graftnet.answer import answer
from graftnet.options import Device, Folder, Json, Seed

app = typer.Typer(no_args_is_help=True, help="The label graph: attributes that occur together help each other.")


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
    from graftnet.graphing import train_graph

    found = train_graph(project, attributes or [], seed=seed, device=device, force=force)
    answer(found.record(), found.text(), as_json=as_json)


@app.command("report")
def report(project: Folder = None, as_json: Json = False) -> None:
    """Write the newest run's page again.

    One self-contained file; it needs no network.
    """
    from graftnet.graphing import newest_run, with_report
    from graftnet.project import open_project

    page = with_report(newest_run(open_project(project))).report
    answer({"report": page}, str(page), as_json=as_json)


@app.command("list")
def list_(project: Folder = None, as_json: Json = False) -> None:
    """List the runs of the label graph, oldest first."""
    from graftnet.graphing import list_runs

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
    from graftnet.graphing import export_graph

    folder = export_graph(project, destination)
    answer({"folder": folder}, f"Exported the label graph's classifiers ({folder}).", as_json=as_json)
