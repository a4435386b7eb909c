"""The doctor names what is here and what is missing for what."""

import json
from importlib import metadata
from pathlib import Path

import pytest

from graftnet.cli import run
from graftnet.project import machine as doctor
from graftnet.project.machine import CORE, EXTRAS, examination_lines, examine, find_extra, missing_modules


def test_json_reports_versions_and_devices(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["doctor", "--json"]) == 0
    record = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert record["packages"]["torch"] == metadata.version("torch")
    assert record["devices"][0] == "cpu"
    assert record["cores"] >= 1
    assert record["memory"] > record["cores"]


def test_missing_packages_come_with_their_purpose_and_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "missing_modules", lambda modules: [name for name in modules if name == "ray"])
    monkeypatch.setattr(doctor, "version_of", lambda name: None if name == "timm" else "1.0")
    lines = examination_lines(examine())
    assert "optional   ray missing, for many searches on many machines: pip install 'graftnet[ray]'" in lines
    assert [line for line in lines if line.startswith("warning: timm missing")]


def test_little_disk_is_a_warning() -> None:
    record = {**examine(), "disk_free": 2**30}
    assert [line for line in examination_lines(record) if line.startswith("warning: caches")]


def test_missing_modules() -> None:
    assert missing_modules(("json", "surely_not_installed")) == ["surely_not_installed"]


def test_extra_of_a_submodule() -> None:
    assert find_extra("ray.tune") == "ray"
    assert find_extra("torch") is None


def test_packages_are_those_of_the_distribution() -> None:
    setup = (Path(__file__).parents[3] / "setup.cfg").read_text(encoding="utf-8")
    required = setup.split("install_requires =")[1].split("[options.packages.find]")[0]
    listed = [line.strip() for line in required.splitlines() if line.strip() and "#" not in line]
    assert [line.split(">")[0].split("=")[0] for line in listed] == list(CORE)
    for extra in EXTRAS:
        assert f"\n{extra.name} =\n" in setup
