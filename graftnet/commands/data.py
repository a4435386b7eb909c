"""graftnet data: import sub-datasets, check them, mine them; label tables and persons."""

from pathlib import Path
from typing import Annotated

import typer

from graftnet.commands.options import START, Device, Folder, Images, Json, Rehash, Replace, Seed, TableFile
from graftnet.terminal.output import answer

commands = typer.Typer()
app = typer.Typer(no_args_is_help=True, help="Sub-datasets: import them, check them, mine hard negatives.")
commands.add_typer(app, name="data", rich_help_panel=START)


@app.command("import")
def import_(
    source: Annotated[
        Path,
        typer.Argument(
            metavar="SOURCE",
            exists=True,
            help="A table (.csv, .parquet), or a folder or archive (.tar, .zip) of values.",
        ),
    ],
    images: Images = None,
    columns: Annotated[
        list[str] | None, typer.Option("--only", "--column", metavar="NAME", help="Only this column; may be repeated.")
    ] = None,
    leave_out: Annotated[
        list[str] | None, typer.Option("--except", metavar="NAME", help="Not this column; may be repeated.")
    ] = None,
    several: Annotated[
        list[str] | None,
        typer.Option("--several", metavar="NAME", help="Its cells hold several labels (a;b): one attribute each."),
    ] = None,
    path_column: Annotated[
        str | None, typer.Option("--path-column", metavar="NAME", help="It names the image. Default: path, file, ...")
    ] = None,
    split_column: Annotated[
        str | None, typer.Option("--split-column", metavar="NAME", help="It says train, val or test. Default: split.")
    ] = None,
    group_column: Annotated[
        str | None,
        typer.Option("--group-column", metavar="NAME", help="What shares it, shares a split. Default: group."),
    ] = None,
    unknown: Annotated[
        list[str] | None,
        typer.Option("--unknown", metavar="WORD", help="A cell that means not known, as blank does; may be repeated."),
    ] = None,
    positive: Annotated[
        list[str] | None,
        typer.Option("--positive", metavar="[ATTR=]VALUE", help="The positive one of two values; may be repeated."),
    ] = None,
    encoding: Annotated[
        str | None, typer.Option("--encoding", metavar="NAME", help="The table's, if not UTF-8 or -16, such as cp1252.")
    ] = None,
    near_copies: Annotated[
        bool, typer.Option("--near-copies", help="Pictures that look alike share a split; equal files always do.")
    ] = False,
    replace: Replace = False,
    name: Annotated[str | None, typer.Option("--name", metavar="ATTR", help="With a folder: the attribute.")] = None,
    project: Folder = None,
    seed: Seed = None,
    as_json: Json = False,
) -> None:
    """Import a table of labels, or a folder of images.

    \b
    Examples:
      graftnet data import labels.csv --images photos/
      graftnet data import labels.csv --images photos/ --column bald --column backpack
      graftnet data import photos_by_value/ --name bald
      graftnet data import grown.csv --replace

    A table has a column with the image's file and one column per attribute: 0/1
    or names of values, blank where it is unknown; columns split and group are
    optional. A folder is NAME/SPLIT/VALUE/*.jpg or NAME/VALUE/*.jpg. Images that
    a sub-dataset has already keep their split.
    """
    from graftnet.data.imports import ImportChoices, import_into, import_labels_table, import_lines, import_record
    from graftnet.project.folder import open_project
    from graftnet.project.settings import seed_or
    from graftnet.terminal.output import show_progress
    from subdatasets.errors import DataError
    from subdatasets.reading.problems import NAMED
    from subdatasets.reading.shards import require_archives, shards_of

    require_archives(source)

    home = open_project(project)
    chosen = seed_or(seed, home)
    choices = ImportChoices(
        tuple(columns or ()),
        tuple(leave_out or ()),
        tuple(several or ()),
        path_column,
        split_column,
        group_column,
        encoding,
        tuple(unknown or ()),
        tuple(positive or ()),
        near_copies,
        replace,
    )
    try:
        with show_progress() as progress:
            if source.is_dir() or shards_of(source):
                attribute = name or (source.resolve().name if source.is_dir() else source.stem)
                summary = import_into(home, source, attribute, choices, seed=chosen, progress=progress)
            else:
                place = images or source.parent
                summary = import_labels_table(home, source, place, choices, seed=chosen, progress=progress)
    except DataError as error:
        # The sentence names the first problems; here is the whole list, so that one run is enough to mend them all.
        if len(error.problems) > NAMED:
            typer.echo("\n".join(map(str, error.problems)), err=True)
        raise
    answer(import_record(summary), "\n".join(import_lines(summary)), as_json=as_json)


