"""Write a bundle: the trunk once, and a folder per branch, checked before it is put in place.

`trunk.onnx` (normalised images in, one map per depth out), `golden.npz` (images; each branch's own golden outputs are
theirs), one exported branch per attribute, `graftnet.onnx` (all of it as one graph), `runtime.pyz` (what verifies and
runs it), and `bundle.json`, the index: preprocessing, fingerprint, branches, SHA-256 of every file.
"""

import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import onnx
import torch
from torch import Tensor, nn

from branches.export.folder import TOLERANCE, export_branch, write_onnx
from branches.grafting import GraftedNet
from branches.saved import load_branch
from deployment.bundle.joined import JOINED, joined_graph
from deployment.errors import BundleError
from deployment.runtime.checks import problems_of
from deployment.runtime.exported import Exported
from deployment.runtime.files import CARD, FORMAT, output_key, read_contract
from foundation.files import write_json
from foundation.folders import file_hashes, replaced_folder
from trunk.features.context import read
from trunk.trunk import Trunk

GOLDEN_IMAGES = 2
STANDALONE = "runtime.pyz"
RESERVED = ("bundle.json", "golden.npz", "trunk.onnx", JOINED, STANDALONE)
ROOM = Path(__file__).parents[1]
PACKED = ("__init__.py", "__main__.py", "calibration.py", "errors.py", "runtime/*.py")
START = "from deployment.__main__ import main\n\nmain()\n"
LONG_AGO = (1980, 1, 1, 0, 0, 0)


class Output(NamedTuple):
    """A map that the trunk gives: at a depth, the averages of earlier ones behind it (`trunk.features.context`)."""

    depth: int
    sources: tuple[int, ...] = ()

    @property
    def key(self) -> str:
        """Its key among the bundle's outputs."""
        return output_key({"freeze_depth": self.depth, "sources": self.sources})

    @property
    def name(self) -> str:
        """Its name in trunk.onnx."""
        behind = f"_with_{'_'.join(map(str, self.sources))}" if self.sources else ""
        return f"block{self.depth - 1}{behind}"


class Capture(nn.Module):
    """The trunk as a function of images alone: (N, 3, S, S) -> one map per output, at its depth with its sources."""

    def __init__(self, trunk: Trunk, outputs: Sequence[Output]) -> None:
        super().__init__()
        self.trunk = trunk
        self.outputs = tuple(outputs)
        self.depths = sorted({depth for output in outputs for depth in (output.depth, *output.sources)})

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        maps = self.trunk.capture(images, self.depths)
        return tuple(read(maps, output.depth, output.sources) for output in self.outputs)


def write_bundle(
    trunk: Trunk,
    branches: Sequence[Path],
    destination: Path,
    *,
    images: Tensor | None = None,
    cards: Mapping[str, str] | None = None,
) -> Path:
    """Write a bundle of saved branches (`branches.saved.save_branch`) and return its folder.

    `trunk` lies on the CPU. `images` (2 or more, 3, S, S), normalised, are what the golden outputs are made from, the
    first two of them; None draws some, seeded. `cards`: Markdown to lie in an attribute's folder, as card.md. Raises:
    BundleError for no branch or an attribute named twice; BranchError for a folder that is no branch, a branch of
    another trunk; UserError for a destination that is somebody's own folder; RuntimeError when what was written does
    not give the toolkit's scores: then `destination` is as it was.
    """
    if not branches:
        raise BundleError(f"a bundle needs at least one branch: graft one before writing {destination}")
    net = GraftedNet(trunk)
    folders: dict[str, Path] = {}
    loaded = {}
    for folder in branches:
        _, record = saved = load_branch(folder)
        if record.attribute in folders:
            raise BundleError(f"{folder} and {folders[record.attribute]} are both {record.attribute!r}: give one")
        net.graft_saved(saved)
        folders[record.attribute], loaded[record.attribute] = folder, saved
    images = _golden_images(trunk) if images is None else images[:GOLDEN_IMAGES].detach().float().cpu().contiguous()
    reads = {name: Output(graft.freeze_depth, graft.sources) for name, graft in net.grafts.items()}
    outputs = sorted(set(reads.values()))
    capture = Capture(trunk, outputs)
    with torch.no_grad():
        maps = dict(zip(outputs, capture(images), strict=True))
    with replaced_folder(destination, "bundle.json") as written:
        names = [output.name for output in outputs]
        write_onnx(capture, images, written / "trunk.onnx", input_name="image", output_names=names)
        np.savez(written / "golden.npz", images=images.numpy())
        write_standalone(written / STANDALONE)
        bundle: dict[str, Any] = {
            "format": FORMAT,
            "backbone": trunk.backbone,
            "fingerprint": trunk.fingerprint,
            "preprocessing": trunk.preprocessing.to_json(),
            "input": {"name": "image", "shape": ["batch", *images.shape[1:]], "dtype": "float32"},
            "outputs": {output.key: output.name for output in outputs},
            "tolerance": TOLERANCE,
            "files": file_hashes(written),
            "branches": {},
        }
        for name, saved in loaded.items():
            exported = folder_for(name, bundle, written)
            export_branch(saved, exported, golden=maps[reads[name]])
            bundle["branches"][name] = listed(exported, (cards or {}).get(name))
        onnx.save(joined_graph(written, bundle), str(written / JOINED))
        bundle["joined"] = {"file": JOINED, "sha256": file_hashes(written)[JOINED]}
        write_json(written / "bundle.json", bundle)
        require_verified(written)
    return destination


