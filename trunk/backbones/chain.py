"""Backbones as tables of numbered blocks: where a trunk may be cut, and what comes out there.

InceptionV3: Rethinking the Inception Architecture for Computer Vision (Szegedy et al., 2015), arXiv:1512.00567; its
eleven Mixed blocks are the numbered blocks of the GraftNet papers, the stem counted with block 0. Other
names, TResNet-M (`tresnet_m`) among them, are timm's: `trunk.backbones.find` knows both.
"""

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor, nn
from torchvision.models import inception_v3

NamedModules = list[tuple[str, nn.Module]]


class BlockChain(nn.Module):
    """A backbone's convolutional part as numbered blocks that run one after the other.

    Modules keep the names they have in the source library, so that its weights load unchanged; a name may be a path
    into nested modules (`layer1.0`).

    Shapes: images (N, 3, height, width) -> features after d blocks (N, C_d, H_d, W_d).
    """

    def __init__(self, blocks: list[NamedModules]) -> None:
        super().__init__()
        self.block_modules: list[tuple[str, ...]] = []
        for block in blocks:
            for name, module in block:
                insert(self, name, module)
            self.block_modules.append(tuple(name for name, _ in block))

    def __len__(self) -> int:
        return len(self.block_modules)

    def run_block(self, number: int, features: Tensor) -> Tensor:
        """Run the block of this number."""
        for name in self.block_modules[number]:
            features = self.get_submodule(name)(features)
        return features

    def forward(self, features: Tensor) -> Tensor:
        for number in range(len(self)):
            features = self.run_block(number, features)
        return features


def insert(parent: nn.Module, path: str, module: nn.Module) -> None:
    """Put a module at a dotted path, inside empty modules that are made where they are missing."""
    *parents, last = path.split(".")
    for name in parents:
        if name not in parent._modules:
            parent.add_module(name, nn.Module())  # holds what is inside it and never runs
        parent = parent.get_submodule(name)
    parent.add_module(last, module)


@dataclass(frozen=True)
class Backbone:
    """How to build a backbone: its block names, default image size and default number of frozen blocks."""

    name: str
    block_names: tuple[str, ...]
    build: Callable[[], BlockChain]
    image_size: int
    minimum_size: int
    freeze_depth: int


INCEPTION_STEM = (
    "Conv2d_1a_3x3",
    "Conv2d_2a_3x3",
    "Conv2d_2b_3x3",
    "maxpool1",
    "Conv2d_3b_1x1",
    "Conv2d_4a_3x3",
    "maxpool2",
)

INCEPTION_MIXED = tuple(f"Mixed_{name}" for name in ("5b", "5c", "5d", "6a", "6b", "6c", "6d", "6e", "7a", "7b", "7c"))


def build_inception_v3() -> BlockChain:
    """torchvision's InceptionV3 without auxiliary head and classifier: eleven blocks, 21.8 M weights.

    Initialised by PyTorch's defaults: torchvision's truncated normal (scipy) takes a minute and trained no better.
    """
    model = inception_v3(weights=None, aux_logits=False, init_weights=False, transform_input=False)
    first: NamedModules = [(name, model.get_submodule(name)) for name in (*INCEPTION_STEM, INCEPTION_MIXED[0])]
    rest: list[NamedModules] = [[(name, model.get_submodule(name))] for name in INCEPTION_MIXED[1:]]
    return BlockChain([first, *rest])


def convolution(channels_in: int, channels: int, *, stride: int = 1) -> nn.Sequential:
    """3x3 convolution, batch normalisation, relu."""
    return nn.Sequential(
        nn.Conv2d(channels_in, channels, 3, stride=stride, padding=1, bias=False),
        nn.BatchNorm2d(channels),
        nn.ReLU(inplace=True),
    )


def build_small_cnn() -> BlockChain:
    """Six plain convolution blocks (0.6 M weights) for small pictures and for quick starts without any download."""
    widths = ((3, 32, 1), (32, 48, 2), (48, 64, 1), (64, 96, 2), (96, 192, 1), (192, 192, 1))
    return BlockChain(
        [[(f"block{n}", convolution(into, out, stride=stride))] for n, (into, out, stride) in enumerate(widths)]
    )


BACKBONES = {
    "inception_v3": Backbone("inception_v3", INCEPTION_MIXED, build_inception_v3, 299, 75, 8),
    "small_cnn": Backbone("small_cnn", tuple(f"block{n}" for n in range(6)), build_small_cnn, 32, 8, 4),
}
