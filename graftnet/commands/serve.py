"""graftnet serve and rules: a bundle behind HTTP, and what its answers lead to."""

import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

from graftnet.commands.options import (
    ANSWERS,
    USE,
    Images,
    Json,
    RelationsFile,
    Repair,
    require_with_relations,
    spread,
)
from graftnet.terminal.output import answer

commands = typer.Typer()

Bundle = Annotated[
    Path, typer.Argument(metavar="BUNDLE", exists=True, file_okay=False, help="A bundle's folder (graftnet export).")
]
LIMITS, SPEED, ACCESS = "Limits", "Speed", "Access"
TOKEN = "GRAFTNET_TOKEN"  # the variable's name
# Beyond these a limit is none: seconds, threads, and what Pillow takes for a bomb whatever it is told.
DAY, MOST_THREADS, MOST_MEGABYTES, MOST_MEGAPIXELS, MOST_TOGETHER = 86_400, 1024, 4096, 178, 100_000


@dataclass(eq=False, repr=False)
class ServeOptions:
    """The options that are fields of `deployment.serve.settings.ServeSettings`; three are in units for people."""

    host: Annotated[str, typer.Option(help="The address to listen at; 0.0.0.0 is every one.")] = "127.0.0.1"
    port: Annotated[int, typer.Option(min=0, max=65535, help="0: a free one.")] = 8000
    device: Annotated[str, typer.Option(metavar="NAME", rich_help_panel=SPEED, help="cpu, cuda, or auto.")] = "cpu"
    graph: Annotated[
        str, typer.Option(metavar="NAME", rich_help_panel=SPEED, help="parts, joined, or a bundle's variant.")
    ] = "parts"
    threads: Annotated[
        int, typer.Option(min=0, max=MOST_THREADS, rich_help_panel=SPEED, help="Of onnxruntime; 0: its own choice.")
    ] = 0
    decoders: Annotated[
        int, typer.Option(min=1, max=MOST_THREADS, rich_help_panel=SPEED, help="Threads that decode images.")
    ] = 2
    max_batch: Annotated[int, typer.Option(min=1, rich_help_panel=SPEED, help="Images per run of the model.")] = 16
    max_delay: Annotated[
        float, typer.Option(min=0, max=60_000, rich_help_panel=SPEED, help="Milliseconds a batch waits for more.")
    ] = 5.0
    queue: Annotated[int, typer.Option(min=1, rich_help_panel=LIMITS, help="Images under way; beyond: 503.")] = 256
    connections: Annotated[int, typer.Option(min=1, rich_help_panel=LIMITS, help="Open connections; beyond: 503.")] = (
        512
    )
    max_images: Annotated[int, typer.Option(min=1, rich_help_panel=LIMITS, help="Images per request.")] = 16
    max_megabytes: Annotated[
        float, typer.Option(min=0.001, max=MOST_MEGABYTES, rich_help_panel=LIMITS, help="Size of a request's body.")
    ] = 16.0
    max_megapixels: Annotated[
        float, typer.Option(min=0.001, max=MOST_MEGAPIXELS, rich_help_panel=LIMITS, help="Size of an image.")
    ] = 25.0
    request_megapixels: Annotated[
        float | None,
        typer.Option(
            min=0.001, max=MOST_TOGETHER, rich_help_panel=LIMITS, help="Of all its images; twice --max-megapixels."
        ),
    ] = None
    decoding_megapixels: Annotated[
        float | None,
        typer.Option(
            min=0.001, max=MOST_TOGETHER, rich_help_panel=LIMITS, help="Decoded at once; as --max-megapixels."
        ),
    ] = None
    body_timeout: Annotated[
        float, typer.Option(min=0.1, max=DAY, rich_help_panel=LIMITS, help="Seconds to send a body.")
    ] = 20.0
    timeout: Annotated[
        float, typer.Option(min=0.1, max=DAY, rich_help_panel=LIMITS, help="Seconds an answer may take.")
    ] = 30.0
    poll: Annotated[
        float, typer.Option(min=0.05, max=DAY, help="Seconds between two looks whether the bundle changed.")
    ] = 1.0


PLAIN = ServeOptions()


