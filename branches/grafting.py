"""Graft many branches on one trunk: one pass through the trunk, then the branches that are asked for.

GraftNet: An Efficient and Flexible Multi-label Image Classification and Its Application (Jia et al.), section 3.4. A
branch reads the trunk and nothing else, so grafting or pruning one leaves all others as they were, to the bit.
"""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple, Protocol, Self

from torch import Tensor, nn

from branches.errors import BranchError
from branches.saved import BranchRecord, load_branch
from trunk.features.context import read


class TrunkLike(Protocol):
    """What grafting needs of a trunk, which is also an `nn.Module`."""

    @property
    def fingerprint(self) -> str: ...

    @property
    def depths(self) -> range: ...

    def feature_shape(self, depth: int) -> tuple[int, int, int]: ...

    def capture(self, images: Tensor, depths: Iterable[int]) -> Mapping[int, Tensor]: ...


class Graft(NamedTuple):
    """What is known of a grafted branch: its values, where it sits, its threshold (None for more than two values).

    sources: the earlier depths whose averages it reads too.
    """

    values: tuple[str, ...]
    freeze_depth: int
    threshold: float | None
    sources: tuple[int, ...] = ()

    @property
    def depths(self) -> set[int]:
        """The depths whose maps it needs."""
        return {self.freeze_depth, *self.sources}


class GraftedNet(nn.Module):
    """A trunk and its branches; it predicts and never trains.

    Shapes: images (N, 3, S, S) -> {attribute: scores (N, values)}, probabilities.
    """

    def __init__(self, trunk: TrunkLike) -> None:
        super().__init__()
        if not isinstance(trunk, nn.Module):
            raise BranchError(f"a trunk is a torch module, got {type(trunk).__name__}")
        self.trunk: TrunkLike = trunk
        self.grafts: dict[str, Graft] = {}
        self.branches = nn.ModuleDict()
        self.eval()

    def train(self, mode: bool = True) -> Self:
        """Trunk and branches stay in evaluation mode, whatever module holds them."""
        return super().train(False)

    @property
    def attributes(self) -> tuple[str, ...]:
        """The grafted attributes, in the order of grafting."""
        return tuple(self.grafts)

    def graft(
        self,
        attribute: str,
        values: Sequence[str],
        branch: nn.Module,
        *,
        freeze_depth: int,
        fingerprint: str,
        threshold: float | None = None,
        sources: Sequence[int] = (),
    ) -> None:
        """Attach a module, features after `freeze_depth` blocks (N, C, H, W) -> logits (N, values).

        With `sources` the averages of these depths are the features' last channels (`trunk.features.context`).

        Raises: BranchError when the branch was trained on another trunk, the trunk cannot be cut there, the branch
        reads features of another shape, or the attribute is grafted already.
        """
        if not fingerprint:
            raise BranchError(
                f"branch {attribute!r} was trained on features without a trunk: search it on the features of this one"
            )
        if fingerprint != self.trunk.fingerprint:
            raise BranchError(
                f"branch {attribute!r} was trained on trunk {fingerprint}, this trunk is {self.trunk.fingerprint}: "
                f"graft it on its own trunk, or search it again on this one"
            )
        if freeze_depth not in self.trunk.depths:
            low, high = self.trunk.depths[0], self.trunk.depths[-1]
            raise BranchError(f"branch {attribute!r} sits after block {freeze_depth}, the trunk has {low} to {high}")
        expected = getattr(branch, "feature_shape", None)
        shape = self.trunk.feature_shape(freeze_depth)
        shape = (shape[0] + sum(self.trunk.feature_shape(depth)[0] for depth in sources), *shape[1:])
        if expected is not None and tuple(expected) != tuple(shape):
            raise BranchError(
                f"branch {attribute!r} reads features {tuple(expected)}, the trunk gives {tuple(shape)} at depth "
                f"{freeze_depth}: search it again at this depth"
            )
        if attribute in self.grafts:
            raise BranchError(f"{attribute!r} is grafted already: prune it first")
        self.branches[_key(attribute)] = branch.eval()
        self.grafts[attribute] = Graft(tuple(values), freeze_depth, threshold, tuple(sources))

    def graft_saved(self, saved: Path | tuple[nn.Module, BranchRecord]) -> str:
        """Attach a branch that `branches.saved.save_branch` wrote, or that was loaded; returns its attribute.

        Raises: BranchError.
        """
        module, record = load_branch(saved) if isinstance(saved, Path) else saved
        self.graft(
            record.attribute,
            record.values,
            module,
            freeze_depth=record.freeze_depth,
            fingerprint=record.fingerprint,
            threshold=record.threshold,
            sources=record.sources,
        )
        return record.attribute

    def prune(self, attribute: str) -> None:
        """Remove a branch. Raises: BranchError when there is none of this name."""
        self._require([attribute])
        del self.grafts[attribute]
        del self.branches[_key(attribute)]

    def forward(self, images: Tensor, attributes: Sequence[str] | None = None) -> dict[str, Tensor]:
        """Scores of these attributes (None: of all). Raises: BranchError for a name that is not grafted."""
        names = self.attributes if attributes is None else tuple(attributes)
        self._require(names)
        grafts = {name: self.grafts[name] for name in names}
        maps = self.trunk.capture(images, sorted({depth for graft in grafts.values() for depth in graft.depths}))
        return {
            name: self.branches[_key(name)](read(maps, graft.freeze_depth, graft.sources)).float().softmax(1)
            for name, graft in grafts.items()
        }

    def _require(self, names: Sequence[str]) -> None:
        unknown = [name for name in names if name not in self.grafts]
        if unknown:
            raise BranchError(f"{unknown[0]!r} is not grafted; grafted are: {', '.join(self.grafts) or 'none'}")


def _key(attribute: str) -> str:
    """A module's name may hold no dot and be no method's name; an attribute's holds no slash."""
    return "branch/" + attribute.replace(".", "/")
