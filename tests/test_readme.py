"""The README's example runs as it is printed, and the commands of the site's table exist."""

import re
from pathlib import Path

import pytest

from graftnet.cli import run

HOUSE = Path(__file__).parents[1]
README = (HOUSE / "README.md").read_text(encoding="utf-8")
TABLE = (HOUSE / "docs" / "commands.md").read_text(encoding="utf-8")


def test_it_is_read_at_one_sitting() -> None:
    assert len(README.splitlines()) < 120


def test_python_example(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    example, _ = re.findall(r"```python\n(.*?)```", README, flags=re.S)
    assert len(example.splitlines()) < 35
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {"__name__": "example"}
    exec(compile(example, "README.md", "exec"), names)
    result = names["result"]
    assert isinstance(result, dict)
    assert result["test"]["auroc"] > 0.9
    printed = capsys.readouterr().out
    assert result["verdict"] in printed
    assert "has-loop/report.html" in printed
    for file in ("result.json", "report.html", "branch/weights.safetensors"):
        assert (tmp_path / "has-loop" / file).is_file()
    assert (tmp_path / "has-loop-branch" / "branch.onnx").is_file()


def test_every_command_of_the_table_exists(capsys: pytest.CaptureFixture[str]) -> None:
    commands = set(re.findall(r"`graftnet ((?:data |trunk |rules |graph |tune |bundle )?[a-z-]+)", TABLE))
    assert len(commands) == 40
    for command in sorted(commands):
        assert run([*command.split(), "--help"]) == 0, command


def test_links_lead_somewhere() -> None:
    for target in re.findall(r"\]\(([^)#]+)\)", README):
        assert target.startswith("https://") or (HOUSE / target).exists(), target
