"""Where the branch is grafted: every block once, in its place; and what branch and tail cost."""

from typing import Any

import pytest

from reports.drawing.graft import Backbone, backbone_of, graft_figure
from reports.drawing.surroundings import surroundings
from reports.search.architecture import cost_table
from reports.summaries.search import Records, read_records
from tests.reports.search_folder import write_search


@pytest.fixture(scope="module")
def records(tmp_path_factory: pytest.TempPathFactory) -> Records:
    return read_records(write_search(tmp_path_factory.mktemp("search") / "s", epochs=1, proposals=8))


def with_result(records: Records, **fields: Any) -> Records:
    return records._replace(result={**records.result, **fields})


def words(backbone: Backbone, records: Records) -> list[str]:
    return [one.get_text() for one in graft_figure(backbone, surroundings(records)).axes[0].texts]


def test_blocks_are_drawn_with_their_shapes(records: Records) -> None:
    backbone = backbone_of(records)
    assert backbone is not None
    assert (backbone.blocks, backbone.frozen, len(backbone.shapes)) == (11, 8, 11)
    drawn = words(backbone, records)
    assert [one for one in drawn if one.startswith("block")] == [f"block {n}" for n in (0, 7, 8, 9, 10)]
    assert [one for one in drawn if "×" in one] == ["192×35×35", "768×17×17", *["1280×8×8"] * 3]
    assert "graft point" in drawn
    assert any(one.startswith("tail it replaces: 12.8\N{NO-BREAK SPACE}M parameters") for one in drawn)
    assert "branch" in drawn
    assert sum(one.endswith(("k MACs", "M MACs")) for one in drawn) == 2


def test_of_many_blocks_those_in_the_middle_are_left_out(records: Records) -> None:
    drawn = words(Backbone(60, 40, ()), records)
    shown = [int(one.split()[1]) for one in drawn if one.startswith("block")]
    assert shown == [0, 39, 40, 59]
    assert drawn.count("…") == 2


def test_a_trunk_of_all_blocks_has_no_tail(records: Records) -> None:
    drawn = words(Backbone(5, 5, ()), records)
    assert not any("tail" in one for one in drawn)
    assert "branch" in drawn


@pytest.mark.parametrize("fields", [{"trunk": None}, {"trunk": {"blocks": 3}}, {"freeze_depth": None}])
def test_without_knowing_the_cut_nothing_is_drawn(records: Records, fields: dict[str, Any]) -> None:
    assert backbone_of(with_result(records, **fields)) is None


def test_costs_stand_beside_the_tails(records: Records) -> None:
    known = with_result(
        records, parameters=1000, tail_parameters=4000, macs=500, tail_macs=1000, latency_ms=0.5, tail_latency_ms=2.0
    )
    table = cost_table(with_result(known, bytes=120_232, tail_bytes=2_221_088))
    assert table is not None
    space = "\N{NO-BREAK SPACE}"
    minus = "\N{MINUS SIGN}"
    assert table.rows == (
        ("parameters", "1,000", "4,000", f"{minus}75.0{space}%"),
        ("MACs per image", "500", f"1.00{space}k", f"{minus}50.0{space}%"),
        ("latency", f"0.500{space}ms", f"2.00{space}ms", f"{minus}75.0{space}%"),
        ("size on disk", f"120{space}kB", f"2.22{space}MB", f"{minus}94.6{space}%"),
    )
    assert cost_table(records._replace(result={})) is None
    alone = cost_table(records._replace(result={"parameters": 10}))
    assert alone is not None
    assert alone.rows == (("parameters", "10", "–", "–"),)
