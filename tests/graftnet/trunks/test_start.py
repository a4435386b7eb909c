"""Where a project's trunk training begins, and what `graftnet trunk status` then advises."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from graftnet.cli import run
from graftnet.errors import ConfigError
from graftnet.project.folder import Project, open_project
from graftnet.trunks.start import start_of
from graftnet.trunks.versions import open_trunk, train_trunk, use_trunk
from subdatasets.importing.arrays import import_labels
from trunk.backbones.find import find_backbone
from trunk.errors import TrunkError
from trunk.preprocessing import Preprocessing
from trunk.trunk import Trunk, trunk_state

CPU = torch.device("cpu")
TRUNK = """[trunk]
backbone = "small_cnn"
image_size = 8
freeze_depth = 4
steps = 4
batch_size = 8
warmup_steps = 2
precision = "float32"
retrain_due = 2
retrain_overdue = 3
tune_steps = 3
tune_head_steps = 1
"""


@pytest.fixture
def project(tmp_path: Path) -> Project:
    rng = np.random.default_rng(0)
    pictures = list(rng.integers(0, 256, (48, 8, 8, 3)).astype(np.uint8))
    labels: dict[str, list[object]] = {name: rng.integers(0, 2, 48).tolist() for name in ("hat", "bag")}
    folder = tmp_path / "people"
    import_labels(pictures, labels, folder / "data", splits=["train"] * 32 + ["val"] * 8 + ["test"] * 8)
    (folder / "graftnet.toml").write_text(TRUNK)
    return open_project(folder)


def weights_file(path: Path, seed: int = 3) -> Path:
    torch.manual_seed(seed)
    save_file(trunk_state(find_backbone("small_cnn").build()), path)
    return path


def with_settings(project: Project, lines: str) -> Project:
    (project.folder / "graftnet.toml").write_text(TRUNK + lines)
    return open_project(project.folder)


def record_of(folder: Path) -> dict[str, Any]:
    value: dict[str, Any] = json.loads((folder / "trunk.json").read_text())
    return value


def test_without_weights_a_training_begins_at_random_ones(project: Project) -> None:
    assert start_of(project) is None
    folder = train_trunk(project, seed=0, device=CPU)
    assert "start" not in record_of(folder)
    assert record_of(folder)["settings"]["steps"] == 4
    # Trained again on more, it begins as it did.
    assert start_of(project) is None


def test_a_training_after_use_begins_at_what_is_in_use(project: Project, tmp_path: Path) -> None:
    brought = use_trunk(project, str(weights_file(tmp_path / "weights.safetensors")))
    folder = train_trunk(project, seed=0, device=CPU)
    record = record_of(folder)
    assert record["start"] == {"version": brought.name, "fingerprint": Trunk.load(brought).fingerprint}
    assert (record["settings"]["steps"], record["settings"]["learning_rate"]) == (3, 1e-4)
    # The trained one is in use now, and a training on more labels begins where it began, not where it ended.
    assert project.current_trunk == folder
    start = start_of(project)
    assert start is not None
    assert start.folder == brought
    assert train_trunk(project, seed=0, device=CPU) == folder


def test_trunk_start_names_random_weights_a_file_or_a_version(project: Project, tmp_path: Path) -> None:
    brought = use_trunk(project, str(weights_file(tmp_path / "first.safetensors")))
    assert start_of(with_settings(project, 'start = "random"\n')) is None
    weights_file(project.folder / "own.safetensors", seed=4)
    other = start_of(with_settings(project, 'start = "own.safetensors"\n'))
    assert other is not None
    assert other.load().fingerprint != Trunk.load(brought).fingerprint
    assert project.current_trunk == brought  # a start is not in use
    named = start_of(with_settings(project, f'start = "{brought.name[:6]}"\n'))
    assert named is not None
    assert named.folder == brought
    with pytest.raises(ConfigError, match=r"nothing\.safetensors"):
        start_of(with_settings(project, 'start = "nothing.safetensors"\n'))


def test_the_trunk_keeps_the_input_of_its_start(project: Project, tmp_path: Path) -> None:
    odd = Preprocessing(8, (0.1, 0.2, 0.3), (0.4, 0.5, 0.6), "bicubic")
    torch.manual_seed(0)
    Trunk("small_cnn", find_backbone("small_cnn").build(), odd).save(tmp_path / "odd", {"version": "0"})
    use_trunk(project, str(tmp_path / "odd"))
    assert Trunk.load(train_trunk(project, seed=0, device=CPU)).preprocessing == odd


def test_weights_in_the_settings_are_where_a_first_training_begins(project: Project) -> None:
    weights_file(project.folder / "own.safetensors")
    project = with_settings(project, 'weights = "own.safetensors"\n')
    folder = train_trunk(project, seed=0, device=CPU)
    assert "start" in record_of(folder)
    assert project.current_trunk == folder


def test_a_start_of_another_backbone_is_refused(project: Project, tmp_path: Path) -> None:
    torch.manual_seed(0)
    Trunk("inception_v3", find_backbone("inception_v3").build(), Preprocessing(96)).save(tmp_path / "big", {})
    project = with_settings(project, f'start = "{tmp_path / "big"}"\n')
    with pytest.raises(TrunkError, match="A small_cnn cannot begin from the weights of a inception_v3"):
        train_trunk(project, seed=0, device=CPU)


def test_a_start_that_is_gone_is_told(project: Project, tmp_path: Path) -> None:
    brought = use_trunk(project, str(weights_file(tmp_path / "weights.safetensors")))
    train_trunk(project, seed=0, device=CPU)
    brought.rename(tmp_path / "away")
    with pytest.raises(ConfigError, match=f"was trained from trunk {brought.name}, which is not in .*set trunk.start"):
        start_of(project)


def test_weights_that_were_brought_are_never_to_be_replaced(
    project: Project, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    use_trunk(project, str(weights_file(tmp_path / "weights.safetensors")))
    assert run(["trunk", "status", "--project", str(project.folder)]) == 0
    shown = capsys.readouterr().out
    assert "was brought, not trained here; it has not seen 2 of your labels (bag, hat)" in shown
    assert "it begins from these weights" in shown
    assert "train it again" not in shown
    train_trunk(project, seed=0, device=CPU)
    assert run(["trunk", "status", "--project", str(project.folder)]) == 0
    assert "No labels since the last training of the trunk" in capsys.readouterr().out


def test_published_weights_that_are_here_are_where_a_training_begins(
    project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = weights_file(tmp_path / "published.safetensors")
    monkeypatch.setattr("graftnet.trunks.start.best_here", lambda _: str(path))
    folder = train_trunk(project, seed=0, device=CPU)
    start = record_of(folder)["start"]["version"]
    assert record_of(project.trunks / start)["source"] == str(path)
    assert project.current_trunk == folder


def test_another_projects_trunk_can_be_used(project: Project, tmp_path: Path) -> None:
    train_trunk(project, seed=0, device=CPU)
    other = tmp_path / "other"
    other.mkdir()
    (other / "graftnet.toml").write_text(TRUNK)
    use_trunk(open_project(other), str(project.folder))
    assert open_trunk(open_project(other), CPU).fingerprint == open_trunk(project, CPU).fingerprint
