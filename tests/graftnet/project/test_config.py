"""graftnet.toml: every mistake at once, the template, and the seam to the rooms' settings."""

import re
import subprocess
import sys
import tomllib
from collections.abc import Iterable
from dataclasses import fields, replace
from pathlib import Path
from typing import Any, get_args

import pytest
import torch
from pydantic import ValidationError

from branches.measures.metrics import REWARDS
from branches.settings import FitRecipe, FitSettings
from foundation.bounds import OneOf, check_fields
from graftnet.errors import ConfigError
from graftnet.project.config import (
    RIVALS,
    Config,
    LabelGraphTable,
    RetrainTable,
    SearchTable,
    Table,
    TrunkTable,
    parse_config,
    read_config,
)
from graftnet.project.settings import (
    depth_of,
    fit_settings,
    graph_settings,
    job_settings,
    pretrain_settings,
    search_settings,
    space_of_config,
)
from graftnet.project.toml_edit import template
from label_graph import classifier, losses
from label_graph.settings import LOSSES, POOLINGS, GraphRecipe, GraphSettings
from nas.settings import SEARCH_STRATEGIES, ChoosingSettings, JobSettings, SearchSettings
from nas.strategies.searches import STRATEGIES
from search_spaces import SpaceError, macro_space, micro_space
from tests.test_house import MODULES
from trunk.backbones.find import find_backbone
from trunk.precision import resolve_precision
from trunk.pretraining.settings import PretrainSettings

CPU = torch.device("cpu")


def test_template_holds_every_setting_at_its_default() -> None:
    text = template("graftnet")
    assert parse_config(text) == Config()
    written = tomllib.loads(text)
    for table, field in Config.model_fields.items():
        if table in ("attributes", "relations"):
            assert table not in written  # an example of it is a comment
            continue
        assert isinstance(field.annotation, type)
        assert issubclass(field.annotation, Table)
        assert set(written[table]) == set(field.annotation.model_fields), table


def test_template_names_every_choice() -> None:
    """A key that takes one of some names says which, in its own line or the comment above its group."""
    text = template("graftnet")
    for table, field in Config.model_fields.items():
        if table in ("attributes", "relations"):
            continue
        (part,) = re.findall(rf"^\[{table}\]\n(.*?)(?=^\[|\Z)", text, re.M | re.S)
        for key, own in field.annotation.model_fields.items():  # type: ignore[union-attr]
            inner = get_args(own.annotation)[:1]
            rules = [*own.metadata, *(rule for kind in inner for rule in getattr(kind, "__metadata__", ()))]
            for rule in rules:
                if isinstance(rule, OneOf):
                    assert [name for name in rule.names if f'"{name}"' not in part] == [], (table, key)


def test_every_key_is_read() -> None:
    """In some room, as an attribute or by its name; what declares it is neither."""
    code = "\n".join(path.read_text(encoding="utf-8") for path in MODULES)
    for table, field in Config.model_fields.items():
        keys = getattr(field.annotation, "model_fields", {})
        assert [key for key in keys if not re.search(rf"\.{key}\b|\"{key}\"", code)] == [], table


def test_template_quotes_the_name() -> None:
    name = 'a "b" \\ c'
    assert parse_config(template(name)).project.name == name


ROOMS: list[tuple[type[Table], Any, str]] = [
    (TrunkTable, PretrainSettings, "trunk."),
    (SearchTable, SearchSettings, "search."),
    (SearchTable, ChoosingSettings, "search."),
    (RetrainTable, FitRecipe, ""),
    (LabelGraphTable, GraphRecipe, "label_graph."),
]


@pytest.mark.parametrize(("table", "room", "prefix"), ROOMS)
def test_a_table_is_its_rooms_settings(table: type[Table], room: Any, prefix: str) -> None:
    """Names, defaults and bounds: what the room refuses, graftnet.toml refuses, and the other way round."""
    own = [*table.__annotations__, *(name for other, kind, _ in ROOMS if other is table for name in names(kind))]
    assert set(table.model_fields) == set(own)
    for field in fields(room):
        assert getattr(table(), field.name) == field.default, field.name
        values: dict[type, tuple[Any, ...]] = {int: (-1, 0, 1, 2), float: (-1.0, 0.0, 0.5, 1.0, 1.5), str: ("nothing",)}
        for wrong in values.get(type(field.default), ()):
            refused = False
            try:
                check_fields(unchecked(room, field.name, wrong), ValueError, prefix)
            except ValueError:
                refused = True
            try:
                table.model_validate({field.name: wrong})
            except ValidationError:
                assert refused, (field.name, wrong)
            else:
                assert not refused, (field.name, wrong)


