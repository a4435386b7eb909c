"""Begin a labelling, or go on with one: settings, values, examples, pictures, and the server that shows the page."""

import contextlib
import secrets
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch

from foundation.history import Progress
from foundation.locks import only_one
from graftnet.data.labelling.growing import Growing
from graftnet.data.labelling.journal import EXAMPLE, SUFFIX, Journal, Said
from graftnet.data.labelling.pool import found_pictures, hashed, keepable, open_pool
from graftnet.data.labelling.review import Reviewing
from graftnet.data.labelling.session import Labelling
from graftnet.data.labelling.table import AnswerTable, labelled_rows
from graftnet.errors import ConfigError
from graftnet.project.draws import notes_of
from graftnet.project.folder import Project
from graftnet.searches.features import cache_of
from graftnet.trunks.versions import open_trunk
from subdatasets.attribute import Attribute, contradiction, is_unknown, ordered_values, spellings, stray_words
from subdatasets.image_files import is_image_file
from subdatasets.reading.record import read_import_record, recorded_order
from subdatasets.reading.tables import Locations
from trunk.features.averages import AverageCache

YES_AND_NO = ("no", "yes")
SHARE = 0.3  # of the pictures, for val and test: as many as other sub-datasets have


@dataclass(frozen=True)
class LabelChoices:
    """What a call says. ``None``: as the labelling was begun, else the default.

    values: of the attribute; examples: VALUE=PATH each; share: of pictures drawn at random; page: pictures on one.
    """

    values: tuple[str, ...] = ()
    examples: tuple[str, ...] = ()
    share: float | None = None
    seed: int | None = None
    page: int = 24
    who: str = ""
    review: bool = False


@contextlib.contextmanager
def opened(
    project: Project,
    name: str,
    folder: Path | None,
    choices: LabelChoices,
    *,
    device: torch.device,
    progress: Progress | None = None,
) -> Iterator[Labelling]:
    """A labelling of an attribute, ready to be answered; its table is whole when the block ends, however it does.

    Args:
        folder: the pictures; None in a review, which asks about those that are labelled.

    Raises:
        ConfigError, DataError: the call, the pool or what is labelled is wrong. TrunkError: there is no trunk.
        UserError: another process labels this attribute.
    """
    path = table_path(project, name)
    if choices.review and not path.exists():
        raise ConfigError(f"{path} is not there, so there is nothing to review; label {name} first.")
    if folder is None and not choices.review:
        raise ConfigError("Name the folder with the pictures: `graftnet label ATTR POOL`.")
    trunk = open_trunk(project, device)
    project.runs.mkdir(parents=True, exist_ok=True)
    with only_one(project.runs / "labelling" / name):
        journal = Journal(path.with_name(f"{name}{SUFFIX}"))
        notebook = partial(notes_of, project.runs, name)
        default = project.config.project.seed
        rows = labelled_rows(path, seed=default, notebook=notebook) if path.exists() else []
        attribute = Attribute(name, agreed_values(name, choices.values, journal, path, {row.label for row in rows}))
        share, seed = agreed_draw(journal, choices, default)
        examples = example_files(choices.examples, attribute.values)
        found, left_out = found_pictures(folder, [project.runs]) if folder else ([], {})
        labelled = [row.path for row in rows]
        kept, odd = keepable(found, Locations(path.parent))
        if odd:
            left_out["names that a table cannot hold"] = odd
        hashes = hashed([*labelled, *examples, *kept], progress)
        pool = open_pool(AverageCache(cache_of(project, trunk)), hashes, left_out, progress)
        table = AnswerTable(path, attribute, journal, pool.paths, hashes, seed=default, notebook=notebook)
        begin(journal, {"attribute": name, "values": list(attribute.values), "share": share, "seed": seed})
        for file, value in examples.items():
            add_example(table, file, value, choices.who)
        asker = Reviewing(pool, table, seed=seed) if choices.review else Growing(pool, table, seed=seed, share=share)
        labelling = Labelling(pool, table, asker, page=choices.page, who=choices.who, review=choices.review)
        labelling.close()
        try:
            yield labelling
        finally:
            labelling.close()


