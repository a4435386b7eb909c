"""Register the forms that a tree is exported in, by the names that `graftnet export --target` takes.

A form is added by a module beside this one, an entry of `TARGETS`, and a line in docs/deployment.md. The modules are
imported when they are used, so that the command line can read the list without torch.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from torch import Tensor

    from trunk.trunk import Trunk


class Tree(NamedTuple):
    """What is exported: a trunk on the CPU and saved branches of it; images and cards as `write_bundle` takes them."""

    trunk: "Trunk"
    branches: Sequence[Path]
    images: "Tensor | None" = None
    cards: Mapping[str, str] | None = None

    @contextmanager
    def as_bundle(self) -> Iterator[Path]:
        """A verified bundle of the tree, for as long as another form is made of it."""
        import tempfile

        with tempfile.TemporaryDirectory() as temporary:
            yield _write_bundle(self, Path(temporary) / "bundle")


class Target(NamedTuple):
    """A form: what writes a tree to a destination, one line of help, what it needs to run, and what ends its name."""

    write: Callable[[Tree, Path], Path]
    help: str
    needs: str
    ending: str


def _write_bundle(tree: Tree, destination: Path) -> Path:
    from deployment.bundle.write import write_bundle

    return write_bundle(tree.trunk, tree.branches, destination, images=tree.images, cards=tree.cards)


def _write_triton(tree: Tree, destination: Path) -> Path:
    from deployment.targets.triton import write_repository

    with tree.as_bundle() as bundle:
        return write_repository(bundle, destination)


def _write_torch(tree: Tree, destination: Path) -> Path:
    from deployment.targets.torch_source import write_source

    with tree.as_bundle() as bundle:
        return write_source(tree.trunk, bundle, destination)


def _write_pt2(tree: Tree, destination: Path) -> Path:
    import torch

    from branches.grafting import GraftedNet
    from deployment.runtime.exported import Exported
    from deployment.targets.pt2 import write_pt2

    net = GraftedNet(tree.trunk)
    for folder in tree.branches:
        net.graft_saved(folder)
    with tree.as_bundle() as bundle:
        images = Exported(bundle).golden_images()
    return write_pt2(net, torch.from_numpy(images), destination)


TARGETS: Mapping[str, Target] = {
    "bundle": Target(_write_bundle, "ONNX files, one folder per branch", "onnxruntime", ""),
    "triton": Target(_write_triton, "a model repository", "Triton", "-triton"),
    "torch": Target(_write_torch, "a folder of plain source", "torch and safetensors", "-torch"),
    "pt2": Target(_write_pt2, "one torch.export archive", "torch", ".pt2"),
}
