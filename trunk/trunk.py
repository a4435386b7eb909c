"""The frozen trunk: numbered blocks that turn images into features, known by a fingerprint.

GraftNet: An Efficient and Flexible Multi-label Image Classification and Its Application (Jia et al.), section 3.2-3.4.
"""

import copy
import hashlib
import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Self

import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn.utils import skip_init

from foundation.errors import RecordError
from foundation.files import replace_atomically, write_json
from foundation.records import read_record, require_no_links
from trunk.backbones.chain import BlockChain
from trunk.backbones.find import block_shapes, find_backbone
from trunk.errors import TrunkError
from trunk.preprocessing import Preprocessing
from trunk.records import TrunkShape
from trunk.weights_file import METADATA, fit, read_weights


class Trunk(nn.Module):
    """A backbone whose first blocks every branch shares; it never trains and never changes.

    ``depth`` always means a number of blocks: depth 8 of InceptionV3 runs blocks 0-7.

    Shapes: images (N, 3, height, width), normalised by :attr:`preprocessing` -> features (N, C_d, H_d, W_d).
    """

    def __init__(self, backbone: str, chain: BlockChain, preprocessing: Preprocessing) -> None:
        super().__init__()
        self.backbone = backbone
        self.preprocessing = preprocessing
        self.shapes = block_shapes(backbone, preprocessing.shape)
        self.chain = chain.requires_grad_(False).eval().to(memory_format=torch.channels_last)
        self.fingerprint = fingerprint(backbone, chain, preprocessing)
        self.notes: tuple[str, ...] = ()  # how given weights were made to fit

    def train(self, mode: bool = True) -> Self:
        """A trunk stays in evaluation mode, whatever module holds it."""
        return super().train(False)

    @property
    def depths(self) -> range:
        """The depths at which it may be cut: 1 .. number of blocks."""
        return range(1, len(self.chain) + 1)

    def check_depth(self, depth: int) -> int:
        """Return ``depth`` when the backbone can be cut there.

        Raises:
            TrunkError: it cannot.
        """
        if depth not in self.depths:
            raise TrunkError(f"freeze_depth of {self.backbone} must lie between 1 and {len(self.chain)}, is {depth}.")
        return depth

    def feature_shape(self, depth: int) -> tuple[int, int, int]:
        """(C, H, W) of the features after ``depth`` blocks."""
        return self.shapes[self.check_depth(depth) - 1]

    def capture(self, images: Tensor, depths: Iterable[int]) -> dict[int, Tensor]:
        """One pass through the blocks; the features after each of ``depths``."""
        wanted = {self.check_depth(depth) for depth in depths}
        captured = {}
        features = images.contiguous(memory_format=torch.channels_last)
        for number in range(max(wanted, default=0)):
            features = self.chain.run_block(number, features)
            if number + 1 in wanted:
                # A later block may work in place (relu): what is handed out must not change any more.
                captured[number + 1] = features if number + 1 == max(wanted) else features.clone()
        return captured

    def forward(self, images: Tensor, depth: int) -> Tensor:
        return self.capture(images, [depth])[depth]

    def tail(
        self,
        depth: int,
        values: int,
        *,
        blocks: int | None = None,
        pool: tuple[nn.Module, int] | None = None,
        generator: torch.Generator | None = None,
    ) -> "Tail":
        """The backbone's own blocks from ``depth`` on, with the trunk's weights, and a new linear layer.

        Args:
            blocks: so many the backbone has in all; None for all of them, fewer cut the tail short.
            pool: what pools the last map, and to how many features; None for the mean over the positions.

        Raises:
            TrunkError: no block is left between ``depth`` and ``blocks``, or the backbone has not so many.
        """
        if depth >= len(self.chain):
            raise TrunkError(f"A trunk of all {depth} blocks leaves no tail; choose a freeze_depth below {depth}.")
        end = len(self.chain) if blocks is None else blocks
        if not self.check_depth(depth) < end <= len(self.chain):
            raise TrunkError(
                f"A tail of {self.backbone} behind {depth} blocks must end after {depth + 1} to {len(self.chain)} of "
                f"them, is to end after {end}."
            )
        modules = tail_modules(self.chain, depth, end)
        copies = [(name, copy.deepcopy(module)) for name, module in modules]
        return Tail(copies, self.shapes[end - 1][0], values, pool=pool, generator=generator)

    def save(self, folder: Path, record: dict[str, Any]) -> None:
        """Write ``weights.safetensors`` (convolution and batch-norm weights only) and ``trunk.json``."""
        state = {name: value.contiguous() for name, value in trunk_state(self.chain).items()}
        identity = {"backbone": self.backbone, "preprocessing": self.preprocessing.to_json()}
        metadata = {METADATA: json.dumps(identity)}  # so that a copy of the file alone still says what its input is
        replace_atomically(folder / "weights.safetensors", lambda path: save_file(state, path, metadata=metadata))
        write_json(folder / "trunk.json", {**record, **identity, "fingerprint": self.fingerprint})

    @classmethod
    def load(cls, folder: Path) -> "Trunk":
        """Read what :meth:`save` wrote and check it against its fingerprint."""
        try:
            require_no_links(folder)
            record = read_record(folder / "trunk.json", TrunkShape)
            preprocessing = Preprocessing.from_json(record["preprocessing"])
            loaded = load_trunk(folder / "weights.safetensors", record["backbone"], preprocessing)
        except RecordError as error:
            raise TrunkError(f"{folder} holds no whole trunk: {error}") from error
        except FileNotFoundError as error:
            raise TrunkError(
                f"{folder} holds no whole trunk ({error}); train one with 'graftnet trunk train' or choose one with "
                f"'graftnet trunk use'."
            ) from error
        if loaded.fingerprint != record["fingerprint"]:
            raise TrunkError(
                f"{folder / 'weights.safetensors'} has fingerprint {loaded.fingerprint[:12]}, but its trunk.json says "
                f"{record['fingerprint'][:12]}: the weights were changed; restore them or train the trunk anew."
            )
        return loaded


