"""Many attributes: the queue ends as searches one by one do, whatever befalls one of them or the driver."""

import json
import shutil
import signal
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from graftnet.cli import run
from graftnet.project.folder import Project, open_project
from graftnet.searches import queue as work_module
from graftnet.searches.features import cache_of
from graftnet.searches.queue import survey
from graftnet.searches.run import plan_search, search_attribute
from graftnet.trunks.versions import open_trunk
from tests.graftnet.fleets import (
    NAMES,
    figures,
    finish,
    gone,
    kill,
    make_digits,
    start_fleet,
    states,
    worker_in_mid_search,
)
from trunk.features.cache import FeatureCache

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.set_num_threads(1)
    return make_digits(tmp_path_factory.mktemp("fleet") / "digits").folder


@pytest.fixture(scope="module")
def one_by_one(made: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    """The figures of searches called one after the other, each filling the cache for itself."""
    project = open_project(Path(shutil.copytree(made, tmp_path_factory.mktemp("alone") / "digits")))
    for name in NAMES:
        search_attribute(project, name, seed=0, device=CPU)
    return figures(project)


@pytest.fixture
def project(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    folder = Path(shutil.copytree(made, tmp_path / "digits"))
    monkeypatch.chdir(folder)
    return open_project(folder)


def damage(project: Project, name: str) -> Path:
    """Cut short an image that this attribute alone has."""
    source = project.source(name)
    lines = source.read_text().splitlines()
    whole = source.parent / lines[1].split(",")[0]
    broken = whole.with_name("broken.png")
    broken.write_bytes(whole.read_bytes()[:60])
    source.write_text("\n".join([*lines, lines[1].replace(whole.name, broken.name)]) + "\n")
    return broken


@pytest.mark.slow
def test_two_at_a_time_find_what_one_by_one_finds(
    project: Project, one_by_one: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    code, record, error = finish(start_fleet(project.folder, "--workers", "2"))
    assert code == 0, error
    assert states(record) == dict.fromkeys(NAMES, "searched")
    assert figures(project) == one_by_one
    assert "even: search 8/8" in error
    assert "(2 of 2 attributes)" in error
    assert run(["search", "--all", "--device", "cpu", "--json"]) == 0
    record = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert states(record) == dict.fromkeys(NAMES, "current")
    assert all(Path(each["report"]).is_file() for each in record["searches"])


@pytest.mark.slow
def test_kills_and_interruptions_change_nothing(project: Project, one_by_one: dict[str, Any]) -> None:
    driver = start_fleet(project.folder)
    attribute, worker = worker_in_mid_search(driver, project.folder, epochs=1)
    kill(worker)
    code, record, error = finish(driver)
    assert code == 1
    (other,) = set(NAMES) - {attribute}
    assert states(record) == {attribute: "failed", other: "searched"}
    assert error.splitlines()[-2:] == [
        "1 of 2 attributes failed:",
        f"  {attribute}: Its process was killed, perhaps for lack of memory; call again to continue it.",
    ]

    driver = start_fleet(project.folder)
    _, worker = worker_in_mid_search(driver, project.folder, epochs=3)
    driver.send_signal(signal.SIGINT)
    code, record, error = finish(driver)
    assert code == 130
    assert "again to continue" in record["error"]
    assert "Traceback" not in error
    assert gone(worker)

    driver = start_fleet(project.folder)
    _, worker = worker_in_mid_search(driver, project.folder, epochs=5)
    driver.kill()
    driver.communicate()
    assert gone(worker)

    code, record, error = finish(start_fleet(project.folder))
    assert code == 0, error
    assert f"{attribute} continues where it stopped." in error
    assert states(record) == {attribute: "searched", other: "current"}
    assert figures(project) == one_by_one


def test_broken_data_fails_its_attribute_alone(
    project: Project, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = damage(project, NAMES[0])
    source = project.data / "empty.csv"
    source.write_text("path,label\n")
    jobs = {job.attribute: job for job in survey(project, seed=0, device=CPU)}
    assert str(broken) in str(jobs[NAMES[0]].error)
    assert "empty.csv" in str(jobs["empty"].error)
    assert jobs[NAMES[1]].error is None
    trunk = open_trunk(project, CPU)
    plan = jobs[NAMES[1]].plan
    assert plan
    assert len(cache_of(project, trunk).read_index(5)[1]) == len(plan.hashes)
    source.write_text("")
    project.source(NAMES[1]).unlink()
    assert run(["search", "--all", "--device", "cpu", "--json"]) == 1
    captured = capsys.readouterr()
    assert states(json.loads(captured.out.splitlines()[-1])) == {"empty": "failed", NAMES[0]: "failed"}
    assert captured.err.splitlines()[-3] == "2 of 2 attributes failed:"


def test_every_image_passes_the_trunk_once(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    passed = []
    real = FeatureCache.compute

    def counted(self: FeatureCache, pixels: torch.Tensor, *rest: Any) -> Any:
        passed.append(len(pixels))
        return real(self, pixels, *rest)

    monkeypatch.setattr(FeatureCache, "compute", counted)
    jobs = survey(project, seed=0, device=CPU)
    assert [job.attribute for job in jobs if job.plan and not job.error] == list(NAMES)
    assert sum(passed) == 1797


def test_a_bug_is_the_outcome_of_its_attribute(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object, **__: object) -> None:
        raise ZeroDivisionError("division by zero")

    monkeypatch.setattr(work_module, "carry_out", broken)
    monkeypatch.chdir(project.folder.parent)
    plan = plan_search(project, open_trunk(project, CPU), NAMES[0], seed=0, device=CPU)
    outcome = work_module.work(plan, device="cpu", force=False, send=lambda _: None)
    assert outcome.folder is None
    assert outcome.error
    assert "A bug: ZeroDivisionError" in outcome.error
    (written,) = (project.runs / "errors").iterdir()
    assert str(written) in outcome.error


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--all", "--on", "moon"], "--on must be one of here, ray, is 'moon'."),
        (["--all", "--address", "auto"], "--address goes with --on ray"),
        (["--all", "--gpus", "1"], "--gpus goes with --on ray"),
        (["--all", "--on", "ray", "--workers", "2"], "--workers goes with --on here"),
        (["--all", "--workers", "0"], "--workers"),
        (["even", "--workers", "2"], "--workers goes with --all"),
        (["even", "--on", "ray"], "--on goes with --all"),
        (["--all", "--on", "ray"], "pip install 'graftnet[ray]'"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_wrong_call_is_one_sentence(
    arguments: list[str],
    expected: str,
    project: Project,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    monkeypatch.delitem(sys.modules, "graftnet.searches.ray_cluster", raising=False)
    assert run(["search", *arguments, "--json"]) == 2
    assert expected in json.loads(capsys.readouterr().out.splitlines()[-1])["error"]


def test_a_wrong_setting_is_the_fleets_own_mistake(project: Project, capsys: pytest.CaptureFixture[str]) -> None:
    config = project.folder / "graftnet.toml"
    config.write_text(config.read_text().replace("freeze_depth = 5", "freeze_depth = 9"))
    assert run(["search", "--all", "--device", "cpu", "--json"]) == 2
    assert "freeze_depth" in json.loads(capsys.readouterr().out.splitlines()[-1])["error"]
