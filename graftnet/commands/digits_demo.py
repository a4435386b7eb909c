"""Run the demo: everything GraftNet does, once, on scikit-learn's digits.

It calls what the commands call and says which command that would be.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import typer
from numpy.typing import NDArray
from PIL import Image
from sklearn.datasets import load_digits

from deployment.runtime import Runtime
from foundation.files import read_json
from graftnet.bundles.tree import export_attributes, graft_attribute
from graftnet.commands.deploy import prediction_lines
from graftnet.errors import ConfigError
from graftnet.pages.fleet_record import write_fleet_record
from graftnet.project.config import CONFIG_NAME
from graftnet.project.folder import Project, open_project
from graftnet.project.machine import choose_device
from graftnet.searches.calls import search_in
from graftnet.terminal.output import Answer, format_seconds, show_progress, text_table
from graftnet.trunks.versions import train_trunk
from reports import write_fleet_report
from subdatasets.importing.arrays import import_labels
from subdatasets.subdataset import read_subdataset

FULL = {
    "STEPS": 600,
    "SEARCH_EPOCHS": 12,
    "CANDIDATES": 32,
    "RETRAIN_TOP": 4,
    "RETRAIN_EPOCHS": 12,
    "REPEATS": 3,
}
QUICK = {"STEPS": 200, "SEARCH_EPOCHS": 5, "CANDIDATES": 16, "RETRAIN_TOP": 2, "RETRAIN_EPOCHS": 8, "REPEATS": 2}
PICTURES = 3
SIDE = 16
BRIGHTEST = 16  # of scikit-learn's 8 x 8 pictures
ATTRIBUTES: dict[str, Callable[[int], bool]] = {
    "has-loop": lambda digit: digit in (0, 6, 8, 9),
    "even": lambda digit: digit % 2 == 0,
    "greater-than-four": lambda digit: digit > 4,
    "seven": lambda digit: digit == 7,
}
COLUMNS = ("attribute", "parameters", "reduction", "test AUROC", "random", "linear probe", "tail")


def run_demo(folder: Path, *, quick: bool, seed: int, device: str) -> tuple[dict[str, Any], str]:
    """Make the project and go all the way; returns the record and the closing text.

    Raises:
        ConfigError: ``folder`` is something else than a demo's project.
    """
    started = time.monotonic()
    project = make_project(folder, quick=quick)
    names = list(ATTRIBUTES)[: 1 if quick else None]

    say("graftnet data import", "1,797 pictures of digits as four attributes")
    if not project.sources():
        import_digits(project.data, seed=seed)
    say("graftnet trunk train", "one small backbone, trained on all attributes by the dynamic graph")
    with show_progress() as progress:
        train_trunk(project, seed=seed, device=choose_device(device), progress=progress)
    searches = []
    for name in names:
        say(f"graftnet search {name}", "an ENAS controller designs its branch; the best are retrained and compared")
        searches.append(search_in(project, name, seed=seed, device=device))
        graft_attribute(project, name)
    say("graftnet export --all", "the trunk once, every branch, golden inputs")
    bundle = export_attributes(project, names, project.exports / "bundle")
    say(f"graftnet verify {bundle}", "with onnxruntime alone")
    runtime = Runtime(bundle)
    checks = runtime.verify()
    if not all(check["ok"] for check in checks):
        raise RuntimeError(f"the exported branches do not give their golden outputs: {checks}")
    pictures = test_pictures(project, names[0])
    say(f"graftnet predict {bundle} ...", f"{len(pictures)} pictures of the test split")
    predictions = runtime.predict(pictures)
    overview = write_fleet_report(write_fleet_record(project))
    seconds = time.monotonic() - started
    record = {
        "project": str(project.folder),
        "bundle": str(bundle),
        "fleet": str(overview),
        "verified": True,
        "searches": [search.record for search in searches],
        "predictions": predictions,
        "seconds": seconds,
    }
    shown = [{**row, "image": Path(row["image"]).stem[:12]} for row in predictions]
    return record, closing_text(searches, overview, bundle, shown, seconds)


def say(command: str, purpose: str) -> None:
    """Announce a step on standard error, as the command a user would type."""
    typer.echo(f"\n$ {command}    # {purpose}", err=True)


def make_project(folder: Path, *, quick: bool) -> Project:
    """Write the demo's graftnet.toml; a demo's folder from before is used again.

    Raises:
        ConfigError: ``folder`` holds something else.
    """
    text = (files("graftnet.project") / "demo.toml.template").read_text(encoding="utf-8")
    mark = text.splitlines()[0]
    for name, value in (QUICK if quick else FULL).items():
        text = text.replace(f"@{name}@", str(value))
    config = folder / CONFIG_NAME
    ours = config.is_file() and config.read_text(encoding="utf-8").startswith(mark)
    if not ours and folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise ConfigError(f"{folder} holds something else than a demo; name an empty folder with --folder DIR.")
    folder.mkdir(parents=True, exist_ok=True)
    config.write_text(text, encoding="utf-8")
    return open_project(folder)


def test_pictures(project: Project, attribute: str) -> list[Path]:
    """A few pictures of the attribute's test split, of every value in turn."""
    examples = read_subdataset(project.source(attribute)).split("test")
    by_value = [
        [example.path for example in examples if example.value == value]
        for value in sorted({example.value for example in examples})
    ]
    return [path for turn in zip(*by_value, strict=False) for path in turn][:PICTURES]


