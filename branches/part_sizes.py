"""Where the weights of a branch sit: its trainable weights part by part, as a report writes them on its drawing."""

from torch import nn

from branches.branch import Branch
from branches.costs import parameters
from search_spaces.micro import MicroPlan


def part_parameters(module: nn.Module) -> dict[str, int]:
    """Trainable weights by part, in the order in which they compute; they add up to `branches.costs.parameters`.

    A branch has "stem", "node1" ... (or "cell1" ...) and "head"; anything else is taken apart by its children's names.
    """
    if not isinstance(module, Branch):
        found = {name: parameters(child) for name, child in module.named_children()}
        return {name: count for name, count in found.items() if count}
    if isinstance(module.plan, MicroPlan):
        names = [f"cell{cell.number}" for cell in module.plan.cells]
    else:
        names = [f"node{number}" for number in range(1, len(module.parts) + 1)]
    inner = {name: parameters(part) for name, part in zip(names, module.parts, strict=True)}
    return {"stem": parameters(module.stem), **inner, "head": parameters(module.head)}
