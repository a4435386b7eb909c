"""graftnet export, verify and predict: branches that work without this toolkit."""

from pathlib import Path
from typing import Annotated

import typer

from deployment.targets import TARGETS
from graftnet.answer import answer
from graftnet.options import Folder, Json

FORMS = "; ".join(f"{name}: {target.help}, for {target.needs}" for name, target in TARGETS.items())
Bundle = Annotated[
    Path,
    typer.Argument(metavar="DIR", exists=True, file_okay=False, help="An exported branch, or a whole bundle."),
]


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
    from graftnet.project import open_project
    from graftnet.serving import grafted

    home = open_project(project)
    if (attribute is None) != everything:
        raise ConfigError("Name one attribute, or give --all; see `graftnet export --help`.")
    names = list(grafted(home.tree)) if everything else [str(attribute)]
    if not names:
        raise ConfigError("No branch is grafted yet; run `graftnet graft ATTR` first.")
    if target not in TARGETS:
        raise ConfigError(f"--target must be one of {', '.join(TARGETS)}, is {target!r}.")
    from graftnet.tree import export_as

    default = home.exports / f"{attribute or 'bundle'}{TARGETS[target].ending}"
    written = export_as(home, names, target, out or default)
    is_bundle = (written / "bundle.json").is_file()
    then = f".\nNext: graftnet verify {written}" if is_bundle else ", with the scores of the bundle."
    text = f"Exported {', '.join(names)} to {written}{then}"
    answer({"attributes": names, "folder": written, "target": target}, text, as_json=as_json)


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


def predict(
    folder: Bundle,
    images: Annotated[
        list[Path], typer.Argument(metavar="IMAGE...", exists=True, dir_okay=False, help="One or more image files.")
    ],
    attributes: Annotated[
        str | None, typer.Option("--attributes", metavar="A,B", help="These alone; the other branches are not run.")
    ] = None,
    graph: Annotated[
        str, typer.Option("--graph", metavar="NAME", help="parts, joined, or one of graftnet bundle speed-up.")
    ] = "parts",
    device: Annotated[str, typer.Option("--device", metavar="NAME", help="cpu, cuda or auto.")] = "cpu",
    as_json: Json = False,
) -> None:
    """Predict the attributes of image files.

    With an exported branch or bundle; needs onnxruntime alone.

    \b
    Examples:
      graftnet predict runs/exports/bundle photo.jpg
      graftnet predict runs/exports/bundle photos/*.jpg --json
      graftnet predict runs/exports/bundle photo.jpg --attributes bald,hat
    """
    from deployment.runtime import Runtime
    from graftnet.predictions import prediction_lines

    names = None if attributes is None else [name.strip() for name in attributes.split(",")]
    rows = Runtime(folder, graph=graph, device=device).predict(images, attributes=names)
    answer({"predictions": rows}, "\n".join(prediction_lines(rows)), as_json=as_json)
