"""graftnet data persons: one crop per person, with the background and the other persons removed."""

from pathlib import Path
from typing import Annotated

import typer

from graftnet.answer import answer
from graftnet.options import Device, Folder, Json, Seed


def persons(
    source: Annotated[
        Path, typer.Argument(metavar="SOURCE", exists=True, help="A table with a row per photo (.csv), or a folder.")
    ],
    images: Annotated[
        Path | None,
        typer.Option("--images", metavar="DIR", exists=True, file_okay=False, help="Where the table's photos are."),
    ] = None,
    masks: Annotated[
        Path | None, typer.Option("--masks", metavar="DIR", help="Ready-made masks, instead of Mask R-CNN.")
    ] = None,
    weights: Annotated[
        Path | None,
        typer.Option("--weights", metavar="FILE", help="Mask R-CNN's. Default: torchvision downloads them."),
    ] = None,
    columns: Annotated[
        list[str] | None, typer.Option("--column", metavar="NAME", help="Only this column; may be repeated.")
    ] = None,
    to_all: Annotated[
        bool, typer.Option("--to-all", help="A photo's labels go to each of several persons, not only to one alone.")
    ] = False,
    smallest: Annotated[int, typer.Option("--smallest", metavar="PIXELS", help="Of the shorter side of a box.")] = 32,
    score: Annotated[float, typer.Option("--score", metavar="S", help="From which score on it is a person.")] = 0.7,
    fill: Annotated[
        str, typer.Option("--fill", metavar="NAME", help="What replaces the rest: mean or transparent.")
    ] = "mean",
    out: Annotated[
        Path | None, typer.Option("--out", metavar="DIR", help="Crops and tables only. Default: into the project.")
    ] = None,
    project: Folder = None,
    seed: Seed = None,
    device: Device = "auto",
    as_json: Json = False,
) -> None:
    """Cut persons out of photos, into sub-datasets.

    One crop per person; background and other persons are removed. Masks come
    from torchvision's Mask R-CNN, or for photo NAME.jpg from MASKS/NAME.png
    (0 is background, each number a person) or the folder MASKS/NAME/.

    \b
    Examples:
      graftnet data persons labels.csv --images photos/ --masks masks/
      graftnet data persons photos/ --weights maskrcnn.pth --out people/

    A photo's labels go to its person where there is only one. Call it again
    after Ctrl-C or kill: it goes on.
    """
    from graftnet.persons import cut_persons, persons_lines, segmenter_of
    from graftnet.progress import show_progress
    from graftnet.project import project_here
    from graftnet.settings import seed_or
    from subdatasets.segmentation import CropSettings

    home = None if out is not None and project is None else project_here(project)
    settings = CropSettings(smallest=smallest, score=score, fill=fill)  # type: ignore[arg-type]  # it checks
    segmenter = segmenter_of(masks, weights, device=device)
    with show_progress() as progress:
        found = cut_persons(
            home,
            source,
            segmenter,
            settings,
            out=out,
            images=images,
            columns=columns or None,
            to_all=to_all,
            seed=seed_or(seed, home) if home else seed or 0,
            progress=progress,
        )
    attributes = found.imported.subdatasets if found.imported else ()
    record = {**found.crops._asdict(), "attributes": {one.attribute.name: one.counts() for one in attributes}}
    answer(record, "\n".join(persons_lines(found)), as_json=as_json)
