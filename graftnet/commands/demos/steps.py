"""Steps that every demo takes once it has images and a trunk: search, report, graft, export, verify, predict.

It calls what the commands call and says which command that would be.
"""

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import typer

from deployment.runtime import Runtime
from foundation.files import read_json
from graftnet.bundles.tree import export_attributes, graft_attribute
from graftnet.commands.deploy import prediction_lines
from graftnet.errors import ConfigError
from graftnet.pages.fleet_record import write_fleet_record
from graftnet.project.config import CONFIG_NAME
from graftnet.project.folder import Project
from graftnet.searches.calls import search_in
from graftnet.terminal.output import Answer, format_seconds, text_table
from reports import write_fleet_report
from reports.summaries.comparison import kind_of_result
from subdatasets.subdataset import read_subdataset

PICTURES = 3
COLUMNS = ("attribute", "ship", "parameters", "reduction", "searched", "random", "linear probe", "tail")
SIDES = {"searched": "searched", "random": "random", "probe": "linear_probe", "tail": "tail"}


def finish(
    project: Project, names: Sequence[str], *, seed: int, device: str, started: float
) -> tuple[dict[str, Any], str]:
    """From the search of each attribute to predictions of the exported bundle; the record and the closing text.

    started: of the demo, by `time.monotonic`.
    """
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


def require_own(folder: Path, mark: str) -> None:
    """Refuse a folder that holds something else than a demo's project, whose graftnet.toml begins with ``mark``.

    Raises:
        ConfigError: it does.
    """
    config = folder / CONFIG_NAME
    ours = config.is_file() and config.read_text(encoding="utf-8").startswith(mark)
    if not ours and folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise ConfigError(f"{folder} holds something else than a demo; name an empty folder with --folder DIR.")


def say(command: str, purpose: str) -> None:
    """Announce a step on standard error, as the command a user would type."""
    typer.echo(f"\n$ {command}    # {purpose}", err=True)


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


def summary_lines(results: Sequence[Mapping[str, Any]]) -> list[str]:
    """result.json of each attribute -> a table: what to ship, what that costs, and the test AUROC of all kinds."""
    rows = [COLUMNS, *(summary_row(result) for result in results)]
    lines = text_table(rows)
    return [lines[0], "-" * max(map(len, lines)), *lines[1:]]


def summary_row(result: Mapping[str, Any]) -> tuple[str, ...]:
    """One line of the table; a dash stands for what was not measured."""
    controls, kind = result.get("controls") or {}, kind_of_result(result)
    reduction = result.get("parameter_reduction")
    return (
        str(result["attribute"]),
        kind,
        f"{result['parameters']:,}",
        "-" if reduction is None else f"{reduction:.1%}",
        *(auroc(result if side == kind else controls.get(key)) for side, key in SIDES.items()),
    )


def auroc(measured: Mapping[str, Any] | None) -> str:
    """The test AUROC of a result or a control."""
    value = ((measured or {}).get("test") or {}).get("auroc")
    return "-" if value is None else f"{value:.4f}"
