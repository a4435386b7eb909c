"""graftnet export, verify and predict: branches that work without this toolkit."""

from pathlib import Path
from typing import Annotated

import typer

from graftnet.answer import answer
from graftnet.options import Folder, Json

Bundle = Annotated[
    Path,
    typer.Argument(metavar="DIR", exists=True, file_okay=False, help="An exported branch, or a whole bundle."),
]


def export(
    attribute: Annotated[str | None, typer.Argument(metavar="ATTR", help="A grafted attribute.")] = None,
    everything: Annotated[bool, typer.Option("--all", help="Every grafted attribute, as one bundle.")] = False,
    out: Annotated[Path | None, typer.Option("--out", metavar="DIR", help="Default: under runs/exports.")] = None,
    project: Folder = None,
    as_json: Json = False,
) -> None:
    """Export grafted branches for deployment.

    The trunk once; per branch its plain source, weights, ONNX, golden outputs
    and model card.

    \b
    Examples:
      graftnet export bald
      graftnet export --all --out bundle/
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
    from graftnet.cards import write_cards
    from graftnet.tree import export_attributes

    folder = export_attributes(home, names, out or home.exports / (attribute or "bundle"))
    write_cards(home, names, folder)
    text = f"Exported {', '.join(names)} to {folder}.\nNext: graftnet verify {folder}"
    answer({"attributes": names, "folder": folder}, text, as_json=as_json)


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
    as_json: Json = False,
) -> None:
    """Predict the attributes of image files.

    With an exported branch or bundle; needs onnxruntime alone.

    \b
    Examples:
      graftnet predict runs/exports/bundle photo.jpg
      graftnet predict runs/exports/bundle photos/*.jpg --json
    """
    from deployment.runtime import Runtime
    from graftnet.predictions import prediction_lines

    rows = Runtime(folder).predict(images)
    answer({"predictions": rows}, "\n".join(prediction_lines(rows)), as_json=as_json)