@app.command("check")
def check(
    attributes: Annotated[list[str] | None, typer.Argument(metavar="ATTR...", help="Default: all of them.")] = None,
    write_split: Annotated[
        bool, typer.Option("--write-split", help="Write splits down that were drawn, so that they stay.")
    ] = False,
    rehash: Rehash = False,
    project: Folder = None,
    as_json: Json = False,
) -> None:
    """Say what is wrong with the sub-datasets, file by file.

    Unreadable images, missing files, the same image in two splits, conflicting
    labels, empty values; without ATTR, images that break \\[\\[relations]].

    \b
    Examples:
      graftnet data check
      graftnet data check bald --json
      graftnet data check bald --write-split

    Exit code 2 when there is an error; warnings alone give 0.
    """
    from graftnet.data.checks import check_project, problem_lines, write_splits
    from graftnet.data.relations import relation_problems
    from graftnet.project.folder import open_project
    from graftnet.terminal.output import if_long, show_progress

    home = open_project(project)
    names = list(attributes or home.sources())
    sources = [home.source(name) for name in names]
    if rehash:
        home.memory.forget()
    written = write_splits(home, names) if write_split else {}
    with show_progress() as progress:
        problems = check_project(home, sources, progress=if_long(progress))
    problems += relation_problems(home) if not attributes else []
    errors = sum(problem.severity == "error" for problem in problems)
    shown = [
        {"severity": problem.severity, "file": problem.file, "line": problem.line, "message": problem.message}
        for problem in problems
    ]
    record = {"checked": len(sources), "errors": errors, "warnings": len(problems) - errors, "problems": shown}
    lines = [f"written: the split of each image of {name}, in {path}" for name, path in written.items()]
    text = "\n".join([*lines, *problem_lines(problems, checked=len(sources))])
    answer({**record, "written": written}, text, as_json=as_json)
    if errors:
        raise typer.Exit(2)


@app.command("mine")
def mine(
    attribute: Annotated[str, typer.Argument(metavar="ATTR", help="An attribute with many negatives.")],
    keep: Annotated[
        float, typer.Option("--keep", metavar="N", help="Train negatives that stay: a share below 1, or their number.")
    ] = 0.5,
    clusters: Annotated[int, typer.Option("--clusters", metavar="K", help="Of k-means, over the negatives.")] = 10,
    whole: Annotated[
        float,
        typer.Option("--whole", metavar="SHARE", help="How much of what stays may be close clusters, kept whole."),
    ] = 0.5,
    positive: Annotated[
        str | None, typer.Option("--positive", metavar="VALUE", help="Default: the second of two values.")
    ] = None,
    name: Annotated[
        str | None, typer.Option("--name", metavar="ATTR", help="The new attribute. Default: ATTR-mined.")
    ] = None,
    replace: Replace = False,
    depth: Annotated[
        int | None, typer.Option("--depth", metavar="N", help="Blocks that embed an image. Default: all of them.")
    ] = None,
    project: Folder = None,
    seed: Seed = None,
    device: Device = "auto",
    as_json: Json = False,
) -> None:
    """Thin out easy negatives, into a new sub-dataset.

    The train negatives are clustered on the trunk's features. Clusters close to
    the positives (earth mover's distance) stay whole, the others are thinned. Val
    and test stay as they are, and so does the source.

    \b
    Examples:
      graftnet data mine bald
      graftnet data mine bald --keep 20000 --clusters 20 --name bald-hard
      graftnet data mine gender --positive other
    """
    from graftnet.data.mining import MiningChoices, mine_attribute
    from graftnet.project.folder import open_project
    from graftnet.project.machine import choose_device
    from graftnet.project.settings import seed_or
    from graftnet.terminal.output import show_progress

    home = open_project(project)
    choices = MiningChoices(keep, clusters, whole, positive, name, depth, replace)
    with show_progress() as progress:
        mined = mine_attribute(
            home, attribute, choices, seed=seed_or(seed, home), device=choose_device(device), progress=progress
        )
    answer(*mined, as_json=as_json)


