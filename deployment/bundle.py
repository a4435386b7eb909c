"""Write a bundle: the trunk once, and a folder per branch, checked before it is put in place.

`trunk.onnx` (normalised images in, one map per depth out), `bundle.json` (preprocessing, fingerprint, branches, SHA-256
of every file), `golden.npz` (images with every branch's scores) and one exported branch per attribute.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from branches.export import TOLERANCE, export_branch
from branches.folders import file_hashes, replaced_folder
from branches.grafting import GraftedNet
from branches.onnx_file import write_onnx
from branches.records import load_branch
from deployment.errors import BundleError
from deployment.runtime import FORMAT, Runtime
from trunk.checkpoints import write_json
from trunk.trunk import Trunk

GOLDEN_IMAGES = 2
GOLDEN_ROWS = 8


class Capture(nn.Module):
    """The trunk as a function of images alone: (N, 3, S, S) -> one map per depth."""

    def __init__(self, trunk: Trunk, depths: Sequence[int]) -> None:
        super().__init__()
        self.trunk = trunk
        self.depths = tuple(depths)

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        maps = self.trunk.capture(images, self.depths)
        return tuple(maps[depth] for depth in self.depths)


def write_bundle(trunk: Trunk, branches: Sequence[Path], destination: Path, *, images: Tensor | None = None) -> Path:
    """Write a bundle of saved branches (`branches.records.save_branch`) and return its folder.

    `trunk` lies on the CPU. `images` (8, 3, S, S), normalised, are what the golden outputs are made from; None draws
    some, seeded. Raises: BundleError for no branch or an attribute named twice; BranchError for a folder that is no
    branch, a branch of another trunk, or a destination that is somebody's own folder; RuntimeError when what was
    written does not give the toolkit's scores: then `destination` is as it was.
    """
    if not branches:
        raise BundleError(f"a bundle needs at least one branch: graft one before writing {destination}")
    net = GraftedNet(trunk)
    folders: dict[str, Path] = {}
    for folder in branches:
        _, record = load_branch(folder)
        if record.attribute in folders:
            raise BundleError(f"{folder} and {folders[record.attribute]} are both {record.attribute!r}: give one")
        net.graft_saved(folder)
        folders[record.attribute] = folder
    images = _golden_images(trunk) if images is None else images.detach().float().cpu().contiguous()
    depths = sorted({graft.freeze_depth for graft in net.grafts.values()})
    with torch.no_grad():
        scores = net(images[:GOLDEN_IMAGES])
        maps = trunk.capture(images, depths)
    with replaced_folder(destination, "bundle.json") as written:
        names = [f"block{depth - 1}" for depth in depths]
        write_onnx(Capture(trunk, depths), images, written / "trunk.onnx", input_name="image", output_names=names)
        golden = {f"scores{number}": table.numpy() for number, table in enumerate(scores.values())}
        np.savez(written / "golden.npz", images=images[:GOLDEN_IMAGES].numpy(), **golden)
        for name, folder in folders.items():
            export_branch(folder, written / name, golden=maps[net.grafts[name].freeze_depth])
        bundle = {
            "format": FORMAT,
            "backbone": trunk.backbone,
            "fingerprint": trunk.fingerprint,
            "preprocessing": trunk.preprocessing.to_json(),
            "input": {"name": "image", "shape": ["batch", *images.shape[1:]], "dtype": "float32"},
            "outputs": {str(depth): name for depth, name in zip(depths, names, strict=True)},
            "tolerance": TOLERANCE,
            "files": file_hashes(written),
            "branches": {
                name: {
                    "folder": name,
                    "values": list(graft.values),
                    "threshold": graft.threshold,
                    "freeze_depth": graft.freeze_depth,
                    "files": file_hashes(written / name),
                }
                for name, graft in net.grafts.items()
            },
        }
        write_json(written / "bundle.json", bundle)
        failed = [check["problem"] for check in Runtime(written).verify() if not check["ok"]]
        if failed:
            raise RuntimeError(f"the written bundle does not give the toolkit's scores: {'; '.join(failed)}")
    return destination


def _golden_images(trunk: Trunk) -> Tensor:
    """Smooth seeded pictures (noise at an eighth of the size, enlarged), normalised as photographs are."""
    size = trunk.preprocessing.size
    generator = torch.Generator().manual_seed(0)
    coarse = torch.rand(GOLDEN_ROWS, 3, max(2, size // 8), max(2, size // 8), generator=generator)
    pixels = nn.functional.interpolate(coarse, size=(size, size), mode="bilinear") * 255
    return trunk.preprocessing.normalise(pixels.permute(0, 2, 3, 1)).contiguous()
