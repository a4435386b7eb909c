"""The example of docs/indeed.md runs as it is printed, and its settings exist."""

import re
from pathlib import Path

import pytest
import torch

from graftnet.project.config import parse_config

GUIDE = (Path(__file__).parents[1] / "docs" / "indeed.md").read_text(encoding="utf-8")


def test_python_example(capsys: pytest.CaptureFixture[str]) -> None:
    (example,) = re.findall(r"```python\n(.*?)```", GUIDE, flags=re.S)
    names: dict[str, object] = {"__name__": "example"}
    exec(compile(example, "docs/indeed.md", "exec"), names)
    loss = names["loss"]
    assert isinstance(loss, torch.Tensor)
    assert torch.isfinite(loss)
    assert "tensor(" in capsys.readouterr().out


def test_settings_are_those_of_a_project() -> None:
    (settings,) = re.findall(r"```toml\n(.*?)```", GUIDE, flags=re.S)
    assert parse_config(settings).trunk.method == "indeed"