@commands.command("serve", rich_help_panel=USE)
@spread
def serve(
    folder: Bundle,
    token: Annotated[
        str | None,
        typer.Option(
            "--token", metavar="WORD", rich_help_panel=ACCESS, help=f"Ask for it; better in {TOKEN}: ps shows a call."
        ),
    ] = None,
    allow_host: Annotated[
        list[str] | None,
        typer.Option(
            "--allow-host", metavar="NAME", rich_help_panel=ACCESS, help="Requests may call it so too; * is anything."
        ),
    ] = None,
    rules: Annotated[
        Path | None,
        typer.Option(
            "--rules", metavar="FILE", exists=True, dir_okay=False, rich_help_panel=ANSWERS, help="Add an action."
        ),
    ] = None,
    relations: RelationsFile = None,
    repair: Repair = False,
    persons: Annotated[
        bool,
        typer.Option("--persons", rich_help_panel=ANSWERS, help="Ask about each person (Mask R-CNN; needs torch)."),
    ] = False,
    weights: Annotated[
        Path | None,
        typer.Option("--weights", metavar="FILE", rich_help_panel=ANSWERS, help="Mask R-CNN's. Default: downloaded."),
    ] = None,
    smallest: Annotated[
        int,
        typer.Option(
            "--smallest", min=1, metavar="PIXELS", rich_help_panel=ANSWERS, help="Of a person's shorter side."
        ),
    ] = 32,
    options: ServeOptions = PLAIN,
    as_json: Json = False,
) -> None:
    """Serve a bundle over HTTP until stopped.

    POST /predict answers images; / is a page to drop one on. A changed
    bundle is taken over without a dropped request; a bad one is refused.
    Needs onnxruntime and the extra serve; torch for --persons alone.

    \b
    Examples:
      graftnet serve runs/exports/bundle
      GRAFTNET_TOKEN=WORD graftnet serve bundle/ --host 0.0.0.0 --allow-host cams.example.org
      graftnet serve bundle/ --rules rules.toml --persons
      curl --data-binary @photo.jpg -H 'Content-Type: image/jpeg' localhost:8000/predict
      curl -F images=@a.jpg -F images=@b.jpg 'localhost:8000/predict?attributes=bald'
    """
    from deployment.serve.server import listen
    from deployment.serve.settings import ServeSettings

    find = None
    if persons:
        from graftnet.data.persons import finder

        find = finder(weights, smallest=smallest, device=options.device)
    settings = ServeSettings(
        **settings_given(options),
        token=os.environ.get(TOKEN) if token is None else token,
        allow_hosts=tuple(allow_host or ()),
    )
    require_with_relations(relations, repair)
    ready = listen(folder, settings, rules=rules, relations=relations, repair=repair, persons=find)
    if ready.warning is not None:
        typer.echo(ready.warning, err=True)
    text = f"Serving {', '.join(ready.attributes)} at {ready.url} (Ctrl-C stops)."
    answer({"url": ready.url, "attributes": ready.attributes}, text, as_json=as_json)
    sys.stdout.flush()
    ready.run()


def settings_given(options: ServeOptions) -> dict[str, Any]:
    """The options by the names, and in the units, of the server's settings."""
    from deployment.serve.settings import MIB, ServeSettings

    given = dict(vars(options))
    body, largest = round(given.pop("max_megabytes") * MIB), given.pop("max_megapixels")
    request, decoding = given.pop("request_megapixels"), given.pop("decoding_megapixels")
    return {
        **given,
        "max_delay": given["max_delay"] / 1000,
        "max_body": body,
        "max_buffered": max(ServeSettings().max_buffered, body),
        "max_pixels": round(largest * 1e6),
        "max_request_pixels": round((request or 2 * largest) * 1e6),
        "max_decoding": round((decoding or largest) * 1e6),
    }


app = typer.Typer(
    no_args_is_help=True, help="Rules from attributes to actions: check them, try them on labelled images."
)
commands.add_typer(app, name="rules", rich_help_panel=USE)

RulesFile = Annotated[Path, typer.Argument(metavar="FILE", exists=True, dir_okay=False, help="The rules, TOML.")]
RuledBundle = Annotated[Path, typer.Argument(metavar="BUNDLE", exists=True, file_okay=False, help="What they are for.")]


@app.command("check")
def check(rules: RulesFile, bundle: RuledBundle, as_json: Json = False) -> None:
    """Say what is wrong with rules, line by line.

    Names of attributes and values that the bundle has not, conditions that
    cannot be read, settings that do not exist.

    \b
    Examples:
      graftnet rules check rules.toml runs/exports/bundle

    Exit code 2 when something is wrong.
    """
    from deployment.errors import RulesError
    from deployment.rules import Rules
    from deployment.runtime import Runtime
    from graftnet.bundles.rules import uncalibrated, uncalibrated_lines

    runtime = Runtime(bundle)
    try:
        read = Rules.read(rules, runtime.contracts)
    except RulesError as error:
        problems = [{"file": str(rules), "line": line, "message": text} for line, text in error.problems]
        lines = [f"error: {rules}:{line}: {text}" for line, text in error.problems]
        answer({"ok": False, "problems": problems}, "\n".join(lines), as_json=as_json)
        raise typer.Exit(2) from error
    raw = uncalibrated(runtime, read)
    names = [rule.name for rule in read.rules]
    counted = f"{len(names)} rule{'' if len(names) == 1 else 's'}"
    lines = [f"{counted}, on {', '.join(read.attributes)}: all is well.", *uncalibrated_lines(raw)]
    record = {"ok": True, "problems": [], "rules": names, "attributes": read.attributes, "uncalibrated": raw}
    answer(record, "\n".join(lines), as_json=as_json)


@app.command("simulate")
def simulate(
    rules: RulesFile,
    bundle: RuledBundle,
    labelled: Annotated[
        Path,
        typer.Argument(metavar="LABELLED", exists=True, help="A table (.csv) of images and labels, or a project."),
    ],
    images: Images = None,
    split: Annotated[
        str, typer.Option("--split", metavar="NAME", help="train, val, test or all; of a table with such a column.")
    ] = "test",
    every: Annotated[
        float | None,
        typer.Option(
            "--every", min=0, metavar="SECONDS", help="Between images: cool-downs count. Default: they do not."
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Say how often rules would fire, and how often in error.

    Each rule's precision and recall by the labels, how often it abstains, and
    the false pushes to expect per 1,000 images like these, with 95 % intervals.

    \b
    Examples:
      graftnet rules simulate rules.toml runs/exports/bundle .
      graftnet rules simulate rules.toml bundle/ labels.csv --images photos/
      graftnet rules simulate rules.toml bundle/ . --every 5 --json

    A table has a column with the image's file and one per attribute, blank
    where a label is unknown.
    """
    from graftnet.bundles.rules import simulate_rules
    from graftnet.terminal.output import show_progress

    with show_progress() as progress:
        simulated = simulate_rules(rules, bundle, labelled, images=images, split=split, every=every, progress=progress)
    answer(*simulated, as_json=as_json)
