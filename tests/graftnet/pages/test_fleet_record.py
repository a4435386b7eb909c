"""`graftnet report` over all attributes: what it gathers, and the pages it writes."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch

from branches.costs.trunk import so_many_threads
from graftnet.cli import run
from graftnet.pages.fleet_record import write_fleet_record
from graftnet.pages.write import Written
from graftnet.project.folder import Project, open_project
from graftnet.searches.run import plan_search
from graftnet.trunks.versions import open_trunk
from tests.graftnet.searches.test_run import make_project
from tests.reports.fleet_folder import edit_result
from tests.reports.search_folder import write_search

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with data and a trunk, one of whose two attributes has what a finished search leaves."""
    folder = tmp_path_factory.mktemp("fleet")
    make_project(folder, 60)
    pretend_searched(open_project(folder), seed=3)
    return folder


@pytest.fixture
def project(made: Path, tmp_path: Path) -> Project:
    return open_project(Path(shutil.copytree(made, tmp_path / "copy")))


def pretend_searched(project: Project, seed: int) -> Path:
    """A made-up search in the folder of a real plan."""
    trunk = open_trunk(project, CPU)
    plan = plan_search(project, trunk, "bright", seed=seed, device=CPU)
    write_search(plan.folder, attribute="bright", epochs=2, proposals=6, retrained=1)
    config = {**plan.identity, "data": {"digest": plan.identity["data"], "counts": {}}}
    (plan.folder / "config.json").write_text(json.dumps(config))
    edit_result(plan.folder, fingerprint=trunk.fingerprint, freeze_depth=plan.depth, tail_latency_ms=0.2)
    edit_result(plan.folder, latency={"device": "cpu", "threads": 1})
    return plan.folder


def record_of(project: Project, **how: Any) -> dict[str, Any]:
    value: dict[str, Any] = json.loads(write_fleet_record(project, **how).read_text())
    return value


def test_a_result_is_current_under_its_own_seed_and_stale_when_a_setting_changes(project: Project) -> None:
    known, other = record_of(project)["attributes"]
    assert (known["state"], known["reasons"], known["grafted"]) == ("current", [], False)
    assert (other["attribute"], other["state"], other["search"]) == ("corner", "missing", None)
    assert (project.reports / known["search"]).resolve() == project.latest("bright")
    toml = project.folder / "graftnet.toml"
    toml.write_text(toml.read_text().replace("[controls]", "[controls]\nlinear_probe = false"))
    known, _ = record_of(open_project(project.folder))["attributes"]
    assert known["state"] == "stale"
    assert known["reasons"] == ["controls.linear_probe true -> false"]
    known, _ = record_of(open_project(project.folder), check=False)["attributes"]
    assert (known["state"], known["reasons"]) == ("unchecked", [])


def test_the_trunk_is_counted_as_deep_as_it_is_read(project: Project) -> None:
    trunk = record_of(project)["trunk"]
    whole = open_trunk(project, CPU)
    depth = project.config.trunk.freeze_depth
    assert list(trunk["costs"]) == [str(depth)]
    costs = trunk["costs"][str(depth)]
    read = sum(
        weight.numel()
        for name, weight in whole.chain.named_parameters()
        if any(name.startswith(f"{module}.") for modules in whole.chain.block_modules[:depth] for module in modules)
    )
    assert costs["parameters"] == read > 0
    assert costs["macs"] > 0
    assert costs["latency_ms"] > 0
    assert "1 thread," in trunk["timed"]
    assert trunk["versions"][0]["fingerprint"] == whole.fingerprint == trunk["fingerprint"]


def test_the_trunk_is_not_timed_where_branches_were_timed_on_another_device(project: Project) -> None:
    edit_result(project.results("bright")[0], latency={"device": "NVIDIA H100", "threads": 8})
    trunk = record_of(project, check=False)["trunk"]
    assert trunk["timed"] is None
    assert [costs["latency_ms"] for costs in trunk["costs"].values()] == [None]


def test_the_threads_are_as_they_were_after_timing() -> None:
    before = torch.get_num_threads()
    with so_many_threads(before + 1):
        assert torch.get_num_threads() == before + 1
    assert torch.get_num_threads() == before


