"""graftnet bundle: look at a bundle, add and remove branches, make it faster."""

from pathlib import Path
from typing import Annotated

import typer

from graftnet.answer import answer
from graftnet.options import Folder, Json

app = typer.Typer(no_args_is_help=True, help="Look at a bundle, add and remove branches, make it faster.")

Bundle = Annotated[Path, typer.Argument(metavar="DIR", exists=True, file_okay=False, help="A bundle.")]
Attribute = Annotated[str, typer.Argument(metavar="ATTR", help="An attribute.")]


@app.command("show")
def show(folder: Bundle, as_json: Json = False) -> None:
    """What a bundle holds: attributes, thresholds, graphs and their figures.

    \b
    Examples:
      graftnet bundle show runs/exports/bundle
    """
    from deployment.runtime.files import read_bundle, read_labels

    index = read_bundle(folder)
    lines = [f"{folder}: {index['backbone']}, {index['preprocessing']['size']} px, trunk {index['fingerprint'][:12]}"]
    for name, part in index["branches"].items():
        threshold = "" if part["threshold"] is None else f", threshold {part['threshold']:.3f}"
        lines.append(f"  {name}: {' / '.join(part['values'])}{threshold}, after {part['freeze_depth']} blocks")
    if part := index.get("label_graph"):
        labels = read_labels(folder / part["folder"])["labels"]
        lines.append(f"  label graph: {', '.join(label['name'] for label in labels)}")
    for name, part in index.get("variants", {}).items():
        times, where = part["milliseconds"], part["measured"]
        lines.append(
            f"  {name}: {times['variant']:.2f} ms against {times['plain']:.2f} ms ({part['ratio']:.2f} x) on "
            f"{where['processor']}, largest difference of a score {part['largest_difference']:.1e}"
        )
        lines += [
            f"    {attribute}: loses {max(0.0, said['loss']):.4f} on {said['images']} val images"
            for attribute, said in part.get("scores", {}).items()
        ]
    answer(index, "\n".join(lines), as_json=as_json)


@app.command("add")
def add(attribute: Attribute, folder: Bundle, project: Folder = None, as_json: Json = False) -> None:
    """Add a grafted branch to a bundle, or put a newer one in its place.

    No other branch's files change; the index and graftnet.onnx do.

    \b
    Examples:
      graftnet bundle add bald runs/exports/bundle
    """
    from graftnet.bundling import add_to_bundle
    from graftnet.project import open_project

    name = add_to_bundle(open_project(project), attribute, folder)
    answer({"added": name, "folder": folder}, f"Added {name} to {folder}.", as_json=as_json)


@app.command("remove")
def remove(attribute: Attribute, folder: Bundle, as_json: Json = False) -> None:
    """Take a branch out of a bundle.

    \b
    Examples:
      graftnet bundle remove bald runs/exports/bundle
    """
    from deployment.bundle.change import remove_branch

    remove_branch(folder, attribute)
    answer({"removed": attribute, "folder": folder}, f"Removed {attribute} from {folder}.", as_json=as_json)


@app.command("labels")
def labels(
    exported: Annotated[
        Path, typer.Argument(metavar="FOLDER", exists=True, file_okay=False, help="An exported label graph.")
    ],
    folder: Bundle,
    as_json: Json = False,
) -> None:
    """Put a label graph's classifiers into a bundle, on the same trunk.

    \b
    Examples:
      graftnet bundle labels runs/exports/label_graph runs/exports/bundle
    """
    from deployment.bundle.label_graph import put_label_graph

    names = put_label_graph(folder, exported)
    answer({"labels": names, "folder": folder}, f"Put {len(names)} labels into {folder}.", as_json=as_json)


@app.command("speed-up")
def speed_up(
    folder: Bundle,
    by: Annotated[str, typer.Option("--by", metavar="WAY", help="int8.")] = "int8",
    loss: Annotated[
        float, typer.Option("--loss", min=0, metavar="X", help="What AUROC or balanced accuracy may fall by.")
    ] = 0.005,
    images: Annotated[
        int, typer.Option("--images", min=2, metavar="N", help="Val images per attribute, at most.")
    ] = 500,
    batch: Annotated[int, typer.Option("--batch", min=1, metavar="N", help="Images at a time, for the time.")] = 1,
    rounds: Annotated[int, typer.Option("--rounds", min=1, metavar="N", help="Runs that the median is of.")] = 30,
    threads: Annotated[int, typer.Option("--threads", min=0, metavar="N", help="0: as many as onnxruntime likes.")] = 0,
    device: Annotated[str, typer.Option("--device", metavar="NAME", help="cpu, cuda or auto.")] = "cpu",
    project: Folder = None,
    as_json: Json = False,
) -> None:
    """Make a faster graph of a bundle, and keep it only where it is one.

    int8 is judged on the project's val images and kept only where no attribute
    loses more than --loss. Exit code 1: refused, with the figures.

    \b
    Examples:
      graftnet bundle speed-up runs/exports/bundle --by int8 --loss 0.002
    """
    from deployment.bundle.variants import KINDS
    from graftnet import bundling
    from graftnet.errors import ConfigError
    from graftnet.project import open_project

    if by not in KINDS:
        raise ConfigError(
            f"--by must be {' or '.join(KINDS)}, is {by!r}; fused stems and float16 gained too little and are gone."
        )

    how = {"loss": loss, "batch": batch, "rounds": rounds, "threads": threads, "device": device}
    outcome = bundling.speed_up(open_project(project), folder, by, images=images, **how)
    sentence = outcome.sentence[0].upper() + outcome.sentence[1:] + "."
    answer({"kept": outcome.kept, "sentence": sentence, **outcome.record}, sentence, as_json=as_json)
    if not outcome.kept:
        raise typer.Exit(1)