def folder_for(attribute: str, bundle: Mapping[str, Any], home: Path) -> Path:
    """Where a branch goes: the folder of its name, with a number behind where the bundle has one of that name."""
    parts = [*bundle["branches"].values(), *([bundle["label_graph"]] if bundle.get("label_graph") else [])]
    taken = {part["folder"] for part in parts} | {*RESERVED}
    number, name = 1, attribute
    while name in taken:
        number, name = number + 1, f"{attribute}.{number + 1}"
    return home / name


def listed(folder: Path, card: str | None = None) -> dict[str, Any]:
    """What the index says of an exported branch, once its card, where there is one, lies beside it."""
    if card is not None:
        (folder / CARD).write_text(card, encoding="utf-8")
    contract = read_contract(folder)
    asked = ("values", "threshold", "freeze_depth", "sources")
    question: dict[str, Any] = {key: contract[key] for key in asked if key in contract}
    return {"folder": folder.name, **question, "files": file_hashes(folder)}


def require_verified(bundle: Path) -> None:
    """Raises: RuntimeError when a bundle does not give its golden outputs."""
    if problems := problems_of(Exported(bundle)):
        raise RuntimeError(f"the written bundle does not give the toolkit's scores: {'; '.join(problems)}")


def write_standalone(path: Path) -> None:
    """Write `runtime.pyz`, the part of this room that needs no torch, as one file that Python runs and imports.

        python runtime.pyz                     verifies the bundle that it lies in
        python runtime.pyz verify DIR          another one
        python runtime.pyz predict IMAGE ...   one JSON line per image (with Pillow)

    The same sources give the same bytes.
    """
    sources = [source for pattern in PACKED for source in sorted(ROOM.glob(pattern))]
    texts = {"__main__.py": START}
    for source in sources:
        texts[f"deployment/{source.relative_to(ROOM).as_posix()}"] = source.read_text(encoding="utf-8")
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        for name, text in texts.items():
            archive.writestr(zipfile.ZipInfo(name, date_time=LONG_AGO), text)


def _golden_images(trunk: Trunk) -> Tensor:
    """Smooth seeded pictures (noise at an eighth of the size, enlarged), normalised as photographs are."""
    height, width = trunk.preprocessing.shape
    generator = torch.Generator().manual_seed(0)
    coarse = torch.rand(GOLDEN_IMAGES, 3, max(2, height // 8), max(2, width // 8), generator=generator)
    pixels = nn.functional.interpolate(coarse, size=(height, width), mode="bilinear") * 255
    return trunk.preprocessing.normalise(pixels.permute(0, 2, 3, 1)).contiguous()