@app.command("persons")
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
    replace: Replace = False,
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
    from graftnet.data.persons import cut_persons, persons_lines, persons_record, segmenter_of
    from graftnet.project.folder import project_here
    from graftnet.project.settings import seed_or
    from graftnet.terminal.output import show_progress
    from subdatasets.persons.crops import CropSettings

    home = None if out is not None and project is None else project_here(project)
    settings = CropSettings(smallest=smallest, score=score, fill=fill)  # type: ignore[arg-type]  # it checks
    segmenter = segmenter_of(masks, weights, device=device)
    with show_progress() as progress:
        people = cut_persons(
            home,
            source,
            segmenter,
            settings,
            out=out,
            images=images,
            columns=columns or None,
            to_all=to_all,
            replace=replace,
            seed=seed_or(seed, home) if home else seed or 0,
            progress=progress,
        )
    answer(persons_record(people), "\n".join(persons_lines(people)), as_json=as_json)


@app.command("labels")
def labels(
    attributes: Annotated[list[str] | None, typer.Argument(metavar="ATTR...", help="Default: all of them.")] = None,
    output: TableFile = None,
    replace: Replace = False,
    rehash: Rehash = False,
    project: Folder = None,
    as_json: Json = False,
) -> None:
    """Join the sub-datasets into one table of labels.

    Images are one row each by their content, whatever their files are called. An
    attribute of two values is one label, one of more values a label per value.
    What the label graph counts from.

    \b
    Examples:
      graftnet data labels
      graftnet data labels bald hat --output labels.csv
    """
    from graftnet.data.imports import project_table, told_table
    from graftnet.project.folder import open_project
    from graftnet.terminal.output import show_progress

    home = open_project(project)
    if rehash:
        home.memory.forget()
    with show_progress() as progress:
        table = project_table(home, attributes or (), progress=progress)
    answer(*told_table(table, output, replace=replace), as_json=as_json)


@app.command("relations")
def relations(project: Folder = None, as_json: Json = False) -> None:
    """Say which labels exclude or imply one another, and suggest more.

    Those of \\[\\[relations]] in graftnet.toml with how many images break each;
    and those that the labels keep where chance would not, ready to be pasted.

    \b
    Examples:
      graftnet data relations
      graftnet data relations --json
    """
    from graftnet.data.relations import relations_call
    from graftnet.project.folder import open_project
    from graftnet.terminal.output import show_progress

    home = open_project(project)
    with show_progress() as progress:
        outcome = relations_call(home, progress=progress)
    answer(*outcome, as_json=as_json)


@app.command("table")
def table_(
    sources: Annotated[
        list[str],
        typer.Argument(
            metavar="[SPLIT=]SOURCE...", help="A VOC folder; or instances_*.json files; or lists of images."
        ),
    ],
    images: Annotated[
        list[str] | None,
        typer.Option("--images", metavar="[SPLIT=]DIR", help="Where the images are; may be repeated, one per split."),
    ] = None,
    index: Annotated[
        Path | None, typer.Option("--index", metavar="JSON", help="With lists: the label numbers of each image.")
    ] = None,
    names: Annotated[
        Path | None, typer.Option("--names", metavar="FILE", help="With lists: the labels' names, one per line.")
    ] = None,
    output: TableFile = None,
    replace: Replace = False,
    as_json: Json = False,
) -> None:
    """Read labels of VOC's, COCO's or VG-500's form, for data import.

    What VOC marks as difficult alone is unknown, and blank in the table.

    \b
    Examples:
      graftnet data table VOCdevkit/VOC2007 --output voc.csv
      graftnet data table instances_val2017.json --images val2017 -o coco.csv
      graftnet data table train=a.json val=b.json --images train=a --images val=b
      graftnet data table train=train_list_500.txt test=test_list_500.txt \\
        --index labels_index.json --images VG_100K --output vg.csv
      graftnet data import voc.csv
    """
    from graftnet.data.imports import told_table
    from subdatasets.labels.read import foreign_table

    table = foreign_table(sources, images or (), index, names)
    answer(*told_table(table, output, replace=replace), as_json=as_json)
