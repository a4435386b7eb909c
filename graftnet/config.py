"""graftnet.toml: what a project's settings are called, which values they take and what they are when left out.

The models here are read once, at the front door; the rooms receive values (see ``graftnet.settings``).
"""

import tomllib
from pathlib import Path
from typing import Annotated, Literal, get_args

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError
from pydantic_core import PydanticCustomError

from graftnet.config_problems import list_problems
from graftnet.errors import ConfigError
from trunk.cache_settings import STORAGE_RULE, VIEW_RULE, is_view, parse_storage
from trunk.errors import TrunkError

CONFIG_NAME = "graftnet.toml"


def view(name: str) -> str:
    """A view of [features]."""
    if not is_view(name):
        raise PydanticCustomError("view", VIEW_RULE)
    return name


def storage(name: str) -> str:
    """A storage of [features]."""
    try:
        parse_storage(name)
    except TrunkError:
        raise PydanticCustomError("storage", STORAGE_RULE) from None
    return name


Count = Annotated[int, Field(ge=1)]
Index = Annotated[int, Field(ge=0)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
NonNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Share = Annotated[float, Field(ge=0, lt=1)]
Names = Annotated[tuple[str, ...], Field(strict=False)]
Widths = Annotated[tuple[Count, ...], Field(strict=False, min_length=1)]
Views = Annotated[tuple[Annotated[str, AfterValidator(view)], ...], Field(strict=False)]
StorageName = Annotated[str, AfterValidator(storage)]
Places = Annotated[tuple[Count, ...], Field(strict=False)]
Operation = Literal["conv3x3", "conv5x5", "separable3x3", "separable5x5", "average_pool3x3", "max_pool3x3", "identity"]
Operations = Annotated[tuple[Operation, ...], Field(strict=False)]
Activation = Literal["relu", "silu", "hard_swish", "leaky_relu", "gelu", "tanh"]
Activations = Annotated[tuple[Activation, ...], Field(strict=False, min_length=1)]
Pooling = Literal["average", "bilinear"]
Poolings = Annotated[tuple[Pooling, ...], Field(strict=False, min_length=1)]
Balance = Literal["sampling", "weights", "none"]
Reward = Literal["auroc", "average_precision", "balanced_accuracy", "accuracy"]
Sampling = Literal["uniform", "sqrt", "size"]
Losses = Literal["sum", "mean"]
BatchStatistics = Literal["step", "attribute"]
Precision = Literal["auto", "float32", "bfloat16"]
Method = Literal["dynamic", "multi_label", "indeed"]
IdenticalMap = Literal["minmax", "l2"]
Blocks = Literal["both", "identical", "disparate"]
Rival = Literal["controller", "local", "nni-random", "nni-evolution", "nni-darts"]
Rivals = Annotated[tuple[Rival, ...], Field(strict=False)]
Strategy = Literal["enas", "controller", "random", "local", "nni-random", "nni-evolution", "nni-darts"]


Graph = Literal["cooccurrence", "identity", "none"]
NodeFeatures = Literal["image", "image_pca", "words", "identity"]
LabelLoss = Literal["asymmetric", "bce", "focal", "weighted"]


class Table(BaseModel):
    """What all tables of graftnet.toml share: no unknown keys, no silent conversion, no change after reading."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)


class ProjectTable(Table):
    """[project]: the project's name, where its files are, its seed, and whether records may hold small pictures."""

    name: str = "graftnet"
    data: str = "data"
    runs: str = "runs"
    seed: Index = 0
    pictures: bool = True


class TrunkTable(Table):
    """[trunk]: the shared blocks and their dynamic-graph training (``trunk.pretrain_settings.PretrainSettings``)."""

    backbone: str = "inception_v3"
    image_size: Annotated[int, Field(ge=8)] = 96
    freeze_depth: Index = 0
    weights: str = ""
    attributes: Names = ()
    method: Method = "dynamic"
    indeed_map: IdenticalMap = "minmax"
    indeed_weight: NonNegative = 1.0
    indeed_blocks: Blocks = "both"
    steps: Count = 6000
    batch_size: Annotated[int, Field(ge=2)] = 64
    attributes_per_step: Count = 8
    sampling: Sampling = "uniform"
    losses: Losses = "sum"
    shared_labels: bool = True
    balanced: bool = True
    batch_statistics: BatchStatistics = "step"
    reestimate_images: Index = 0
    learning_rate: Positive = 1e-3
    weight_decay: NonNegative = 0.02
    warmup_steps: Index = 200
    gradient_clip: NonNegative = 5.0
    flip: bool = True
    pad: Share = 0.125
    jitter: Share = 0.0
    erase: Share = 0.0
    precision: Precision = "auto"
    feature_precision: Precision = "float32"
    validate_every: Count = 500
    checkpoint_every: Count = 200
    val_images: Count = 500
    retrain_due: Count = 5
    retrain_overdue: Count = 7


class FeaturesTable(Table):
    """[features]: what is cached of an image, and as which numbers (``trunk.cache_settings``)."""

    views: Views = ()
    storage: StorageName = "float16"


class SearchTable(Table):
    """[search]: what a branch may be made of, and how it is searched (``nas.enas.SearchSettings``)."""

    space: Literal["macro", "micro"] = "macro"
    nodes: Count = 4
    cells: Count = 3
    reductions: Places = (2,)
    depths: Places = ()
    widths: Widths = (8, 16, 32, 64)
    operations: Operations = ()
    activations: Activations = ("relu", "silu", "hard_swish")
    poolings: Poolings = get_args(Pooling)
    strategy: Strategy = "enas"
    trials: Count = 40
    trial_epochs: Count = 3
    epochs: Count = 20
    warmup_epochs: Index = 4
    min_steps: Index = 60
    batch_size: Annotated[int, Field(ge=2)] = 128
    learning_rate: Positive = 2e-3
    weight_decay: NonNegative = 0.02
    balance: Balance = "sampling"
    updates_per_epoch: Count = 10
    samples_per_update: Count = 8
    reward: Reward = "auroc"
    reward_images: Index = 1000
    parameter_penalty: NonNegative = 0.0
    recipe: Literal["paper", "strong", "remembering"] = "strong"
    hidden: Count = 64
    fair_share: Annotated[float, Field(ge=0, le=1)] = 1.0
    candidates: Count = 100
    retrain_top: Count = 4
    apart: Annotated[float, Field(ge=1, allow_inf_nan=False)] = 1.5
    winner: Literal["best", "smallest_within"] = "best"
    winner_tolerance: NonNegative = 1.0
    max_parameters: Index = 0
    max_macs: NonNegative = 0.0
    max_latency: NonNegative = 0.0
    latency_batch: Count = 1
    warm_start: bool = False
    warm_epochs: Count = 10
    warm_warmup_epochs: Index = 0
    warm_weights: bool = False


class BranchTable(Table):
    """[branch]: what a branch is, searched or the backbone's own next blocks (``search_spaces.tail``)."""

    kind: Literal["searched", "tail"] = "searched"
    blocks: Index = 0
    pooling: Pooling = "average"
    width: Count = 64


class RetrainTable(Table):
    """[retrain]: how the best candidates are trained from scratch (``branches.settings.FitSettings``)."""

    epochs: Count = 12
    batch_size: Annotated[int, Field(ge=2)] = 128
    learning_rate: Positive = 2e-3
    weight_decay: NonNegative = 0.02
    warmup_fraction: Share = 0.1
    balance: Balance = "none"
    dropout: Share = 0.0
    label_smoothing: Share = 0.0
    gradient_clip: NonNegative = 5.0
    average: Share = 0.99
    mirror: bool = False
    noise: NonNegative = 0.0
    mixup: NonNegative = 0.0
    precision: Literal["float32", "bfloat16"] = "float32"
    keep: Literal["best", "last"] = "best"
    threshold_by: Literal["f1", "balanced_accuracy", "accuracy"] = "f1"
    repeats: Count = 3


class ControlsTable(Table):
    """[controls]: the baselines that every search is compared with (``nas.settings.JobSettings``)."""

    random: bool = True
    linear_probe: bool = True
    tail: bool = True
    tail_epochs: Count = 5
    tail_learning_rate: Positive = 3e-4
    tail_weight_decay: NonNegative = 0.05
    strategies: Rivals = ()


class AttributeTrunk(Table):
    """[attributes.NAME.trunk]: where one attribute's branch leaves the trunk; 0: where the backbone's table says."""

    freeze_depth: Index = 0


class AttributeTable(Table):
    """[attributes.NAME]: what one attribute has otherwise than the tables of the same names."""

    trunk: AttributeTrunk = AttributeTrunk()
    search: SearchTable = SearchTable()
    branch: BranchTable = BranchTable()
    retrain: RetrainTable = RetrainTable()
    controls: ControlsTable = ControlsTable()


class LabelGraphTable(Table):
    """[label_graph]: one classifier per label, made by a graph (``label_graph.settings.GraphSettings``)."""

    graph: Graph = "cooccurrence"
    tau: Annotated[float, Field(gt=0, le=1)] = 0.1
    p: Annotated[float, Field(ge=0, le=1)] = 0.2
    layers: Count = 2
    hidden: Count = 256
    nodes: NodeFeatures = "image_pca"
    components: Index = 0
    words: str = ""
    loss: LabelLoss = "asymmetric"
    gamma_negative: NonNegative = 2.0
    gamma_positive: NonNegative = 0.0
    clip: Share = 0.05
    pooling: Literal["average", "max"] = "average"
    learning_rate: Positive = 2e-3
    weight_decay: NonNegative = 0.02
    epochs: Count = 60
    batch_size: Count = 128
    patience: Index = 15


class Config(Table):
    """graftnet.toml as a whole; every table may be left out."""

    project: ProjectTable = ProjectTable()
    trunk: TrunkTable = TrunkTable()
    features: FeaturesTable = FeaturesTable()
    search: SearchTable = SearchTable()
    branch: BranchTable = BranchTable()
    retrain: RetrainTable = RetrainTable()
    controls: ControlsTable = ControlsTable()
    label_graph: LabelGraphTable = LabelGraphTable()
    attributes: dict[str, AttributeTable] = {}


def parse_config(text: str, name: str = CONFIG_NAME) -> Config:
    """Read a configuration from TOML.

    Raises:
        ConfigError: one sentence that lists every mistake with table, key, line and remedy.
    """
    try:
        values = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{name}: this is not TOML: {error}.") from error
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
