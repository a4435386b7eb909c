"""A project folder: where its configuration, sub-datasets and everything under runs/ lie."""

import difflib
from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NotRequired

from typing_extensions import TypedDict

from foundation.errors import RecordError
from foundation.records import InnerPath, Name, inside, read_json, read_record
from graftnet.errors import ConfigError
from graftnet.project.config import CONFIG_NAME, Config, read_config
from graftnet.project.draws import notes_of

if TYPE_CHECKING:
    from subdatasets.files.memory import FileMemory
    from subdatasets.subdataset import SubDataset

IMAGES = "images"
LAST = 2**53  # behind every number of a sequence
TABLES = (".csv", ".parquet", ".tar", ".zip")  # what is called like its attribute but for the ending
MINED = ".mining.json"  # beside a sub-dataset that was mined from another one (:mod:`graftnet.data.mining`)
TREE = "tree"  # the first one; after a switch of trunks, trees/VERSION-N


class Before(TypedDict):
    """What was served once."""

    version: Name
    tree: InnerPath


class CurrentShape(TypedDict):
    """What ``current.json`` must be: what it names is read, and grafts are written there."""

    version: Name
    tree: NotRequired[InnerPath]
    before: NotRequired[list[Before]]


@dataclass(frozen=True)
class Project:
    """A folder with a graftnet.toml; the properties name its files and create nothing.

    version: of the trunk that this view of the project works on; None for the one in use.
    """

    folder: Path
    config: Config
    version: str | None = None

    @property
    def data(self) -> Path:
        """The sub-datasets: ``<attribute>.csv`` or ``<attribute>/``, and the images that importers wrote."""
        return self.folder / self.config.project.data

    @property
    def runs(self) -> Path:
        """Everything the toolkit writes."""
        return self.folder / self.config.project.runs

    @property
    def trunks(self) -> Path:
        """One folder per trunk version, each with ``weights.safetensors`` and ``trunk.json``."""
        return self.runs / "trunk"

    @property
    def current_trunk_file(self) -> Path:
        """Which version is in use, and which tree was grown on it (:mod:`graftnet.trunks.served`)."""
        return self.trunks / "current.json"

    @property
    def current(self) -> dict[str, Any]:
        """What :attr:`current_trunk_file` says; empty while there is no trunk.

        Raises:
            RecordError: it is damaged, or names what does not lie in this project.
        """
        try:
            current = read_record(self.current_trunk_file, CurrentShape)
        except FileNotFoundError:
            return {}
        for served in (current, *current.get("before", [])):
            inside(self.trunks, served["version"])
            inside(self.runs, served.get("tree", TREE))
        return current

    @property
    def current_trunk(self) -> Path:
        """The folder of the trunk in use.

        Raises:
            ConfigError: the project has no trunk yet, or the one it names is gone.
        """
        remedy = "train one with `graftnet trunk train`, or bring one with `graftnet trunk use FILE`"
        version = self.version or self.current.get("version")
        if version is None:
            raise ConfigError(f"{self.folder} has no trunk yet; {remedy}.")
        folder = self.trunks / str(version)
        if not folder.is_dir():
            again = f"restore {folder}, or delete {self.current_trunk_file} and {self.tree} and {remedy}"
            raise ConfigError(f"{self.current_trunk_file} names trunk {version}, which is not there; {again}.")
        return folder

    @property
    def uncompressed(self) -> "Project":
        """This project, with its features as the trunk gives them, whatever `features.storage` says."""
        features = self.config.features.model_copy(update={"storage": "float16"})
        return replace(self, config=self.config.model_copy(update={"features": features}))

    @property
    def cache(self) -> Path:
        """Cached trunk features."""
        return self.runs / "cache"

    @property
    def memory(self) -> "FileMemory":
        """What is known of files that were read before; it may be deleted at any time."""
        from subdatasets.files.memory import memory_in

        return memory_in(self.runs)

    @property
    def tree(self) -> Path:
        """The branches grafted on the trunk in use, one folder per attribute."""
        return self.runs / str(self.current.get("tree", TREE))

    @property
    def label_graphs(self) -> Path:
        """One folder per run of the label graph."""
        return self.runs / "label_graph"

    @property
    def exports(self) -> Path:
        """Exported branches and bundles."""
        return self.runs / "exports"

    @property
    def reports(self) -> Path:
        """Reports over several attributes; a search's own report lies in its folder."""
        return self.runs / "reports"

    def searches(self, attribute: str) -> Path:
        """The folder with one folder per search of an attribute.

        Raises:
            RecordError: it is a link to somewhere else.
        """
        return inside(self.runs, "searches", attribute)

    def results(self, attribute: str) -> list[Path]:
        """The attribute's finished searches (folders with a result.json), oldest first."""
        return by_age(self.searches(attribute).glob("*/result.json"))

    def begun(self, attribute: str) -> list[Path]:
        """The attribute's searches that have begun, finished or not; at the end the one begun or continued last.

        By what their ``config.json`` says: copies of files have other times.
        """
        histories = self.searches(attribute).glob("*/history.jsonl")
        configs = {path: path.with_name("config.json") for path in histories}
        return by_age(config if config.exists() else history for history, config in configs.items())

    def next_in_sequence(self, attribute: str, search: Path | None = None) -> int:
        """The number that makes `search`, or one to come, the attribute's newest, once it stands in its records.

        One that is the newest already keeps its number, so that a killed search ends with the result of a whole one.
        """
        records = self.searches(attribute).glob("*/*.json")
        others = (path for path in records if path.parent != search and path.name in ("config.json", "result.json"))
        ages = (recorded_age(path)[0] for path in others)
        return 1 + max((int(number) for number in ages if number < LAST), default=0)

    def latest(self, attribute: str) -> Path | None:
        """The newest finished search of an attribute, else the newest one that has begun, else None."""
        folders = self.results(attribute) or self.begun(attribute)
        return folders[-1] if folders else None

    def latest_search(self, attribute: str) -> Path:
        """The folder that a report is written about.

        Raises:
            ConfigError: the attribute was never searched.
        """
        search = self.latest(attribute)
        if search is None:
            self.source(attribute)
            raise ConfigError(f"{attribute} is not searched yet; run `graftnet search {attribute}`.")
        return search

    def sources(self) -> dict[str, Path]:
        """The attribute's name -> its sub-dataset (a table, a folder or an archive), in alphabetical order.

        Raises:
            ConfigError: an attribute has two of them.
        """
        from subdatasets.reading.walk import SYSTEM_FOLDERS

        sources: dict[str, Path] = {}
        if not self.data.is_dir():
            return sources
        for path in sorted(self.data.iterdir()):
            table = path.suffix.casefold() in TABLES
            name = path.stem if table else path.name
            ours = path.name.startswith(".") or path.name == IMAGES or path.name.casefold() in SYSTEM_FOLDERS
            if ours or not (table or path.is_dir()):
                continue
            if name in sources:
                raise ConfigError(f"{name} has two sub-datasets, {sources[name]} and {path}; keep one of them.")
            sources[name] = path
        return sources

    def read(self, attribute: str) -> "SubDataset":
        """The sub-dataset of one attribute; what has no split of its own gets one by the project's seed.

        Raises:
            ConfigError: there is none of this name. DataError: it cannot be read.
        """
        from subdatasets.subdataset import read_subdataset

        notebook = partial(notes_of, self.runs, attribute)
        return read_subdataset(self.source(attribute), seed=self.config.project.seed, notebook=notebook)

    def questions(self) -> list[str]:
        """The attributes, without those that were mined from another one: these ask the same of fewer images."""
        return [name for name in self.sources() if not self.mined(name).exists()]

    def mined(self, attribute: str) -> Path:
        """The record beside a sub-dataset that was mined from another one."""
        return self.data / f"{attribute}{MINED}"

    def source(self, attribute: str) -> Path:
        """The sub-dataset of one attribute.

        Raises:
            ConfigError: there is none of this name.
        """
        sources = self.sources()
        if attribute not in sources:
            raise ConfigError(unknown_attribute(attribute, list(sources), self.data))
        return sources[attribute]


