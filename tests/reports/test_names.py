"""Names that records bring along: every one that there is has a title, one that is not known keeps its own."""

import copy
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from branches.measures.metrics import REWARDS
from reports.card import card
from reports.drawing.branch import architecture_figure
from reports.drawing.cells import cell_figure, cell_graph
from reports.drawing.graph import add_head, architecture_of, branch_graph, describe, macro_graph
from reports.drawing.surroundings import surroundings
from reports.fleet.entries import read_fleet
from reports.fleet.page import render_fleet
from reports.label_graph.page import render as render_label_graph
from reports.label_graph.records import read_graph_records
from reports.layout.figures import FAMILY_FILLS, inline_svg
from reports.layout.formats import ACTIVATION_NAMES, METRIC_NAMES, OPERATION_NAMES, Names, family_of
from reports.search.page import render
from reports.study import render_study
from reports.summaries.comparison import methods
from reports.summaries.search import Records, read_records, reward_metric
from reports.summaries.values import table
from search_spaces import micro_plan, micro_space, plan
from search_spaces.operations import ACTIVATIONS, OPERATIONS
from tests.reports.fleet_folder import edit_record, write_fleet
from tests.reports.label_graph.test_page import result as graph_result
from tests.reports.label_graph.test_page import run
from tests.reports.search_folder import write_search
from tests.reports.test_study import make_record


@pytest.fixture(scope="module")
def records(tmp_path_factory: pytest.TempPathFactory) -> Records:
    folder = tmp_path_factory.mktemp("names") / "bald" / "id"
    return read_records(write_search(folder, epochs=2, proposals=6, retrained=2))


def with_result(records: Records, **fields: Any) -> Records:
    return records._replace(result={**copy.deepcopy(records.result), **fields})


@pytest.mark.parametrize("metric", REWARDS)
def test_every_reward_has_a_title(metric: str) -> None:
    assert metric in METRIC_NAMES


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_every_activation_has_a_name(activation: str) -> None:
    assert activation in ACTIVATION_NAMES


@pytest.mark.parametrize("operation", OPERATIONS)
def test_every_operation_has_a_name_and_a_colour(operation: str) -> None:
    assert operation in OPERATION_NAMES
    assert family_of(operation) in FAMILY_FILLS
    assert Names(known="other")[operation] == operation


@pytest.mark.parametrize("operation", [*OPERATIONS, "shuffle7x7", "an unheard-of one"])
def test_every_operation_is_drawn_in_every_space(records: Records, operation: str) -> None:
    around = surroundings(records)
    name = OPERATION_NAMES[operation]
    macro = plan(architecture_of(records.architecture))
    macro = macro._replace(nodes=tuple(node._replace(operation=operation) for node in macro.nodes))
    graph = macro_graph(macro, around)
    assert name in describe(graph)
    assert name in inline_svg(architecture_figure(graph, around), "branch", "")
    micro = micro_plan(micro_space().random(np.random.default_rng(0)))
    cell = micro.cells[-1]
    nodes = tuple(node._replace(operations=(operation, operation)) for node in cell.nodes)
    drawn = inline_svg(cell_figure(cell_graph(cell._replace(nodes=nodes), micro.width)), "cell", "")
    assert name in drawn


def test_an_unknown_metric_is_shown_under_its_own_name(records: Records) -> None:
    val, test = ({**table(records.result[split]), "kappa": 0.4321} for split in ("val", "test"))
    changed = with_result(records, reward="kappa", val=val, test=test)
    assert reward_metric(changed) == "kappa"
    page = render(changed)
    assert "kappa" in page
    assert "0.4321" in page
    assert "Reward of the search: val kappa." in page
    assert "Reward of the search: val AUROC" not in page
    assert "kappa" in card(changed)


def test_an_unknown_control_is_shown_under_its_own_name(records: Records) -> None:
    controls = table(records.result["controls"])
    controls["hyperband"] = controls.pop("random")
    gain = table(records.result["gain"])
    gain["over_hyperband"] = gain.pop("over_random")
    changed = with_result(records, controls=controls, gain=gain, strategy="bohb")
    assert "hyperband" in [method.key for method in methods(changed)]
    page = render(changed)
    assert "over hyperband" in page
    assert "bohb" in page


def test_an_unknown_pooling_activation_and_part_keep_their_names(records: Records) -> None:
    around = surroundings(records)
    graph = branch_graph(architecture_of(records.architecture), around)
    add_head(graph, "stem", around, width=8, sides=(4, 4), pooling="median", shortcut=False)
    assert graph.nodes["pool"]["title"] == "median pooling"
    assert graph.nodes["linear"]["detail"].startswith("features to")
    assert ACTIVATION_NAMES["swoosh"] == "swoosh"
    parts = {**table(records.result["parts"]), "adapter": 4321}
    page = render(with_result(records, parts=parts))
    assert "adapter" in page
    assert "4,321" in page


def test_unknown_states_stages_limits_and_methods_keep_their_names(records: Records, tmp_path: Path) -> None:
    page = render(with_result(records, limits={"joules": 2.5}, seconds={"polishing": 3.0, "total": 9.0}))
    assert "2.5 joules" in page
    assert "polishing" in page
    fleet = write_fleet(tmp_path / "runs", names=("bald", "backpack", "youth"))
    edit_record(fleet, attributes=[{"attribute": "bald", "state": "frozen", "search": None}])
    page = render_fleet(read_fleet(fleet))
    assert "frozen" in page
    assert "not checked" not in page
    study = render_study({**make_record(6), "study": "augmentation", "attribute": None, "second": "joules"})
    assert "augmentation" in study
    assert "joules" in study
    record = graph_result()
    record["methods"]["hypergraph"] = copy.deepcopy(record["methods"]["cooccurrence"])
    assert "hypergraph" in render_label_graph(read_graph_records(run(tmp_path / "graph", record)))
