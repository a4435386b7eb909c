"""Read graftnet.toml: a project's settings with their names, defaults and bounds.

A table inherits the settings of its room and adds the keys that have none; a room's names, defaults and bounds are
those of its settings class. The tables are read once, at the front door; the rooms receive values (see
``graftnet.project.settings``).
"""

import tomllib
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from annotated_types import Ge, Le
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, PlainValidator, ValidationError, model_validator
from pydantic_core import PydanticCustomError

from branches.measures.metrics import THRESHOLD_RULES
from branches.settings import FitRecipe
from foundation.bounds import Count, Index, NonNegative, OneOf, Positive, Threshold
from graftnet.errors import ConfigError
from graftnet.project.config_problems import list_problems
from label_graph.settings import GraphRecipe
from nas.settings import SEARCH_STRATEGIES, ChoosingSettings, JobSettings, SearchSettings
from search_spaces.operations import ACTIVATIONS, HEAD_POOLINGS, OPERATIONS, POOLINGS
from trunk.errors import TrunkError
from trunk.features.settings import STORAGE_RULE, VIEW_RULE, is_view, parse_storage
from trunk.precision import PRECISIONS
from trunk.pretraining.settings import BLOCKS, METHODS, NORMALISATIONS, IndeedSettings, Policy, PretrainSettings
from trunk.records import DECODINGS, FITS, INTERPOLATIONS, LARGEST_SIDE, Deviation, Mean

if TYPE_CHECKING:
    from graftnet.project.folder import Project

CONFIG_NAME = "graftnet.toml"
SMALLEST_SIDE = 8  # pixels
SPACES = ("macro", "micro")
KINDS = ("searched", "tail")
SOURCES = ("cut", "all")  # the depths whose averages a branch's head reads: its own, or all down to it
RIVALS = tuple(name for name in SEARCH_STRATEGIES if name not in ("enas", "random"))


def known_view(name: str) -> str:
    """A view of [features]."""
    if not is_view(name):
        raise PydanticCustomError("view", VIEW_RULE)
    return name


def known_storage(name: str) -> str:
    """A storage of [features]."""
    try:
        parse_storage(name)
    except TrunkError:
        raise PydanticCustomError("storage", STORAGE_RULE) from None
    return name


def for_channels(numbers: tuple[float, ...]) -> tuple[float, ...]:
    """One number for each of red, green and blue, or none."""
    if len(numbers) not in (0, 3):
        raise PydanticCustomError("channels", "must be three numbers, of red, green and blue, or []")
    return numbers


def known_size(value: object) -> int | tuple[int, int]:
    """The size of the trunk's images: a square's side, or [height, width]."""
    sides = tuple(value) if isinstance(value, list | tuple) else (value, value)
    if len(sides) != 2 or not all(type(side) is int and SMALLEST_SIDE <= side <= LARGEST_SIDE for side in sides):
        rule = f"must be a whole number from {SMALLEST_SIDE} to {LARGEST_SIDE}, or two of them as [height, width]"
        raise PydanticCustomError("size", rule)
    height, width = sides
    return height if height == width else (height, width)


def size_of_text(text: str) -> int | tuple[int, int]:
    """A size from the command line: a square's side, "96", or height and width, "224x112".

    Raises:
        ConfigError: it is neither.
    """
    sides = [int(part) if part.isascii() and part.isdigit() else 0 for part in text.split("x")]
    if len(sides) not in (1, 2) or not all(0 < side <= LARGEST_SIDE for side in sides):
        raise ConfigError(f"--size must be pixels, such as 96, or height and width, such as 224x112, is {text!r}.")
    return sides[0] if len(sides) == 1 or sides[0] == sides[1] else (sides[0], sides[1])


List = Field(strict=False)  # TOML has lists where we keep tuples
Filled = Field(strict=False, min_length=1)


class Table(BaseModel, frozen=True):
    """What all tables of graftnet.toml share: no unknown keys, no silent conversion, no change after reading."""

    model_config = ConfigDict(extra="forbid", strict=True, validate_default=True, allow_inf_nan=False)


class ProjectTable(Table, frozen=True):
    """[project]: the project's name, where its files are, its seed, and whether records may hold small pictures."""

    name: str = "graftnet"
    data: str = "data"
    runs: str = "runs"
    seed: Index = 0
    pictures: bool = True


