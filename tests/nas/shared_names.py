"""Where the parameters of a branch live in a supernet, from the architecture alone."""

from torch import Tensor

from search_spaces import Architecture, micro_plan


def pieces(name: str, value: Tensor, architecture: Architecture) -> list[tuple[str, Tensor]]:
    """(name in the supernet, what it holds there in its first channels) of a parameter of the branch but the head's."""
    width = int(architecture["width"])
    normed = name.replace(".norm.", f".norm.{width}.")
    if name.startswith("nodes."):
        _, index, rest = normed.split(".", 2)
        return [(f"shared.nodes.{index}.{architecture[f'node{int(index) + 1}.operation']}.{rest}", value)]
    if name.startswith("cells."):
        _, index, rest = normed.split(".", 2)
        return cell_pieces(int(index), rest, value, architecture)
    return [(f"shared.{normed}", value)]


def cell_pieces(index: int, name: str, value: Tensor, architecture: Architecture) -> list[tuple[str, Tensor]]:
    cell = micro_plan(architecture).cells[index]
    prefix, width = f"shared.cells.{cell.number - 1}", int(architecture["width"])
    if name == "merge.convolution.weight":
        blocks = zip(cell.loose, value.split(width, 1), strict=True)
        return [(f"{prefix}.merge.{node - 2}.weight", block) for node, block in blocks]
    if name.startswith("merge.norm."):
        return [(f"{prefix}.{name.removeprefix('merge.')}", value)]
    if name.startswith("halve."):
        return [(f"{prefix}.{name}", value)]
    _, place, slot, rest = name.split(".", 3)
    operations = cell.nodes[int(place)].operations
    operation = operations[slot == "second"]
    use = int(slot == "second" and operations[0] == operations[1])
    return [(f"{prefix}.nodes.{place}.{operation}.{use}.{rest}", value)]