def closing_text(
    searches: Sequence[Answer], overview: Path, bundle: Path, predictions: Sequence[dict[str, Any]], seconds: float
) -> str:
    """What came out, as a table, and where to look."""
    shown = "\n".join(f"  {line}" for line in prediction_lines(predictions))
    reports = "\n".join(f"  {search.record['report']}" for search in searches)
    results = [read_json(Path(search.record["folder"]) / "result.json") for search in searches]
    table = "\n".join(summary_lines(results))
    return (
        f"\nPredictions of the exported bundle (onnxruntime alone):\n{shown}\n\n{table}\n\n"
        f"Reports, one page per attribute and one over all; open one in a browser:\n{reports}\n  {overview}\n"
        f"Exported and verified: {bundle}\n"
        f"The demo took {format_seconds(seconds)}. A project of your own: graftnet init people"
    )


def load_pictures() -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Pictures uint8 (1797, SIDE, SIDE) and their digits."""
    digits = load_digits()
    small = (digits.images * (255 / BRIGHTEST)).astype(np.uint8)
    large = [Image.fromarray(picture).resize((SIDE, SIDE), Image.Resampling.BICUBIC) for picture in small]
    return np.stack([np.asarray(picture) for picture in large]), digits.target.astype(np.int64)


def import_digits(destination: Path, *, seed: int) -> None:
    """Write the pictures once and one sub-dataset per attribute; all share the same splits."""
    pictures, digits = load_pictures()
    labels = {name: ["yes" if holds(digit) else "no" for digit in digits] for name, holds in ATTRIBUTES.items()}
    import_labels(pictures, labels, destination, seed=seed)


def summary_lines(results: Sequence[Mapping[str, Any]]) -> list[str]:
    """result.json of each attribute -> a table: what the branch costs, and its test AUROC beside the controls'."""
    rows = [COLUMNS, *(summary_row(result) for result in results)]
    lines = text_table(rows)
    return [lines[0], "-" * max(map(len, lines)), *lines[1:]]


def summary_row(result: Mapping[str, Any]) -> tuple[str, ...]:
    """One line of the table; a dash stands for what was not measured."""
    controls = result.get("controls") or {}
    reduction = result.get("parameter_reduction")
    return (
        str(result["attribute"]),
        f"{result['parameters']:,}",
        "-" if reduction is None else f"{reduction:.1%}",
        auroc(result),
        *(auroc(controls.get(name)) for name in ("random", "linear_probe", "tail")),
    )


def auroc(measured: Mapping[str, Any] | None) -> str:
    """The test AUROC of a result or a control."""
    value = ((measured or {}).get("test") or {}).get("auroc")
    return "-" if value is None else f"{value:.4f}"