class Tail(nn.Module):
    """Some of the backbone's blocks, pooling (``pool``: module and number of features; None: the mean), a linear layer.

    Shapes: features (N, C, H, W) -> logits (N, values).
    """

    def __init__(
        self,
        modules: Sequence[tuple[str, nn.Module]],
        channels: int,
        values: int,
        *,
        pool: tuple[nn.Module, int] | None = None,
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__()
        self.blocks = nn.Sequential()
        for name, module in modules:
            self.blocks.add_module(name.replace(".", "_"), module.requires_grad_(True))
        device = next(self.blocks.parameters()).device
        self.pool = pool[0] if pool else None
        pooled = pool[1] if pool else channels
        self.dropout = nn.Dropout(0.0)
        self.linear = skip_init(nn.Linear, pooled, values)  # type: ignore[no-untyped-call]
        nn.init.normal_(self.linear.weight, std=pooled**-0.5, generator=generator)
        nn.init.zeros_(self.linear.bias)
        self.to(device)

    def forward(self, features: Tensor) -> Tensor:
        features = self.blocks(features.contiguous(memory_format=torch.channels_last))
        pooled = features.mean(dim=(2, 3)) if self.pool is None else self.pool(features)
        logits: Tensor = self.linear(self.dropout(pooled))
        return logits


def tail_modules(chain: BlockChain, depth: int, end: int) -> list[tuple[str, nn.Module]]:
    """The modules of blocks ``depth`` .. ``end`` - 1, with their names."""
    return [(name, chain.get_submodule(name)) for names in chain.block_modules[depth:end] for name in names]


def trunk_state(chain: BlockChain) -> dict[str, Tensor]:
    """The weights that make a trunk: those of convolutions and batch normalisation, without step counters."""
    return {name: value for name, value in chain.state_dict().items() if not name.endswith("num_batches_tracked")}


def fingerprint(backbone: str, chain: BlockChain, preprocessing: Preprocessing) -> str:
    """SHA-256 (64 hex digits) over backbone name, block names, preprocessing and every weight."""
    digest = hashlib.sha256()
    identity = [backbone, chain.block_modules, preprocessing.to_json()]
    digest.update(json.dumps(identity, sort_keys=True).encode())
    for name, value in sorted(trunk_state(chain).items()):
        digest.update(f"{name} {value.dtype} {tuple(value.shape)}".encode())
        digest.update(value.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()


def load_trunk(source: Path, backbone: str, preprocessing: Preprocessing) -> Trunk:
    """A trunk from a file of weights in the source library's names (``.safetensors``, or ``.pth`` read weights-only).

    A classifier or auxiliary head in the file is left out; weights that the backbone needs and the file lacks are an
    error, as are wrong shapes.
    """
    return trunk_from_weights(read_weights(source, backbone), backbone, preprocessing, source=str(source))


def trunk_from_weights(
    weights: Any, backbone: str, preprocessing: Preprocessing, *, source: str, whole: bool = True
) -> Trunk:
    """A trunk from a state dict; ``source`` names it in errors, ``whole`` is that of :func:`trunk.weights_file.fit`."""
    chain = find_backbone(backbone).build()
    fitted = fit(weights, trunk_state(chain), backbone, source, whole=whole)
    chain.load_state_dict(fitted.weights, strict=False)
    trunk = Trunk(backbone, chain, preprocessing)
    trunk.notes = fitted.notes
    return trunk
