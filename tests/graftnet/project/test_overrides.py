"""[attributes.NAME]: one attribute's own settings, before the tables' and behind the call's."""

from pathlib import Path

import pytest

from graftnet.bundles.tree import graft_attribute
from graftnet.cli import run
from graftnet.errors import ConfigError
from graftnet.project.config import Config, config_of, parse_config
from graftnet.project.folder import open_project
from graftnet.project.overrides import Overrides
from graftnet.project.settings import depth_of
from graftnet.searches.features import cache_of
from graftnet.searches.queue import survey
from graftnet.searches.run import cache_features, estimate_features, plan_search, search_attribute
from graftnet.trunks.versions import open_trunk
from tests.graftnet.grafts import open_tree
from tests.graftnet.searches.test_run import CONFIG, CPU, make_project

OWN = """
[attributes.bright.trunk]
freeze_depth = 2

[attributes.bright.search]
widths = [6]

[attributes.bright.retrain]
epochs = 1
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with a trunk, one of whose attributes has settings of its own; nothing is cached or searched."""
    return make_project(tmp_path_factory.mktemp("own"), 48, CONFIG + OWN).folder


def test_what_an_attribute_leaves_out_stays() -> None:
    config = parse_config(CONFIG + OWN)
    own, other = config_of(config, "bright"), config_of(config, "corner")
    assert (own.trunk.freeze_depth, own.search.widths, own.retrain.epochs) == (2, (6,), 1)
    assert (own.search.nodes, own.retrain.repeats, own.trunk.steps) == (2, 2, 6)
    assert other == config
    assert config_of(own, "bright") == own  # what was taken is not taken again


def test_a_call_goes_before_an_attributes_own_settings() -> None:
    config = parse_config(CONFIG + OWN)
    called = config_of(Overrides(freeze_depth=3).applied(config), "bright")
    assert called.trunk.freeze_depth == 3
    assert called.search.widths == (6,)
    by_hand = parse_config(CONFIG + '[attributes.bright.branch]\nkind = "tail"\n')
    assert config_of(by_hand, "bright").branch.kind == "tail"
    assert config_of(Overrides(branch="searched").applied(by_hand), "bright").branch.kind == "searched"


def test_the_depth_is_the_backbones_own_unless_it_is_set() -> None:
    assert depth_of(Config()) == 8
    assert depth_of(parse_config('[trunk]\nbackbone = "resnet18"\n')) == 7
    assert depth_of(parse_config("[trunk]\nfreeze_depth = 5\n")) == 5


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[attributes.bright.search]\nnodez = 3\n", r"attributes.bright.search.nodez \(line 2\).*did you mean nodes"),
        ("[attributes.bright.trunk]\nsteps = 3\n", r"attributes.bright.trunk.steps \(line 2\) is not a setting"),
        ("[attributes.bright.search]\nnodes = 0\n", r"attributes.bright.search.nodes \(line 2\) must be at least 1"),
    ],
)
def test_mistakes_are_named(text: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        parse_config(text)


def test_each_attribute_is_cached_at_its_own_depth_in_one_pass(folder: Path) -> None:
    project = open_project(folder)
    assert estimate_features(project, ["bright", "corner"], device=CPU).rows == 48
    assert cache_features(project, ["bright", "corner"], device=CPU)["computed"] == 48  # every image is in both
    cache = cache_of(project, open_trunk(project, CPU))
    assert {depth for depth in range(1, 7) if cache.read_index(depth)[1]} == {2, 4}
    assert estimate_features(project, ["bright", "corner"], device=CPU).rows == 0


def test_both_are_searched_and_grafted_at_their_depths(folder: Path) -> None:
    project = open_project(folder)
    trunk = open_trunk(project, CPU)
    plans = {name: plan_search(project, trunk, name, seed=0, device=CPU) for name in ("bright", "corner")}
    assert {name: plan.depth for name, plan in plans.items()} == {"bright": 2, "corner": 4}
    assert plans["bright"].settings.retrain.epochs == 1
    assert [job.plan.folder for job in survey(project, seed=0, device=CPU) if job.plan] == [
        plan.folder for plan in plans.values()
    ]
    for name in plans:
        search_attribute(project, name, seed=0, device=CPU)
    assert run(["search", "bright", "--project", str(folder), "--device", "cpu"]) == 0  # the same plan: nothing to do
    assert all(plan.finished for plan in plans.values())
    for name in plans:
        graft_attribute(project, name)
    grafts = open_tree(project).grafts
    assert {name: graft.freeze_depth for name, graft in grafts.items()} == {"bright": 2, "corner": 4}
