"""What one trunk with all its branches costs, beside as many separate networks.

GraftNet: An Efficient and Flexible Multi-label Image Classification and Its Application (Jia et al.), section 1: one
trunk pass serves every attribute, where separate networks each compute their own.
"""

from collections.abc import Iterable
from typing import NamedTuple

from reports.fleet.entries import Costs, Entry, Fleet


class TreeCost(NamedTuple):
    """The sums over the attributes in `counted`, those with a branch on the trunk in use.

    trunk: down to the deepest block that any of them reads. separate: for each attribute the trunk to its own depth and
    the tail behind it. left_out: attributes with a result that is on another trunk, or whose costs are not known.
    """

    counted: tuple[Entry, ...]
    left_out: tuple[str, ...]
    trunk: Costs
    branches: Costs
    separate: Costs

    @property
    def tree(self) -> Costs:
        """Trunk and branches."""
        return added((self.trunk, self.branches))


def tree_cost(fleet: Fleet) -> TreeCost:
    """Count up the fleet; everything is None where the trunk's own costs are not in the record."""
    counted = tuple(one for one in fleet.entries if one.on_trunk and one.branch.parameters is not None)
    left_out = tuple(one.attribute for one in fleet.entries if one.measured and one not in counted)
    depths = [one.depth for one in counted if one.depth is not None]
    trunk = fleet.trunk_costs(max(depths, default=None))
    separate = added(added((fleet.trunk_costs(one.depth), one.tail)) for one in counted)
    return TreeCost(counted, left_out, trunk, added(one.branch for one in counted), separate)


def added(costs: Iterable[Costs]) -> Costs:
    """The sum, part by part; None as soon as one of them is not known, or where there is none."""
    parts = tuple(costs)
    return Costs(*map(_sum, zip(*parts, strict=True))) if parts else Costs(None, None, None)


def _sum(values: tuple[float | None, ...]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) if len(known) == len(values) else None


def saving(tree: float | None, separate: float | None) -> float | None:
    """The share that the tree saves; None where one of both is not known."""
    return 1 - tree / separate if tree is not None and separate else None