def test_what_there_is_besides_is_linked(project: Project) -> None:
    for name, record, told in (
        ("label_graph/ab12", "result.json", {"verdict": "The graph helps."}),
        ("studies/depth-bald", "study.json", {"settled": 3, "wanted": 20}),
    ):
        (project.runs / name).mkdir(parents=True)
        (project.runs / name / record).write_text(json.dumps(told))
    (project.runs / "studies" / "depth-bald" / "report.html").touch()
    assert record_of(project)["links"] == [
        {"kind": "label graph", "name": "ab12", "page": None, "sentence": "The graph helps."},
        {
            "kind": "study",
            "name": "depth-bald",
            "page": "../studies/depth-bald/report.html",
            "sentence": "3 of 20 trials.",
        },
    ]


def test_an_attribute_whose_data_is_gone_is_still_listed(project: Project) -> None:
    project.source("bright").unlink()
    known, _ = record_of(project)["attributes"]
    assert (known["state"], known["reasons"]) == ("failed", ["its sub-dataset is gone"])


def test_without_a_trunk_the_page_says_so(
    project: Project, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    project.current_trunk_file.unlink()
    monkeypatch.chdir(project.folder)
    assert run(["report", "--json"]) == 0
    written = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert list(written["reports"]) == ["bright"]
    page = Path(written["fleet"]).read_text(encoding="utf-8")
    assert "has no trunk yet" in page
    assert Path(written["fleet"]) == project.reports / "fleet.html"
    assert (Path(written["reports"]["bright"]).parent / "card.md").read_text().startswith("# bright\n")


def test_two_searches_are_compared_by_name(
    project: Project, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(project.folder)
    first = project.results("bright")[0]
    assert run(["report", "bright", "--compare", "previous", "latest"]) == 2
    assert "bright has only one finished search" in capsys.readouterr().err
    second = pretend_searched(project, seed=4)
    for names in (["previous", "latest"], [first.name[:6], str(second)]):
        assert run(["report", "bright", "--compare", *names, "--json"]) == 0
        page = Path(json.loads(capsys.readouterr().out.splitlines()[-1])["reports"]["bright"])
        assert page == project.reports / f"compare-bright-{first.name}-{second.name}.html"
        assert f"{first.name}, then {second.name}" in page.read_text(encoding="utf-8")
    for wrong, said in (
        (["bright", "--compare", "latest", second.name], "names the same search twice"),
        (["bright", "--compare", "zzz", "latest"], "no search 'zzz'; there are"),
        (["brihgt", "--compare", "latest", "previous"], "did you mean bright"),
        (["corner", "--compare", "latest", "previous"], "corner is not searched yet"),
        (["--compare", "previous", "latest"], "name it: graftnet report ATTR --compare"),
    ):
        assert run(["report", *wrong]) == 2
        assert said in capsys.readouterr().err


def test_files_for_others_go_where_they_are_wanted(
    project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(project.folder)
    asked: list[tuple[str, Path, dict[str, Any]]] = []

    def writer(name: str) -> Any:
        def write(source: Path, destination: Path, **how: Any) -> tuple[Path, ...]:
            asked.append((source.name, destination, how))
            return (destination / name,)

        return write

    page = project.reports / "page.html"
    with monkeypatch.context() as patch:
        patch.setattr("reports.files.write_files", writer("card.md"))
        patch.setattr("reports.files.write_fleet_files", writer("attributes.csv"))
        patch.setattr("graftnet.pages.write.write_attribute", lambda _, name: Written({name: page}))
        patch.setattr("graftnet.pages.write.write_every", lambda _, check: Written({"bright": page}, page))
        for who in ([], ["bright"]):
            assert run(["report", *who, "--files", str(tmp_path), "--format", "svg", "--json"]) == 0
    how = {"formats": ("svg",), "width": 1200}
    assert asked == [*(("page.json", tmp_path, how), ("reports", tmp_path / "bright", how), ("reports", tmp_path, how))]
    files = json.loads(capsys.readouterr().out.splitlines()[0])["files"]
    assert files == [str(tmp_path / "attributes.csv"), str(tmp_path / "bright" / "card.md")]
    for wrong, said in (
        (["bright", "--files", "out", "--format", "gif"], "not as 'gif'"),
        (["bright", "--files", "out", "--width", "5"], "pixels wide, not 5"),
        (["bright", "--width", "500"], "--width goes with --files"),
        (["bright", "--files", "out", "--compare", "a", "b"], "--files and --compare do not go together"),
    ):
        assert run(["report", *wrong]) == 2
        assert said in capsys.readouterr().err