def names(kind: Any) -> list[str]:
    return [field.name for field in fields(kind)]


def unchecked(room: Any, name: str, value: Any) -> Any:
    """Settings of a room with one value that nothing has looked at yet."""
    settings = object.__new__(room)
    vars(settings).update({field.name: field.default for field in fields(room)} | {name: value})
    return settings


def test_settings_carry_what_the_user_wrote() -> None:
    config = parse_config(
        "[trunk]\nsteps = 7\n[search]\nepochs = 9\nreward = 'accuracy'\nnodes = 2\nwidths = [8]\n"
        "[retrain]\ndropout = 0.5"
    )
    assert pretrain_settings(config) == PretrainSettings(steps=7)
    assert search_settings(config) == SearchSettings(epochs=9, reward="accuracy")
    assert fit_settings(config) == FitSettings(dropout=0.5, metric="accuracy")
    assert space_of_config(config) == macro_space(2, widths=(8,), depths=(1, 2))


def test_the_space_is_the_one_named() -> None:
    widths = (8, 16, 32, 64)
    micro = parse_config("[search]\nspace = 'micro'\nnodes = 2\ncells = 4\nreductions = [1, 3]")
    expected = micro_space(2, cells=4, reductions=(1, 3), widths=widths, depths=(1, 2, 3, 4))
    assert space_of_config(micro) == expected
    chosen = parse_config(
        "[search]\nspace = 'micro'\ndepths = [2]\nreductions = []\noperations = ['identity', 'conv3x3']"
    )
    operations = ("identity", "conv3x3")
    expected = micro_space(4, reductions=(), widths=widths, depths=(2,), operations=operations)
    assert space_of_config(chosen) == expected
    assert space_of_config(parse_config("[search]\noperations = ['identity']")) == macro_space(
        4, widths=widths, depths=(1, 2, 3, 4), operations=("identity",)
    )
    with pytest.raises(SpaceError, match=r"every depth must be a whole number from 1 to cells \(3\), got 4"):
        space_of_config(parse_config("[search]\nspace = 'micro'\ndepths = [4]"))
    with pytest.raises(ConfigError, match=r"search.space .* must be one of 'macro' or 'micro', is 'mikro'"):
        parse_config("[search]\nspace = 'mikro'")


def test_a_job_by_default_is_the_rooms_default() -> None:
    job = job_settings(Config(), with_tail=True, device=CPU)
    assert job.tail is not None
    assert job.tail.precision == resolve_precision("auto", CPU)
    space = macro_space(4, widths=(8, 16, 32, 64), depths=(1, 2, 3, 4))
    assert replace(job, tail=None) == JobSettings(space, tail=None)


def test_a_job_follows_every_table() -> None:
    text = """[search]
strategy = "local"
trials = 9
trial_epochs = 2
candidates = 7
retrain_top = 2
balance = "weights"
[retrain]
repeats = 1
threshold_by = "accuracy"
balance = "sampling"
batch_size = 32
[controls]
random = false
linear_probe = false
tail_epochs = 1
strategies = ["controller"]
"""
    job = job_settings(parse_config(text), with_tail=True, device=CPU)
    assert (job.candidates, job.retrain_top, job.repeats, job.threshold_by) == (7, 2, 1, "accuracy")
    assert (job.strategy, job.trials, job.trial_epochs, job.rivals) == ("local", 9, 2, ("controller",))
    assert (job.search.balance, job.retrain.balance) == ("weights", "sampling")
    assert (job.random, job.probe) == (False, False)
    assert job.tail is not None
    assert (job.tail.epochs, job.tail.batch_size, job.tail.balance) == (1, 32, "sampling")


def test_no_tail_where_there_is_none_or_none_is_wanted() -> None:
    assert job_settings(Config(), with_tail=False, device=CPU).tail is None
    assert job_settings(parse_config("[controls]\ntail = false"), with_tail=True, device=CPU).tail is None


def test_the_names_that_settings_know_are_what_the_rooms_have() -> None:
    assert ("enas", *STRATEGIES, "nni-darts") == SEARCH_STRATEGIES
    assert tuple(losses.LOSSES) == LOSSES
    assert tuple(classifier.POOLINGS) == POOLINGS
    assert find_backbone(Config().trunk.backbone).freeze_depth == depth_of(Config()) == 8