def table_path(project: Project, name: str) -> Path:
    """Where the attribute's table lies, or will lie.

    Raises:
        ConfigError: the attribute is a folder of pictures.
    """
    source = project.sources().get(name, project.data / f"{name}.csv")
    if source.is_dir():
        raise ConfigError(
            f"{source} is a folder, and answers are kept in a table; import it under another name: "
            f"`graftnet data import {source} --name NAME`."
        )
    return source


def agreed_values(name: str, given: Sequence[str], journal: Journal, path: Path, labels: set[str]) -> tuple[str, ...]:
    """The values in their order: those of the call, or as the labelling was begun, or of the table, or no and yes.

    Raises:
        ConfigError: the call leaves out one that is in use, or names what cannot be a value.
    """
    begun = journal.begun or {}
    kept = begun.get("values")
    known = tuple(kept) if isinstance(kept, list) and all(isinstance(value, str) for value in kept) else ()
    if not known and labels:
        known = recorded_order(read_import_record(path), labels) or ordered_values(labels, name)
        if len(known) == 1 and known[0].casefold() in YES_AND_NO:
            known = YES_AND_NO
    if not given:
        return known or YES_AND_NO
    spelled = spellings(given)
    values = tuple(dict.fromkeys(spelled[value] for value in given))
    wrong = contradiction(values)
    if not wrong and (stray_words(dict.fromkeys(values, 1)) or any(is_unknown(value) for value in values)):
        wrong = "one of them says unknown, for which the page has unsure"
    if wrong:
        raise ConfigError(f"--values {','.join(given)} cannot be: {wrong}; name others.")
    if missing := [value for value in known if value not in values]:
        raise ConfigError(f"--values leaves out {', '.join(missing)}, which {name} has; name all of them.")
    return values


def agreed_draw(journal: Journal, choices: LabelChoices, default: int) -> tuple[float, int]:
    """The share and the seed: which pictures may be val or test is drawn once.

    Raises:
        ConfigError: the call says another one than the labelling was begun with.
    """
    begun = journal.begun or {}
    share, seed = begun.get("share", choices.share), begun.get("seed", choices.seed)
    for option, given, kept in (("--random", choices.share, share), ("--seed", choices.seed, seed)):
        if given is not None and given != kept:
            raise ConfigError(
                f"{journal.path} was begun with {option} {kept}, and which pictures are val and test is drawn once; "
                f"leave {option} out."
            )
    return (SHARE if share is None else float(share)), (default if seed is None else int(seed))


def begin(journal: Journal, settings: Mapping[str, Any]) -> None:
    """Note the settings, where they are new."""
    if journal.begun is None or any(journal.begun.get(key) != value for key, value in settings.items()):
        journal.begin(**settings)


def example_files(examples: Sequence[str], values: Sequence[str]) -> dict[Path, str]:
    """The files that ``VALUE=PATH`` names, or that lie in the folder it names, with the value.

    Raises:
        ConfigError: no such value, or no picture there.
    """
    files: dict[Path, str] = {}
    for example in examples:
        value, sign, place = example.partition("=")
        path = Path(place).absolute()
        if not sign or value not in values:
            raise ConfigError(f"--example {example} names no value; write VALUE=PATH, of {', '.join(values)}.")
        found = found_pictures(path)[0] if path.is_dir() else [path] if path.is_file() and is_image_file(path) else []
        if not found:
            raise ConfigError(
                f"--example {example}: there is no picture at {path}; name a picture, or a folder of some."
            )
        files |= dict.fromkeys(found, value)
    return files


def add_example(table: AnswerTable, file: Path, value: str, who: str) -> None:
    """Take an example as an answer, in train, where the picture has none yet."""
    content = table.hashes[file]
    if content not in table.journal.current() and not table.labels(content):
        table.journal.add(Said(content, table.locations.cell(file), value, "train", EXAMPLE, who))


def new_token() -> str:
    """A word that nobody guesses."""
    return secrets.token_urlsafe(24)
