"""A probe measures depths and advises one; new searches follow it, finished ones and what is set do not."""

import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch

from graftnet import Project as Opened
from graftnet.cli import run
from graftnet.project.folder import Project, open_project
from graftnet.searches.plan import SearchPlan
from graftnet.searches.run import plan_search
from graftnet.searches.standing import standing_of
from graftnet.terminal.output import Answer
from graftnet.trunks.advice import chosen_depth, probe_file, probes_on, race_file
from graftnet.trunks.versions import open_trunk
from subdatasets.image_files import content_hash
from tests.graftnet.searches.test_run import CONFIG, CPU, make_project
from tests.graftnet.searches.test_standing import edit, pretend_finished

OPEN = CONFIG.replace("freeze_depth = 4\n", "")
TABLE = 4  # where small_cnn's table cuts


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("probe")
    make_project(folder, 80, OPEN)
    return folder


@pytest.fixture
def project(made: Path, tmp_path: Path) -> Project:
    return open_project(Path(shutil.copytree(made, tmp_path / "copy")))


def probe(project: Project, *call: str) -> int:
    return run(["trunk", "probe", *call, "--device", "cpu", "--project", str(project.folder)])


def plan_of(project: Project, attribute: str = "bright", *, force: bool = False) -> SearchPlan:
    project = open_project(project.folder)
    return plan_search(project, open_trunk(project, CPU), attribute, seed=0, device=CPU, force=force)


def advise(project: Project, depth: int, attribute: str = "bright") -> None:
    """Change what a probe advises for an attribute."""
    path = probe_file(project, open_trunk(project, CPU).fingerprint, attribute)
    path.write_text(json.dumps(json.loads(path.read_text()) | {"advised": depth}))


def test_it_prints_a_row_per_depth_and_writes_a_record(project: Project, capsys: pytest.CaptureFixture[str]) -> None:
    assert probe(project) == 0
    written = capsys.readouterr().out
    trunk = open_trunk(project, CPU)
    probes = probes_on(project, trunk.fingerprint)
    assert list(probes) == ["bright", "corner"]
    record = probes["bright"]
    assert [row["depth"] for row in record["depths"]] == list(trunk.depths)
    assert record["images"] == {"train": 40, "val": 20}
    assert max(row["auroc"] for row in record["depths"]) > 0.9  # bright or dark: anything can tell
    for row in record["depths"]:
        assert row["name"] in written
        assert row["milliseconds"] > 0
        assert (row["channels"], row["height"], row["width"]) == trunk.feature_shape(row["depth"])
    assert "is a floor" in written
    assert "All 2 attributes" in written
    assert f"bright {record['advised']}" in written


def test_json_is_what_python_gets(project: Project, capsys: pytest.CaptureFixture[str]) -> None:
    assert probe(project, "bright", "--json") == 0
    record = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert set(record["attributes"]) == {"bright"}
    assert record["project"]["advised"] == record["attributes"]["bright"]["advised"]
    table = Opened(project.folder).probe(["bright"], device="cpu")
    depths = record["attributes"]["bright"]["depths"]
    assert table["val_auroc"].tolist() == [row["auroc"] for row in depths]
    assert table[table["advised"]]["depth"].tolist() == [record["project"]["advised"]]
    assert set(table["attribute"]) == {"bright"}


