"""The architectures of a space that stay within limits: drawn uniformly, or from a policy.

Draws outside the limits are rejected and drawn again, so that what is left follows the uniform distribution or the
policy, cut off at the limits. REINFORCE sees nothing of the cut: it raises the log-probability of good architectures
under the whole policy. Compared with the gradient of the truncated policy, that leaves out the term that would hold the
share of allowed draws where it is; rewarded architectures are all allowed, so the share grows by itself.

Where hardly anything is allowed, a rejected draw is repaired: its decisions are answered, one after the other in
random order, as a known allowed architecture answers them, until the draw is allowed too. So every draw ends.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from branches.branch import FeatureShape
from branches.costs.architecture import branch_costs
from foundation.provenance import seed_of
from nas.errors import SearchError
from nas.limits.latency import FIT_ON, TEST_ON, latency_model
from nas.limits.limits import SETTINGS, Cost, Limits, written
from search_spaces.architecture import Architecture
from search_spaces.decisions import Space

TRIES = 100  # draws per wanted architecture before one is repaired
AT_ONCE = 512  # policy draws in one batch


class Allowed:
    """The architectures of `space` whose `cost` is within `limits`; seeded, it holds one of them from the start.

    Raises SearchError, naming the least that was found, when there is none.
    """

    def __init__(self, space: Space, limits: Limits, cost: Callable[[Architecture], Cost], *, seed: int) -> None:
        self.space, self.limits, self.cost = space, limits, cost
        rng = np.random.default_rng(seed)
        starts = [space.indices(space.random(rng)) for _ in range(TRIES)]
        self.known = self._smaller(min(starts, key=self._excess))
        if self._excess(self.known)[0] > 1:
            raise SearchError(self._refusal())

    def __call__(self, architecture: Architecture) -> bool:
        """Whether the architecture is within the limits."""
        return not self.limits.broken(self.cost(architecture))

    def uniform(self, rng: np.random.Generator) -> Architecture:
        """An allowed architecture, as likely as any other one (but for repairs)."""
        for _ in range(TRIES):
            architecture = self.space.random(rng)
            if self(architecture):
                return architecture
        return self.space.architecture(
            self.repaired(self.space.indices(architecture), rng.permutation(self._count).tolist())
        )

    def policy(self, draw: Callable[[int], Tensor], count: int, generator: torch.Generator) -> Tensor:
        """`count` allowed draws (count, D) of a policy that draws n of them with `draw(n)`, in the order they came.

        `generator` orders the repairs, and is not used without one.
        """
        kept: list[list[int]] = []
        rejected: list[list[int]] = []
        while len(kept) < count and len(rejected) < TRIES * count:
            drawn = len(kept) + len(rejected)
            wanted = (count - len(kept)) * (1.0 if not drawn else drawn / max(len(kept), 1))
            for row in draw(max(1, min(AT_ONCE, round(wanted)))).tolist():
                (kept if self(self.space.architecture(row)) else rejected).append(row)
        if len(kept) < count:
            kept += self.repair(torch.tensor(rejected[: count - len(kept)]), generator).tolist()
        return torch.tensor(kept[:count], dtype=torch.int64)

    def repair(self, choices: Tensor, generator: torch.Generator) -> Tensor:
        """`choices` (n, D), those outside the limits repaired."""
        orders = [torch.randperm(self._count, generator=generator).tolist() for _ in choices]
        return torch.tensor([self.repaired(row, order) for row, order in zip(choices.tolist(), orders, strict=True)])

    def repaired(self, indices: Sequence[int], order: Sequence[int]) -> list[int]:
        """`indices` changed, in this `order` of decisions, toward the known allowed architecture until allowed."""
        changed = list(indices)
        for column in order:
            if self(self.space.architecture(changed)):
                break
            changed[column] = self.known[column]
        return changed

    @property
    def _count(self) -> int:
        return len(self.space.decisions)

    def _excess(self, indices: Sequence[int]) -> tuple[float, float]:
        """How far from the limits: the worst share of a limit, then the sum of them."""
        ratios = self.limits.ratios(self.cost(self.space.architecture(indices))).values()
        return max(ratios), sum(ratios)

    def _smaller(self, indices: tuple[int, ...]) -> tuple[int, ...]:
        """Change one decision at a time for the better, until within the limits or nothing helps."""
        least = self._excess(indices)
        before = None
        while least[0] > 1 and before != least:
            before = least
            for column, decision in enumerate(self.space.decisions):
                for choice in range(len(decision.choices)):
                    other = (*indices[:column], choice, *indices[column + 1 :])
                    excess = self._excess(other)
                    if excess < least:
                        indices, least = other, excess
        return indices

    def _refusal(self) -> str:
        cost = self.cost(self.space.architecture(self.known))
        least = " and ".join(written(name, getattr(cost, name)) for name in self.limits.set)
        broken = self.limits.broken(cost)
        options = " and ".join(
            f"--{SETTINGS[name].replace('_', '-')} (search.{SETTINGS[name]} in graftnet.toml)" for name in broken
        )
        return (
            f"No architecture of this {self.space.name} space has {self.limits.text}; the smallest found has {least}: "
            f"raise {options}, or allow smaller widths."
        )


def within(
    limits: Limits,
    space: Space,
    shape: FeatureShape,
    values: int,
    *,
    folder: Path,
    seed: int,
    device: torch.device,
    batch: int,
) -> Allowed | None:
    """What a search in `folder` may draw; None without limits.

    A latency limit asks a model, which is measured once and kept in ``latency_model.json``: on architectures that keep
    the other limits, so that it is best where it is used.
    """

    def counted(architecture: Architecture) -> Cost:
        return Cost(*branch_costs(architecture, shape, values))

    if not limits:
        return None
    others = replace(limits, latency_ms=0)
    allowed = Allowed(space, others, counted, seed=seed_of(seed, "limits")) if others else None
    if not limits.latency_ms:
        return allowed
    rng = np.random.default_rng(seed_of(seed, "latency model"))
    drawn = [allowed.uniform(rng) if allowed else space.random(rng) for _ in range(FIT_ON + TEST_ON)]
    model = latency_model(folder / "latency_model.json", drawn, shape, values, device=device, batch=batch)

    def timed(architecture: Architecture) -> Cost:
        return counted(architecture)._replace(latency_ms=model.predict(architecture, shape, values))

    return Allowed(space, limits, timed, seed=seed_of(seed, "limits"))