class DataTable(Table, frozen=True):
    """[data]: what the pictures are, where their files do not say it."""

    white: Annotated[int, Ge(0), Le(2**31 - 1)] = 0


class TrunkTable(Table, PretrainSettings, frozen=True):
    """[trunk]: the shared blocks, how they are trained, and when it is time to train them again."""

    backbone: str = "inception_v3"
    image_size: Annotated[int | tuple[int, int], PlainValidator(known_size)] = 96
    fit: Annotated[str, OneOf(FITS)] = "squash"
    decoding: Annotated[str, OneOf(DECODINGS)] = "full"
    interpolation: Annotated[str, OneOf(("", *INTERPOLATIONS))] = ""
    mean: Annotated[tuple[Mean, ...], List, AfterValidator(for_channels)] = ()
    std: Annotated[tuple[Deviation, ...], List, AfterValidator(for_channels)] = ()
    freeze_depth: Index = 0
    weights: str = ""
    attributes: Annotated[tuple[str, ...], List] = ()
    start: str = ""
    method: Annotated[str, OneOf(METHODS)] = "dynamic"
    indeed_map: Annotated[str, OneOf(NORMALISATIONS)] = IndeedSettings.normalisation
    indeed_weight: NonNegative = IndeedSettings.weight
    indeed_blocks: Annotated[str, OneOf(BLOCKS)] = IndeedSettings.blocks
    feature_precision: Annotated[str, OneOf(PRECISIONS)] = "float32"
    retrain_due: Count = Policy.due
    retrain_overdue: Count = Policy.overdue


class FeaturesTable(Table, frozen=True):
    """[features]: what is cached of an image, and as which numbers (``trunk.features.settings``)."""

    views: Annotated[tuple[Annotated[str, AfterValidator(known_view)], ...], List] = ()
    storage: Annotated[str, AfterValidator(known_storage)] = "float16"


class SearchTable(Table, SearchSettings, ChoosingSettings, frozen=True):
    """[search]: what a branch may be made of, and how it is searched, chosen, and started from earlier searches."""

    space: Annotated[str, OneOf(SPACES)] = "macro"
    nodes: Count = 4
    cells: Count = 3
    reductions: Annotated[tuple[Count, ...], List] = (2,)
    depths: Annotated[tuple[Count, ...], List] = ()
    widths: Annotated[tuple[Count, ...], Filled] = (8, 16, 32, 64)
    operations: Annotated[tuple[Annotated[str, OneOf(OPERATIONS)], ...], List] = ()
    activations: Annotated[tuple[Annotated[str, OneOf(ACTIVATIONS)], ...], Filled] = ("relu", "silu", "hard_swish")
    poolings: Annotated[tuple[Annotated[str, OneOf(POOLINGS)], ...], Filled] = HEAD_POOLINGS
    sources: Annotated[str, OneOf(SOURCES)] = "cut"
    race: Index = 0
    warm_start: bool = False
    warm_epochs: Count = 10
    warm_warmup_epochs: Index = 0
    warm_weights: bool = False


class BranchTable(Table, frozen=True):
    """[branch]: what a branch is, searched or the backbone's own next blocks (``search_spaces.tail``)."""

    kind: Annotated[str, OneOf(KINDS)] = "searched"
    blocks: Index = 0
    pooling: Annotated[str, OneOf(POOLINGS)] = "average"
    width: Count = 64


class RetrainTable(Table, FitRecipe, frozen=True):
    """[retrain]: how the best candidates are trained from scratch."""

    threshold_by: Annotated[str, OneOf(THRESHOLD_RULES)] = "f1"
    repeats: Count = 3


class ControlsTable(Table, frozen=True):
    """[controls]: the baselines that every search is compared with (``nas.settings.JobSettings``)."""

    random: bool = True
    linear_probe: bool = True
    tail: bool = True
    tail_epochs: Count = 5
    tail_learning_rate: Positive = 3e-4
    tail_weight_decay: NonNegative = 0.05
    tail_share: Threshold = JobSettings.tail_share
    learning_curve: bool = JobSettings.learning_curve
    strategies: Annotated[tuple[Annotated[str, OneOf(RIVALS)], ...], List] = ()


class AttributeTrunk(Table, frozen=True):
    """[attributes.NAME.trunk]: where one attribute's branch leaves the trunk; 0: where the backbone's table says."""

    freeze_depth: Index = 0