def by_age(files: Iterable[Path]) -> list[Path]:
    """The folders of records, the newest at the end, by what the records say: copies of files have other times.

    The time of a file counts where nothing is said, as of histories.
    """
    return [file.parent for file in sorted(files, key=recorded_age)]


def recorded_age(file: Path) -> tuple[float, str, int, str]:
    """What orders records: the number in their sequence, when they were made, the file's time, its folder's name.

    One that is damaged counts as the newest, so that whoever asks for the newest hears of it, and is not given another.
    """
    changed, name = file.stat().st_mtime_ns, file.parent.name
    if file.suffix != ".json":
        return 0, "", changed, name
    try:
        record = read_json(file)
        number, created = record.get("sequence") or 0, str(record.get("created", ""))
        return (number if type(number) is int and 0 < number < LAST else 0), created, changed, name
    except (OSError, RecordError):
        return LAST, "", changed, name


def unknown_attribute(attribute: str, known: list[str], data: Path) -> str:
    """The sentence for an attribute without a sub-dataset."""
    if not known:
        return f"{data} has no sub-dataset; bring one in with `graftnet data import`."
    near = difflib.get_close_matches(attribute, known, n=1)
    hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(known[:10])}."
    return f"{data} has no sub-dataset for {attribute!r}; {hint}"


def project_here(folder: Path | None) -> Project | None:
    """The project in ``folder``, or around the working directory; None where no folder is named and none is there."""
    here = Path.cwd()
    inside = any((parent / CONFIG_NAME).is_file() for parent in (here, *here.parents))
    return open_project(folder) if folder or inside else None


def find_project(start: Path) -> Path:
    """The nearest folder from ``start`` upward that holds a graftnet.toml.

    Raises:
        ConfigError: there is none.
    """
    for folder in (start, *start.parents):
        if (folder / CONFIG_NAME).is_file():
            return folder
    raise ConfigError(
        f"There is no {CONFIG_NAME} in {start} or above it; run `graftnet init NAME` and work inside its folder, "
        "or name a project with --project FOLDER."
    )


def open_project(folder: Path | None = None) -> Project:
    """The project in ``folder``, or the one around the working directory.

    Raises:
        ConfigError: there is no project, or its graftnet.toml has mistakes.
    """
    if folder is None:
        home = find_project(Path.cwd())
    elif not (folder / CONFIG_NAME).is_file():
        raise ConfigError(f"{folder} has no {CONFIG_NAME}; make one with `graftnet init {folder}`.")
    else:
        home = folder.resolve()
    return Project(home, read_config(home / CONFIG_NAME))
