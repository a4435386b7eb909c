"""Call a label graph as the command line does: train and compare, list the runs, export the classifiers."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import typer

from foundation.records import read_json, reading
from graftnet.errors import ConfigError
from graftnet.project.folder import Project, open_project
from graftnet.project.machine import choose_device
from graftnet.project.settings import seed_or
from graftnet.terminal.output import Answer, show_progress, text_table

NAMES = {
    "cooccurrence": "label graph",
    "identity": "identity graph",
    "none": "no graph",
    "branches": "branches",
    "combined": "branches + graph",
}
COLUMNS = (("map", "mAP"), ("cf1", "CF1"), ("of1", "OF1"), ("mean_accuracy", "mA"))


def train_graph(
    folder: Path | None, attributes: Sequence[str], *, seed: int | None, device: str, force: bool
) -> Answer:
    """Train and compare a project's label graph, continue that, or return the current run."""
    project = open_project(folder)
    for name in attributes:
        project.source(name)
    chosen = choose_device(device)
    from graftnet.label_graphs.plan import plan_graph
    from graftnet.label_graphs.run import run_graph
    from graftnet.trunks.versions import open_trunk

    trunk = open_trunk(project, chosen)
    plan = plan_graph(project, trunk, attributes, seed=seed_or(seed, project), device=chosen, force=force)
    if (force or not plan.finished) and plan.few_sentence:
        typer.echo(plan.few_sentence, err=True)
    with show_progress() as progress:
        run = run_graph(plan, trunk, device=chosen, progress=progress, force=force)
    return with_report(run)


def with_report(folder: Path) -> Answer:
    """Write the page of a finished run."""
    from reports.label_graph import write_label_graph_report

    return graph_run(folder, write_label_graph_report(folder))


def graph_run(folder: Path, report: Path) -> Answer:
    """A finished run of the label graph: the verdict, a table of the methods, and where to look."""
    path = folder / "result.json"
    with reading(path):
        return shown_run(read_json(path), folder, report)


def shown_run(result: dict[str, Any], folder: Path, report: Path) -> Answer:
    """What a result says, with the table of its methods."""
    split = result["measured_on"]
    rows = [(f"on {split}", "labels", *(title for _, title in COLUMNS))]
    for method, name in NAMES.items():
        if figures := result["methods"].get(method):
            cells = (figures[split][key] for key, _ in COLUMNS)
            rows.append(
                (name, str(figures["labels"]), *("-" if cell is None else f"{100 * cell:.1f}" for cell in cells))
            )
    lines = [result["verdict"], *(f"  {line}" for line in text_table(rows, "<>>>>>"))]
    if result["graph"]["estimated"]:
        lines.append(
            f"  {result['graph']['estimated_pairs']} pairs of labels have no common image; how often they meet is "
            f"estimated from predictions."
        )
    lines += [*(f"  note: {note}" for note in result["notes"]), f"  result {folder}", f"  report {report}"]
    lines.append("Next: graftnet graph export, which writes the classifiers as ONNX")
    shown = ("verdict", "chosen", "measured_on", "images", "methods", "gains", "combination", "notes", "seconds")
    record = {
        **{key: result[key] for key in shown},
        "estimated": result["graph"]["estimated"],
        "folder": str(folder),
        "report": str(report),
    }
    return Answer(record, "\n".join(lines))


def newest_run(project: Project) -> Path:
    """The folder of the newest finished run.

    Raises:
        ConfigError: there is none.
    """
    from graftnet.label_graphs.run import runs_of

    runs = runs_of(project)
    if not runs:
        raise ConfigError(f"{project.folder} has no label graph yet; train one with `graftnet graph train`.")
    return runs[-1]


def list_runs(folder: Path | None) -> list[dict[str, Any]]:
    """The finished runs, oldest first, each with its folder and verdict."""
    from graftnet.label_graphs.run import runs_of

    rows = []
    for run in runs_of(open_project(folder)):
        path = run / "result.json"
        result = read_json(path)
        with reading(path):
            shown = {key: result[key] for key in ("created", "chosen", "verdict")}
            rows.append({"folder": str(run), "labels": len(result["labels"]), **shown})
    return rows


def export_graph(folder: Path | None, destination: Path | None) -> Path:
    """Write the newest run's classifiers as a deployable folder, for the trunk that is served.

    Its golden features are those of the project's own images, where there are enough.
    """
    project = open_project(folder)
    run = newest_run(project)
    import torch

    from deployment.bundle.label_graph import export_label_graph
    from graftnet.bundles.tree import golden_images
    from graftnet.trunks.versions import open_trunk
    from label_graph.saved import load_classifiers

    trunk = open_trunk(project, torch.device("cpu"))
    _, record = load_classifiers(run)
    golden = None
    if record.fingerprint == trunk.fingerprint:
        images = golden_images(project, trunk, list(dict.fromkeys(label.attribute for label in record.labels)))
        golden = None if images is None else trunk(images, record.freeze_depth)
    target = destination or project.exports / "label_graph"
    return export_label_graph(run, target, golden=golden, fingerprint=trunk.fingerprint)
