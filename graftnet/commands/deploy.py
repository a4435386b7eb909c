"""graftnet export, verify, predict and bundle: branches that work without this toolkit."""

import json
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Annotated, Any

import typer

from deployment.targets import TARGETS
from graftnet.commands.options import USE, Folder, Json, RelationsFile, Repair, require_with_relations
from graftnet.terminal.output import answer, show_progress

commands = typer.Typer()

QUIET = 32  # images that are answered without showing progress
FORMS = "; ".join(f"{name}: {target.help}, for {target.needs}" for name, target in TARGETS.items())
Bundle = Annotated[
    Path,
    typer.Argument(metavar="DIR", exists=True, file_okay=False, help="An exported branch, or a whole bundle."),
]


@commands.command("export", rich_help_panel=USE)
def export(
    attribute: Annotated[str | None, typer.Argument(metavar="ATTR", help="A grafted attribute.")] = None,
    everything: Annotated[bool, typer.Option("--all", help="Every grafted attribute, as one bundle.")] = False,
    out: Annotated[Path | None, typer.Option("--out", metavar="DIR", help="Default: under runs/exports.")] = None,
    target: Annotated[str, typer.Option("--target", metavar="FORM", help=f"{FORMS}.")] = "bundle",
    project: Folder = None,
    as_json: Json = False,
) -> None:
    """Export grafted branches for deployment.

    The trunk once; per branch its plain source, weights, ONNX, golden outputs
    and model card; all of it as one ONNX graph. Or another form (--target).

    \b
    Examples:
      graftnet export bald
      graftnet export --all --out bundle/
      graftnet export --all --target triton --out models/
    """
    from graftnet.errors import ConfigError
    from graftnet.project.folder import open_project
    from graftnet.trunks.served import grafted

    home = open_project(project)
    if (attribute is None) != everything:
        raise ConfigError("Name one attribute, or give --all; see `graftnet export --help`.")
    names = list(grafted(home.tree)) if everything else [str(attribute)]
    if not names:
        raise ConfigError("No branch is grafted yet; run `graftnet graft ATTR` first.")
    if target not in TARGETS:
        raise ConfigError(f"--target must be one of {', '.join(TARGETS)}, is {target!r}.")
    from graftnet.bundles.tree import export_as

    default = home.exports / f"{attribute or 'bundle'}{TARGETS[target].ending}"
    written = export_as(home, names, target, out or default)
    is_bundle = (written / "bundle.json").is_file()
    then = f".\nNext: graftnet verify {written}" if is_bundle else ", with the scores of the bundle."
    text = f"Exported {', '.join(names)} to {written}{then}"
    answer({"attributes": names, "folder": written, "target": target}, text, as_json=as_json)


@commands.command("verify", rich_help_panel=USE)
def verify(folder: Bundle, as_json: Json = False) -> None:
    """Check an export against its golden outputs.

    The SHA-256 of every file, and the golden inputs run again; needs
    onnxruntime alone.

    \b
    Examples:
      graftnet verify runs/exports/bundle
    """
    from deployment.runtime import Runtime

    checks = Runtime(folder).verify()
    failed = [check for check in checks if not check["ok"]]
    lines = [
        f"ok      {check['branch']} (largest relative error {check['max_relative_error']:.2g})"
        if check["ok"]
        else f"FAILED  {check['branch']}: {check['problem']}"
        for check in checks
    ]
    answer({"ok": not failed, "branches": checks}, "\n".join(lines), as_json=as_json)
    if failed:
        typer.echo(f"{len(failed)} of {len(checks)} parts are not what was exported; export again.", err=True)
        raise typer.Exit(1)


