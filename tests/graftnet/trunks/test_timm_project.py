"""A project on a timm backbone: trained, cached, searched, cut by hand, exported, as on the backbones of our own."""

from pathlib import Path

import pytest

from deployment.runtime import Runtime
from graftnet.bundles.tree import export_attributes, graft_attribute
from graftnet.project.overrides import Overrides, overridden
from graftnet.searches.run import search_attribute
from graftnet.trunks.versions import open_trunk, train_trunk
from tests.graftnet.searches.test_run import CONFIG, CPU, make_project

NAME = "mobilenetv3_small_050"
CONFIG_TIMM = (
    CONFIG.replace("small_cnn", NAME).replace("image_size = 8", "image_size = 32").replace("steps = 6", "steps = 2")
)


@pytest.mark.slow
def test_a_timm_backbone_goes_all_the_way(tmp_path: Path) -> None:
    project = make_project(tmp_path, 48, CONFIG_TIMM)
    trunk = open_trunk(project, CPU)
    assert train_trunk(project, seed=0, device=CPU) == project.current_trunk
    assert (trunk.backbone, len(trunk.chain)) == (NAME, 13)
    search_attribute(project, "bright", seed=0, device=CPU)
    options = Overrides(branch="tail", blocks=9, pooling="bilinear", width=4, freeze_depth=6)
    search_attribute(overridden(project, options), "corner", seed=0, device=CPU)
    for name in ("bright", "corner"):
        graft_attribute(project, name)
    bundle = export_attributes(project, ["bright", "corner"], project.exports / "bundle")
    assert all(check["ok"] for check in Runtime(bundle).verify())
    assert Runtime(bundle).bundle["outputs"] == {"4": "block3", "6": "block5"}
