"""The supernet: any architecture of a space is a path through one set of weights.

Efficient Neural Architecture Search via Parameter Sharing (Pham et al., 2018), arXiv:1802.03268. A path runs the very
modules of a branch, their parameters set to the shared ones before each run, so that it computes what the extracted
branch computes. Different from the paper: batch norm always uses the batch's own statistics.
"""

import copy
from collections.abc import Callable

import torch
from torch import Tensor, nn

from branches.branch import Branch, FeatureShape, check_shape
from branches.layers import ProbeStart, initialise
from nas.errors import SearchError
from nas.supernet.paths import MacroWeights, MicroWeights
from nas.supernet.shared_weights import SharedWeights
from search_spaces.architecture import Architecture
from search_spaces.decisions import Space

SHARED_WEIGHTS: dict[str, Callable[[Space, int, int, float], SharedWeights]] = {
    "macro": MacroWeights,
    "micro": MicroWeights,
}


class Supernet(nn.Module):
    """The shared weights of a space, for features of `feature_shape` (C, H, W) and an attribute of `values` values.

    Initialised from `generator` alone. Only the sampled path runs; the gradients of all else stay None, so that an
    optimiser passes it over. Batch norm takes the statistics of the batch in training and evaluation mode alike: scores
    depend on the batch, so rank architectures on the same large ones. Dropout, drawn from torch's own generator, works
    in training mode only. With `probe` every path begins at it (`branches.layers.Head`).

    Raises: SearchError for a space without shared weights, BranchError for an impossible shape or number of values.
    """

    def __init__(
        self,
        space: Space,
        feature_shape: FeatureShape,
        values: int,
        *,
        generator: torch.Generator,
        dropout: float = 0.0,
        probe: ProbeStart | None = None,
    ) -> None:
        super().__init__()
        if space.name not in SHARED_WEIGHTS:
            known = ", ".join(SHARED_WEIGHTS)
            raise SearchError(f"there are no shared weights for search space {space.name!r}; known: {known}")
        check_shape(feature_shape, values)
        self.space = space
        self.feature_shape = feature_shape
        self.values = values
        self.shared = SHARED_WEIGHTS[space.name](space, feature_shape[0], values, dropout)
        initialise(self.shared, generator)
        if probe is not None:
            self.shared.begin_at(probe)

    def forward(self, features: Tensor, architecture: Architecture) -> Tensor:
        """Features (N, C, H, W) -> logits (N, values) of one architecture's path.

        Raises: SpaceError when the architecture is not one of the space.
        """
        self.space.validate(architecture)
        logits: Tensor = self.shared(features, architecture)
        return logits

    @torch.no_grad()
    def extract(self, architecture: Architecture) -> Branch:
        """A branch of its own with a copy of the path's weights, on their device, in training mode.

        In training mode it computes bit for bit what the path does. Its norms hold no statistics of any data yet: let
        it see some in training mode before using it in evaluation mode. Raises: SpaceError as `forward` does.
        """
        self.space.validate(architecture)
        branch = Branch(architecture, self.feature_shape, self.values, dropout=self.shared.dropout.p)
        branch = branch.to(next(self.parameters()).device)
        for prefix, part in self.shared.parts(architecture).items():
            for name, slot in part.slots.items():
                branch.get_parameter(f"{prefix}.{name}").copy_(slot.make())
        if branch.plan.shortcut and self.shared.shortcut_norm is not None:
            branch.head.shortcut_norm = copy.deepcopy(self.shared.shortcut_norm)
        return branch
