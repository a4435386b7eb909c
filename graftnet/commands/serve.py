"""graftnet serve: a bundle behind HTTP."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from graftnet.answer import answer
from graftnet.options import Json

Bundle = Annotated[
    Path, typer.Argument(metavar="BUNDLE", exists=True, file_okay=False, help="A bundle's folder (graftnet export).")
]
LIMITS, SPEED, ANSWERS = "Limits", "Speed", "Answers"


def serve(
    folder: Bundle,
    host: Annotated[str, typer.Option("--host", help="The address to listen at; 0.0.0.0 is every one.")] = "127.0.0.1",
    port: Annotated[int, typer.Option("--port", min=0, max=65535, help="0: a free one.")] = 8000,
    rules: Annotated[
        Path | None,
        typer.Option(
            "--rules", metavar="FILE", exists=True, dir_okay=False, rich_help_panel=ANSWERS, help="Add an action."
        ),
    ] = None,
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
    device: Annotated[
        str, typer.Option("--device", metavar="NAME", rich_help_panel=SPEED, help="cpu, cuda, or auto.")
    ] = "cpu",
    graph: Annotated[
        str,
        typer.Option("--graph", metavar="NAME", rich_help_panel=SPEED, help="parts, joined, or a bundle's variant."),
    ] = "parts",
    threads: Annotated[
        int, typer.Option("--threads", min=0, rich_help_panel=SPEED, help="Of onnxruntime; 0: its own choice.")
    ] = 0,
    decoders: Annotated[
        int, typer.Option("--decoders", min=1, rich_help_panel=SPEED, help="Threads that decode images.")
    ] = 2,
    max_batch: Annotated[
        int, typer.Option("--max-batch", min=1, rich_help_panel=SPEED, help="Images per run of the model.")
    ] = 16,
    max_delay: Annotated[
        float, typer.Option("--max-delay", min=0, rich_help_panel=SPEED, help="Milliseconds a batch waits for more.")
    ] = 5.0,
    queue: Annotated[
        int, typer.Option("--queue", min=1, rich_help_panel=LIMITS, help="Images under way; beyond: 503.")
    ] = 256,
    connections: Annotated[
        int, typer.Option("--connections", min=1, rich_help_panel=LIMITS, help="Open connections; beyond: 503.")
    ] = 512,
    max_images: Annotated[
        int, typer.Option("--max-images", min=1, rich_help_panel=LIMITS, help="Images per request.")
    ] = 16,
    max_megabytes: Annotated[
        float, typer.Option("--max-megabytes", min=0.001, rich_help_panel=LIMITS, help="Size of a request's body.")
    ] = 16.0,
    max_megapixels: Annotated[
        float, typer.Option("--max-megapixels", min=0.001, rich_help_panel=LIMITS, help="Size of an image.")
    ] = 25.0,
    body_timeout: Annotated[
        float, typer.Option("--body-timeout", min=0.1, rich_help_panel=LIMITS, help="Seconds to send a body.")
    ] = 20.0,
    timeout: Annotated[
        float, typer.Option("--timeout", min=0.1, rich_help_panel=LIMITS, help="Seconds an answer may take.")
    ] = 30.0,
    poll: Annotated[
        float, typer.Option("--poll", min=0.05, help="Seconds between two looks whether the bundle changed.")
    ] = 1.0,
    as_json: Json = False,
) -> None:
    """Serve a bundle over HTTP until stopped.

    POST /predict answers images; / is a page to drop one on. A changed
    bundle is taken over without a dropped request; a bad one is refused.
    Needs onnxruntime and the extra serve; torch for --persons alone.

    \b
    Examples:
      graftnet serve runs/exports/bundle
      graftnet serve bundle/ --host 0.0.0.0 --port 8080 --max-batch 32
      graftnet serve bundle/ --rules rules.toml --persons
      curl --data-binary @photo.jpg -H 'Content-Type: image/jpeg' localhost:8000/predict
      curl -F images=@a.jpg -F images=@b.jpg 'localhost:8000/predict?attributes=bald'
    """
    from deployment.serve.server import listen
    from deployment.serve.settings import MIB, ServeSettings

    settings = ServeSettings(
        host=host,
        port=port,
        device=device,
        graph=graph,
        threads=threads,
        decoders=decoders,
        max_batch=max_batch,
        max_delay=max_delay / 1000,
        queue=queue,
        max_images=max_images,
        max_body=round(max_megabytes * MIB),
        max_buffered=max(ServeSettings().max_buffered, round(max_megabytes * MIB)),
        max_pixels=round(max_megapixels * 1e6),
        body_timeout=body_timeout,
        timeout=timeout,
        connections=connections,
        poll=poll,
    )

    find = None
    if persons:
        from graftnet.persons import finder

        find = finder(weights, smallest=smallest, device=device)
    ready = listen(folder, settings, rules=rules, persons=find)
    text = f"Serving {', '.join(ready.attributes)} at {ready.url} (Ctrl-C stops)."
    answer({"url": ready.url, "attributes": ready.attributes}, text, as_json=as_json)
    sys.stdout.flush()
    ready.run()