def test_the_controls_own_keys_are_the_rooms_defaults() -> None:
    controls = Config().controls
    assert {"enas", "random", *RIVALS} == set(SEARCH_STRATEGIES)
    tail = JobSettings(macro_space(1)).tail
    assert tail is not None
    found = (controls.tail_epochs, controls.tail_learning_rate, controls.tail_weight_decay)
    assert found == (tail.epochs, tail.learning_rate, tail.weight_decay)


def test_reading_settings_needs_no_torch() -> None:
    code = "import sys, graftnet.project.config; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def quoted(names: Iterable[str]) -> str:
    """'a', 'b' or 'c'."""
    *first, last = map(repr, names)
    return f"{', '.join(first)} or {last}"


def test_all_mistakes_are_listed_at_once_with_lines_and_remedies() -> None:
    text = """serch = 1
[trunk]
epochs = 3
freeze_dept = 4
attributes = "bald"
flip = 1
[search]
epochs = 'ten'
widths = [16, "a", true, 0]
reward = "aurok"
[retrain]
dropout = 1.5
weight_decay = nan
[tail]
"""
    with pytest.raises(ConfigError) as caught:
        parse_config(text)
    assert str(caught.value).removeprefix("graftnet.toml: ").removesuffix(".").split("; ") == [
        "serch (line 1) is not a setting (did you mean search?)",
        "trunk.epochs (line 3) is not a setting (did you mean epochs in [search]?)",
        "trunk.freeze_dept (line 4) is not a setting (did you mean freeze_depth?)",
        "trunk.attributes (line 5) must be a list, is 'bald'",
        "trunk.flip (line 6) must be true or false, is 1",
        "search.epochs (line 8) must be an integer, is 'ten'",
        "search.widths[1] (line 9) must be an integer, is 'a'",
        "search.widths[2] (line 9) must be an integer, is true",
        "search.widths[3] (line 9) must be at least 1, is 0",
        f"search.reward (line 10) must be one of {quoted(REWARDS)}, is 'aurok'",
        "retrain.dropout (line 12) must be less than 1, is 1.5",
        "retrain.weight_decay (line 13) must be a finite number, is nan",
        "tail (line 14) is not a table (did you mean tail in [controls]?)",
    ]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("trunk = 3", "trunk (line 1) must be a table, is 3"),
        ("[trunk]\nsteps = 1.5", "trunk.steps (line 2) must be an integer, is 1.5"),
        ("[trunk]\nsteps = true", "trunk.steps (line 2) must be an integer, is true"),
        ("[trunk]\nlearning_rate = '1e-3'", "trunk.learning_rate (line 2) must be a number, is '1e-3'"),
        ("[trunk]\nlearning_rate = 0", "trunk.learning_rate (line 2) must be greater than 0, is 0"),
        ("[search]\nwidths = []", "search.widths (line 2) must have at least 1 entries, is []"),
        (
            "[features]\nviews = ['flip', 'flop']",
            "features.views[1] (line 2) must be made of flip, crop1 to crop9 and light1 to light9, joined by '+' and "
            "each once, is 'flop'",
        ),
        (
            "[features]\nstorage = 'pca'",
            "features.storage (line 2) must be float16, float32, int8 or pca:K with K components, such as pca:64, "
            "is 'pca'",
        ),
        ("trunk.steps = 'x'", "trunk.steps (line 1) must be an integer, is 'x'"),
        ("[trunk\nsteps = 1", "this is not TOML: Expected ']' at the end of a table declaration (at line 1, column 7)"),
    ],
)
def test_one_mistake(text: str, expected: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_config(text)
    assert str(caught.value) == f"graftnet.toml: {expected}."


def test_integers_are_numbers() -> None:
    assert parse_config("[trunk]\nlearning_rate = 1").trunk.learning_rate == 1.0


def test_warmup_that_leaves_no_epoch_to_the_controller_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"search\.warmup_epochs must be less than search\.epochs \(4\)"):
        search_settings(parse_config("[search]\nepochs = 4"))


def test_unreadable_files(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read"):
        read_config(tmp_path / "none.toml")
    (tmp_path / "latin.toml").write_bytes("name = 'é'".encode("latin-1"))
    with pytest.raises(ConfigError, match="not UTF-8"):
        read_config(tmp_path / "latin.toml")


def test_the_label_graphs_settings_are_the_tables() -> None:
    """The seed and the file of words are the call's."""
    assert graph_settings(Config(), seed=3) == GraphSettings(seed=3)
    assert set(LabelGraphTable.model_fields) - {"words"} == set(names(GraphSettings)) - {"seed"}