class AttributeTable(Table, frozen=True):
    """[attributes.NAME]: what one attribute has otherwise than the tables of the same names."""

    trunk: AttributeTrunk = AttributeTrunk()
    search: SearchTable = SearchTable()
    branch: BranchTable = BranchTable()
    retrain: RetrainTable = RetrainTable()
    controls: ControlsTable = ControlsTable()


class LabelGraphTable(Table, GraphRecipe, frozen=True):
    """[label_graph]: one classifier per label, made by a graph."""

    words: str = ""


class RelationTable(Table, frozen=True):
    """[[relations]]: labels that exclude one another, or of which the first implies the others."""

    exclude: Annotated[tuple[str, ...], List] = ()
    imply: Annotated[tuple[str, ...], List] = ()

    @model_validator(mode="after")
    def one_of_both(self) -> "RelationTable":
        """Refuse a relation of less than two labels, of one label twice, or of both kinds."""
        labels = self.exclude or self.imply
        if bool(self.exclude) == bool(self.imply) or len(labels) < 2 or len(set(labels)) < len(labels):
            rule = "must be exclude = [...] or imply = [...], with two labels or more, each once"
            raise PydanticCustomError("relation", rule)
        return self

    @property
    def relation(self) -> tuple[str, tuple[str, ...]]:
        """Its kind and its labels."""
        return ("exclude", self.exclude) if self.exclude else ("imply", self.imply)


class Config(Table, frozen=True):
    """graftnet.toml as a whole; every table may be left out."""

    project: ProjectTable = ProjectTable()
    data: DataTable = DataTable()
    trunk: TrunkTable = TrunkTable()
    features: FeaturesTable = FeaturesTable()
    search: SearchTable = SearchTable()
    branch: BranchTable = BranchTable()
    retrain: RetrainTable = RetrainTable()
    controls: ControlsTable = ControlsTable()
    label_graph: LabelGraphTable = LabelGraphTable()
    relations: Annotated[tuple[RelationTable, ...], List] = ()
    attributes: dict[str, AttributeTable] = {}


def config_of(config: Config, attribute: str) -> Config:
    """The configuration with what an attribute's own tables set; what they leave out stays."""
    own = config.attributes.get(attribute)
    if own is None:
        return config
    update: dict[str, Any] = {}
    for name in AttributeTable.model_fields:
        part: Table = getattr(own, name)
        given = {key: getattr(part, key) for key in part.model_fields_set}
        update[name] = getattr(config, name).model_copy(update=given)
    others = {name: table for name, table in config.attributes.items() if name != attribute}
    return config.model_copy(update={**update, "attributes": others})


def project_of(project: "Project", attribute: str) -> "Project":
    """The project as one attribute has it."""
    return replace(project, config=config_of(project.config, attribute))


def without(config: Config, keys: Iterable[tuple[str, str]]) -> Config:
    """The configuration whose attributes leave these (table, key) to the tables for all: a call sets them."""
    keys = set(keys)
    attributes: dict[str, AttributeTable] = {}
    for name, own in config.attributes.items():
        parts: dict[str, Any] = {}
        for table in own.model_fields_set:
            part: Table = getattr(own, table)
            kept = {key: getattr(part, key) for key in part.model_fields_set if (table, key) not in keys}
            parts[table] = type(part).model_construct(_fields_set=set(kept), **kept)
        attributes[name] = AttributeTable.model_construct(_fields_set=set(parts), **parts)
    return config.model_copy(update={"attributes": attributes})


def parse_config(text: str, name: str = CONFIG_NAME) -> Config:
    """Read a configuration from TOML.

    Raises:
        ConfigError: one sentence that lists every mistake with table, key, line and remedy.
    """
    try:
        values = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{name}: this is not TOML: {error}.") from error
    except RecursionError as error:
        raise ConfigError(
            f"{name}: a value is nested too deeply; write plain ones, as `graftnet init` does."
        ) from error
    try:
        return Config.model_validate(values)
    except ValidationError as error:
        problems = list_problems(error, Config, text)
        raise ConfigError(f"{name}: {'; '.join(problems)}.") from error


def read_config(path: Path) -> Config:
    """Read a graftnet.toml.

    Raises:
        ConfigError: the file cannot be read, or has mistakes (all of them in one sentence).
    """
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: this is not UTF-8 text (byte {error.start}); save it as UTF-8.") from error
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read ({error.strerror}).") from error
    return parse_config(text, str(path))