def test_images_pass_the_trunk_once_for_all_attributes_and_test_never(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    passed: list[str] = []
    from trunk.features.cache import FeatureCache

    captured = FeatureCache.captured

    def watched(cache: FeatureCache, batch: Sequence[tuple[str, Path]], depths: Sequence[int]) -> Any:
        passed.extend(key for key, _ in batch)
        return captured(cache, batch, depths)

    monkeypatch.setattr(FeatureCache, "captured", watched)
    assert probe(project, "bright") == 0
    examples = project.read("bright").examples
    assert sorted(passed) == sorted(content_hash(each.path) for each in examples if each.split != "test")
    passed.clear()
    assert probe(project, "corner") == 0  # the same images
    assert passed == []


def test_new_searches_take_the_advice(project: Project) -> None:
    before = plan_of(project)
    assert before.depth == TABLE
    assert "where the backbone's table cuts" in before.depth_sentence
    assert probe(project, "bright") == 0
    assert plan_of(project).depth == probes_on(project, before.identity["fingerprint"])["bright"]["advised"]
    advise(project, 2)
    plan = plan_of(project)
    assert plan.depth == 2
    assert "2 of 6 blocks, as its probe advises" in plan.depth_sentence
    other = plan_of(project, "corner")
    assert "as the probes of other attributes advise" in other.depth_sentence


def test_an_attribute_that_is_set_is_not_moved(project: Project) -> None:
    assert probe(project, "bright") == 0
    advise(project, 2)
    edit(project, "[trunk]", "[attributes.bright.trunk]\nfreeze_depth = 3\n\n[trunk]")
    plan = plan_of(project)
    assert plan.depth == 3
    assert "as trunk.freeze_depth says" in plan.depth_sentence


def test_a_probe_makes_no_finished_search_stale(project: Project, capsys: pytest.CaptureFixture[str]) -> None:
    before = plan_of(project)
    pretend_finished(before)
    assert probe(project, "bright") == 0
    advise(project, 2)
    plan = plan_of(project)
    assert plan.folder == before.folder
    assert plan.identity == before.identity
    assert standing_of(plan).state == "current"
    assert "a probe now advises depth 2" in plan.depth_sentence
    assert "--force" in plan.depth_sentence
    again = plan_of(project, force=True)
    assert again.depth == 2
    pretend_finished(again)
    assert plan_of(project).depth == 2


def test_a_search_that_has_begun_goes_on(project: Project) -> None:
    before = plan_of(project)
    pretend_finished(before)
    (before.folder / "result.json").unlink()
    assert probe(project, "bright") == 0
    advise(project, 2)
    assert plan_of(project).folder == before.folder
    edit(project, "epochs = 2", "epochs = 3")  # another search
    assert plan_of(project).depth == 2


def test_an_older_advice_leaves_its_search_current(project: Project) -> None:
    assert probe(project, "bright") == 0
    advise(project, 2)
    at_two = plan_of(project)
    pretend_finished(at_two)
    advise(project, 3)
    assert plan_of(project).folder == at_two.folder


def test_a_tail_keeps_its_blocks(project: Project) -> None:
    assert probe(project, "bright") == 0
    advise(project, 6)
    edit(project, "[trunk]", '[branch]\nkind = "tail"\nblocks = 4\n\n[trunk]')
    home = open_project(project.folder)
    assert chosen_depth(home, open_trunk(home, CPU).fingerprint, "bright").depth == 3


def test_another_trunk_has_no_advice(project: Project) -> None:
    assert probe(project, "bright") == 0
    assert chosen_depth(project, "ab" * 32, "bright") == (TABLE, "table")


@pytest.mark.parametrize("change", ["not json", '{"attribute": "bright"}', "advised", "depths", "fingerprint"])
def test_a_damaged_record_is_one_sentence(project: Project, change: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert probe(project, "bright") == 0
    path = probe_file(project, open_trunk(project, CPU).fingerprint, "bright")
    record = json.loads(path.read_text())
    others = {"advised": 99, "depths": record["depths"][1:], "fingerprint": "ab" * 32}
    path.write_text(json.dumps(record | {change: others[change]}) if change in others else change)
    capsys.readouterr()
    call = ["search", "bright", "--device", "cpu", "--project", str(project.folder)]
    assert run(call) == 2
    assert path.name in capsys.readouterr().err
    assert probe(project, "bright") == 0  # is written anew
    assert plan_of(project).depth


def test_an_unknown_attribute_is_a_mistake(project: Project, capsys: pytest.CaptureFixture[str]) -> None:
    assert probe(project, "brigt") == 2
    assert "did you mean bright?" in capsys.readouterr().err


def test_a_search_says_which_depth_it_reads(project: Project, capsys: pytest.CaptureFixture[str]) -> None:
    torch.set_num_threads(1)
    assert probe(project, "bright") == 0
    advise(project, 2)
    capsys.readouterr()
    call = ["search", "bright", "--seed", "0", "--device", "cpu", "--project", str(project.folder)]
    assert run(call) == 0
    assert "bright: reading the trunk after 2 of 6 blocks, as its probe advises." in capsys.readouterr().err
    (search,) = project.results("bright")
    assert json.loads((search / "result.json").read_text())["freeze_depth"] == 2
    page = (search / "report.html").read_text(encoding="utf-8")
    assert "Where to cut the trunk" in page
    advise(project, 3)
    assert run(call) == 0
    assert "a probe now advises depth 3" in capsys.readouterr().err
    assert run(["report", "--project", str(project.folder)]) == 0
    assert "Where to cut the trunk" in (project.reports / "fleet.html").read_text(encoding="utf-8")


def test_a_race_of_cuts_decides_before_the_probe(project: Project, capsys: pytest.CaptureFixture[str]) -> None:
    assert probe(project, "bright", "--race", "2", "--json") == 0
    record = json.loads(capsys.readouterr().out.splitlines()[-1])["races"]["bright"]
    trunk = open_trunk(project, CPU)
    advised = chosen_depth(project, trunk.fingerprint, "bright")
    assert (advised.depth, advised.by, advised.measured) == (record["depth"], "race", True)
    assert len(record["depths"]) == 2
    assert plan_of(project).depth == record["depth"]
    assert "as short trainings at several depths advise" in plan_of(project).depth_sentence
    race_file(project, trunk.fingerprint, "bright").write_text("{}")
    assert run(["search", "bright", "--project", str(project.folder), "--device", "cpu"]) == 2
    assert "race.json" in capsys.readouterr().err
    assert probe(project, "bright", "--race", "1") == 2
    assert "takes 2 depths or more" in capsys.readouterr().err


def test_a_first_search_races_where_the_settings_say_so(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    edit(project, "[search]", "[search]\nrace = 2")
    monkeypatch.setattr("graftnet.searches.calls.search_in", lambda *_, **__: Answer({}, ""))
    call = ["search", "bright", "--project", str(project.folder), "--device", "cpu"]
    assert run([*call, "--freeze-depth", "3"]) == 0
    path = race_file(project, open_trunk(project, CPU).fingerprint, "bright")
    assert not path.exists()  # a depth that is set is no question
    assert run(call) == 0
    assert json.loads(path.read_text())["depth"] == plan_of(project).depth
    monkeypatch.setattr("graftnet.studies.cuts.race_cuts", None)
    assert run(call) == 0  # it is raced once
