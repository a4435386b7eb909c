"""Write a bundle as plain torch source: a folder that needs torch and safetensors, and nothing of this toolkit.

`trunk.py` with `trunk.safetensors`, per attribute its exported `branch.py` with `weights.safetensors`, `graftnet.py`
which puts them together, and `attributes.json`: values, threshold and depth of each. Checked on the golden images.
"""

import shutil
from pathlib import Path

import torch
from safetensors.torch import save_file

from branches.export.alone import ALONE
from branches.export.traced import trunk_source
from deployment.errors import BundleError
from deployment.runtime.checks import golden_error
from deployment.runtime.exported import Exported
from deployment.runtime.files import output_key
from foundation.files import write_json
from foundation.folders import replaced_folder
from trunk.trunk import Trunk

MAIN = '''\
"""Images in, the scores of every attribute out: one trunk, many branches. Needs torch and safetensors only.

    net = load()
    scores = net(images)                  # {attribute: (N, values)}
    scores = net(images, ["bald"])        # these branches alone
"""

import importlib.util
import json
import sys
from pathlib import Path

from torch import Tensor, nn


class GraftNet(nn.Module):
    """The trunk and its branches, which only predict."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self.attributes = json.loads((folder / "attributes.json").read_text(encoding="utf-8"))
        self.trunk = _load(folder / "trunk.py", folder)
        self.names = list(self.attributes)
        self.branches = nn.ModuleList(
            _load(folder / part["folder"] / "branch.py", folder / part["folder"]) for part in self.attributes.values()
        )
        self.eval()

    def forward(self, images: Tensor, attributes: list[str] | None = None) -> dict[str, Tensor]:
        """Normalised images (N, 3, S, S), as trunk.py says -> {attribute: probabilities (N, values)}."""
        maps = self.trunk(images)
        wanted = self.names if attributes is None else attributes
        branches = dict(zip(self.names, self.branches, strict=True))
        return {name: branches[name](maps[self.attributes[name]["reads"]]) for name in wanted}


def load(folder: str | Path = Path(__file__).parent) -> GraftNet:
    """The whole tree with its weights, ready to predict."""
    return GraftNet(Path(folder))


def _load(source: Path, folder: Path) -> nn.Module:
    spec = importlib.util.spec_from_file_location(f"graftnet_{folder.name}_{source.stem}", source)
    module = importlib.util.module_from_spec(spec)
    before, sys.dont_write_bytecode = sys.dont_write_bytecode, True  # this folder stays as it was exported
    try:
        spec.loader.exec_module(module)
    finally:
        sys.dont_write_bytecode = before
    return module.load(folder)
'''


def write_source(trunk: Trunk, bundle: Path, destination: Path) -> Path:
    """Write a bundle as torch source and return its folder; `trunk` is the bundle's.

    Raises: BundleError for another trunk, or a branch without source; BranchError for a trunk that cannot be written
    as source; UserError for a destination that is somebody's own folder; RuntimeError when it gives other scores.
    """
    exported = Exported(bundle)
    index = exported.bundle
    if trunk.fingerprint != index["fingerprint"]:
        raise BundleError(f"{bundle} is of trunk {index['fingerprint']}, this one is {trunk.fingerprint}: give its own")
    with replaced_folder(destination, "graftnet.py") as written:
        text, weights = trunk_source(trunk, list(index["outputs"]))
        (written / "trunk.py").write_text(text, encoding="utf-8")
        save_file(weights, written / "trunk.safetensors")
        (written / "graftnet.py").write_text(MAIN, encoding="utf-8")
        attributes = {}
        for name, folder in exported.branches.items():
            if not (folder / "branch.py").is_file():
                reason = exported.contracts[name].get("without_source")
                raise BundleError(f"branch {name!r} was exported without source ({reason}): use its ONNX file")
            (written / folder.name).mkdir()
            for part in ("branch.py", "weights.safetensors"):
                shutil.copyfile(folder / part, written / folder.name / part)
            part = index["branches"][name]
            about = {key: part[key] for key in ("folder", "values", "threshold", "freeze_depth")}
            attributes[name] = {**about, "reads": output_key(part)}
        write_json(written / "attributes.json", attributes)
        images = torch.from_numpy(exported.golden_images())
        worst = golden_error(exported, ALONE.scores(written / "graftnet.py", images))
        if worst > index["tolerance"]:
            raise RuntimeError(f"the written source's scores differ from the bundle's by {worst:.2e}")
    return destination
