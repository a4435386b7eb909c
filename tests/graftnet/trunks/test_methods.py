"""[trunk] method: whole images by one multi-label classifier, or by INDeeD, instead of the dynamic graph."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from graftnet.errors import ConfigError
from graftnet.project.config import Config, parse_config
from graftnet.project.folder import Project, open_project
from graftnet.project.toml_edit import template
from graftnet.trunks.versions import open_trunk, train_trunk
from subdatasets.importing.arrays import import_labels
from trunk.errors import TrunkError
from trunk.pretraining import settings as pretrain_settings
from trunk.pretraining.methods import METHODS, method_identity

CPU = torch.device("cpu")
TRUNK = """[trunk]
backbone = "small_cnn"
image_size = 8
freeze_depth = 4
steps = 4
batch_size = 8
warmup_steps = 2
precision = "float32"
"""


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """Two yes/no attributes and one of three values over the same pictures, one attribute with unknown labels."""
    rng = np.random.default_rng(0)
    count = 48
    pictures = list(rng.integers(0, 256, (count, 8, 8, 3)).astype(np.uint8))
    labels: dict[str, list[object]] = {
        "hat": rng.integers(0, 2, count).tolist(),
        "bag": [None if number % 5 == 0 else int(value) for number, value in enumerate(rng.integers(0, 2, count))],
        "colour": rng.choice(["red", "green", "blue"], count).tolist(),
    }
    import_labels(pictures, labels, tmp_path / "data", splits=["train"] * 32 + ["val"] * 8 + ["test"] * 8)
    (tmp_path / "graftnet.toml").write_text(TRUNK)
    return open_project(tmp_path)


def with_settings(project: Project, lines: str) -> Project:
    (project.folder / "graftnet.toml").write_text(TRUNK + lines)
    return open_project(project.folder)


def identity_of(config: Config) -> dict[str, Any]:
    return method_identity(config.trunk.method, vars(config.trunk))


def record_of(folder: Path) -> dict[str, Any]:
    value: dict[str, Any] = json.loads((folder / "trunk.json").read_text())
    return value


def test_every_method_and_setting_makes_a_trunk_of_its_own(project: Project) -> None:
    found = {}
    for lines in (
        "",
        "method = 'multi_label'\n",
        "method = 'indeed'\n",
        "method = 'indeed'\nindeed_map = 'l2'\n",
        "method = 'indeed'\nindeed_weight = 0.25\n",
        "method = 'indeed'\nindeed_blocks = 'identical'\n",
    ):
        changed = with_settings(project, lines)
        found[lines] = train_trunk(changed, seed=0, device=CPU)
        assert open_trunk(changed, CPU).feature_shape(4) == (96, 2, 2)
    records = [record_of(folder) for folder in found.values()]
    assert len({record["fingerprint"] for record in records}) == len(found)
    assert [record["source"] for record in records] == ["dynamic graph", "multi-label training", *["INDeeD"] * 4]
    assert records[3]["indeed"] == {"normalisation": "l2", "weight": 1.0, "blocks": "both"}
    assert (
        train_trunk(with_settings(project, "method = 'indeed'\n"), seed=0, device=CPU) == found["method = 'indeed'\n"]
    )


def test_the_dynamic_graph_keeps_the_names_of_its_versions() -> None:
    assert identity_of(Config()) == {}
    assert identity_of(parse_config("[trunk]\nindeed_weight = 3.0")) == {}


def test_settings_reach_the_training() -> None:
    text = "[trunk]\nmethod = 'indeed'\nindeed_map = 'l2'\nindeed_weight = 0.5\nindeed_blocks = 'disparate'"
    own = {"normalisation": "l2", "weight": 0.5, "blocks": "disparate"}
    assert identity_of(parse_config(text)) == {"method": "indeed", "indeed": own}
    own = {"normalisation": "minmax", "weight": 1.0, "blocks": "both"}
    assert identity_of(parse_config("[trunk]\nmethod = 'indeed'")) == {"method": "indeed", "indeed": own}


def test_the_front_door_offers_what_the_room_has() -> None:
    assert tuple(METHODS) == pretrain_settings.METHODS
    assert {key for method in METHODS.values() for key in method.keys.values()} <= set(vars(Config().trunk))
    assert all(f'"{name}"' in template("people") for name in METHODS)
    with pytest.raises(ConfigError, match=r"trunk.method \(line 2\) must be one of .*'indeed', is 'INDeeD'"):
        parse_config("[trunk]\nmethod = 'INDeeD'")


def test_attributes_that_never_meet_in_an_image_are_refused(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    pictures = list(rng.integers(0, 256, (36, 8, 8, 3)).astype(np.uint8))
    kinds = rng.integers(0, 2, 36)
    labels: dict[str, list[object]] = {"cat": kinds.tolist(), "dog": (1 - kinds).tolist()}
    import_labels(pictures, labels, tmp_path / "data", splits=["train"] * 24 + ["val"] * 6 + ["test"] * 6)
    (tmp_path / "graftnet.toml").write_text(TRUNK + "method = 'indeed'\n")
    with pytest.raises(TrunkError, match="no training image carries two"):
        train_trunk(open_project(tmp_path), seed=0, device=CPU)
