"""A tree of 18 searched branches on InceptionV3's first eight blocks, as a bundle to be timed.

The architectures are winners of searches in the macro space on CIFAR-10 (`searched_architectures.json`: ten questions,
two searches of eight of them); weights are random, which changes no time, and norms have the statistics of random
images, so that scores differ from image to image. Features are 768 x 17 x 17 at 299 px and
768 x 4 x 4 at 96 px.
"""

import json
from pathlib import Path

import torch
from torch import Tensor, nn

from branches.branch import Branch
from branches.export.folder import write_onnx
from branches.grafting import GraftedNet
from branches.saved import BranchRecord, save_branch
from deployment.bundle import write_bundle
from search_spaces import Architecture
from trunk.backbones.find import find_backbone
from trunk.preprocessing import Preprocessing
from trunk.trunk import Trunk

DEPTH = 8
CLASSES = 1000
FOUND = Path(__file__).with_name("searched_architectures.json")


def architectures() -> list[Architecture]:
    """The 18 winners."""
    record = json.loads(FOUND.read_text(encoding="utf-8"))
    return [
        Architecture.from_json({key: record[key] for key in ("space", "settings")} | {"choices": found["choices"]})
        for found in record["found"]
    ]


def inception_trunk(size: int) -> Trunk:
    """InceptionV3 with random weights, seeded, for images of `size` pixels."""
    torch.manual_seed(0)
    chain = find_backbone("inception_v3").build()
    settle(chain, random_images(size))
    return Trunk("inception_v3", chain, Preprocessing(size))


def random_images(size: int) -> Tensor:
    """Four normalised images of noise (4, 3, S, S), seeded."""
    return torch.randn(4, 3, size, size, generator=torch.Generator().manual_seed(1))


@torch.no_grad()
def settle(module: nn.Module, inputs: Tensor) -> None:
    """Give every norm the statistics of these inputs, so that maps neither vanish nor explode; then evaluation mode."""
    norms = [part for part in module.modules() if isinstance(part, nn.BatchNorm1d | nn.BatchNorm2d)]
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.momentum = 1.0
    module.train()(inputs)
    module.eval()
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum


def write_tree(folder: Path, size: int, *, branches: int) -> Trunk:
    """`folder/bundle` and `folder/inception.onnx`, the plain network with a classifier, unless they are there."""
    trunk = inception_trunk(size)
    saved = []
    with torch.no_grad():
        features = trunk(random_images(size), DEPTH)
    for number, architecture in enumerate(architectures()[:branches]):
        shape = trunk.feature_shape(DEPTH)
        branch = Branch(architecture, shape, 2, generator=torch.Generator().manual_seed(number))
        settle(branch, features)
        record = BranchRecord(
            f"attribute{number}",
            ("no", "yes"),
            shape,
            DEPTH,
            trunk.fingerprint,
            threshold=0.5,
            architecture=architecture,
        )
        saved.append(folder / "saved" / record.attribute)
        if not (saved[-1] / "branch.json").exists():
            save_branch(saved[-1], branch, record)
    if not (folder / "bundle" / "bundle.json").exists():
        write_bundle(trunk, saved, folder / "bundle", images=random_images(size))
    if not (folder / "inception.onnx").exists():
        plain = trunk.tail(DEPTH, CLASSES, generator=torch.Generator().manual_seed(0)).eval()
        images = torch.zeros(2, 3, size, size)
        write_onnx(_Plain(trunk, plain), images, folder / "inception.onnx", input_name="image", output_names=["logits"])
    return trunk


def grafted(trunk: Trunk, folder: Path) -> GraftedNet:
    """The same tree as torch modules."""
    net = GraftedNet(trunk)
    for saved in sorted((folder / "saved").iterdir(), key=lambda path: int(path.name.removeprefix("attribute"))):
        net.graft_saved(saved)
    return net


class _Plain(nn.Module):
    """Trunk and tail: the whole backbone with its classifier."""

    def __init__(self, trunk: Trunk, tail: nn.Module) -> None:
        super().__init__()
        self.trunk = trunk
        self.tail = tail

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.tail(self.trunk(images, DEPTH))
        return logits