@commands.command("predict", rich_help_panel=USE)
def predict(
    folder: Bundle,
    images: Annotated[
        list[Path], typer.Argument(metavar="IMAGE...", help="Image files, folders of them, or patterns.")
    ],
    attributes: Annotated[
        str | None, typer.Option("--attributes", metavar="A,B", help="These alone; the other branches are not run.")
    ] = None,
    graph: Annotated[
        str, typer.Option("--graph", metavar="NAME", help="parts, joined, or one of graftnet bundle speed-up.")
    ] = "parts",
    device: Annotated[str, typer.Option("--device", metavar="NAME", help="cpu, cuda or auto.")] = "cpu",
    relations: RelationsFile = None,
    repair: Repair = False,
    lines: Annotated[
        bool, typer.Option("--jsonl", help="One JSON object per image and line, as they are done.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Predict the attributes of image files.

    With an exported branch or bundle; needs onnxruntime alone. An image that
    cannot be read gets an error in its place, the others their answers; the
    exit code is then 1.

    \b
    Examples:
      graftnet predict runs/exports/bundle photo.jpg
      graftnet predict runs/exports/bundle photos/*.jpg --json
      graftnet predict runs/exports/bundle photo.jpg --attributes bald,hat
      graftnet predict runs/exports/bundle photos/ --jsonl > answers.jsonl
      graftnet predict runs/exports/bundle photos/ --relations graftnet.toml --repair
    """
    from deployment.errors import BundleError
    from deployment.rules import Relations
    from deployment.runtime import Runtime
    from deployment.runtime.named import named_images

    if lines and as_json:
        raise BundleError("--json and --jsonl are two forms of the same answers: give one of them")
    names = None if attributes is None else [name.strip() for name in attributes.split(",")]
    require_with_relations(relations, repair)
    runtime = Runtime(folder, graph=graph, device=device)
    held = None if relations is None else Relations.read(relations, runtime.contracts, repair=repair)
    files, passed_over, reasons = named_images(images)
    if passed_over:
        typer.echo(f"Files of other kinds that were passed over: {passed_over}.", err=True)
        typer.echo("\n".join(f"  {count:,} {reason}" for reason, count in reasons.items()), err=True)
    rows = []
    with show_progress() if len(files) > QUIET else nullcontext(lambda *_: None) as progress:
        for done, row in enumerate(runtime.answers(files, attributes=names), start=1):
            if held is not None and "error" not in row:
                row["attributes"], row["relations"] = held.judged(row["attributes"])
            rows.append(row)
            if lines:
                typer.echo(json.dumps(row))
            progress("images", done, len(files), {})
    failed = sum("error" in row for row in rows)
    if not lines:
        record = {"predictions": rows, "failed": failed, "passed_over": passed_over, "reasons": dict(reasons)}
        answer(record, "\n".join(prediction_lines(rows)), as_json=as_json)
    if failed:
        typer.echo(f"{failed} of {len(files)} images could not be read; their place holds the reason.", err=True)
        raise typer.Exit(1)


app = typer.Typer(no_args_is_help=True, help="Look at a bundle, add and remove branches, make it faster.")
commands.add_typer(app, name="bundle", rich_help_panel=USE)

Whole = Annotated[Path, typer.Argument(metavar="DIR", exists=True, file_okay=False, help="A bundle.")]
Attribute = Annotated[str, typer.Argument(metavar="ATTR", help="An attribute.")]


@app.command("show")
def show(folder: Whole, as_json: Json = False) -> None:
    """What a bundle holds: attributes, thresholds, graphs and their figures.

    \b
    Examples:
      graftnet bundle show runs/exports/bundle
    """
    from deployment.runtime.files import read_bundle, read_labels, shape_of

    index = read_bundle(folder)
    size = " x ".join(map(str, shape_of(index["preprocessing"])))
    lines = [f"{folder}: {index['backbone']}, {size} px, trunk {index['fingerprint'][:12]}"]
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
def add(attribute: Attribute, folder: Whole, project: Folder = None, as_json: Json = False) -> None:
    """Add a grafted branch to a bundle, or put a newer one in its place.

    No other branch's files change; the index and graftnet.onnx do.

    \b
    Examples:
      graftnet bundle add bald runs/exports/bundle
    """
    from graftnet.bundles.tree import add_to_bundle
    from graftnet.project.folder import open_project

    name = add_to_bundle(open_project(project), attribute, folder)
    answer({"added": name, "folder": folder}, f"Added {name} to {folder}.", as_json=as_json)


@app.command("remove")
def remove(attribute: Attribute, folder: Whole, as_json: Json = False) -> None:
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
    folder: Whole,
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
    folder: Whole,
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
    from graftnet.bundles import tree as bundling
    from graftnet.errors import ConfigError
    from graftnet.project.folder import open_project

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


def prediction_lines(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """A line per image and attribute: ``photo.jpg  bald = no (yes 0.031, threshold 0.42)``.

    Of two values the positive one's score is shown with its threshold, of more the predicted one's; of an image that
    could not be read the error.
    """
    lines = []
    for row in rows:
        if "error" in row:
            lines.append(f"{row['image']}  error: {row['error']}")
            continue
        for name, prediction in row["attributes"].items():
            value, scores = prediction["value"], prediction["scores"]
            shown = list(scores)[1] if len(scores) == 2 else value
            threshold = "" if prediction["threshold"] is None else f", threshold {prediction['threshold']:.3f}"
            lines.append(f"{row['image']}  {name} = {value} ({shown} {scores[shown]:.3f}{threshold})")
        held = row.get("relations") or {"broken": [], "changed": {}}
        lines += [f"{row['image']}  cannot be: {sentence}" for sentence in held["broken"]]
        lines += [f"{row['image']}  {name}: {said['from']} -> {said['to']}" for name, said in held["changed"].items()]
    return lines
