"""Checkpoints that a kill cannot tear: tensors and their JSON record in one safetensors file, replaced atomically."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from foundation.errors import RecordError, UserError
from foundation.files import replace_atomically
from foundation.records import check, parsed
from trunk.errors import TrunkError
from trunk.records import CheckpointShape


def save_checkpoint(path: Path, tensors: Mapping[str, Tensor], record: Mapping[str, Any]) -> None:
    """Write ``tensors`` and the JSON-able ``record`` to one safetensors file, atomically."""
    # safetensors refuses tensors that share memory; a checkpoint stores each by itself.
    plain = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in tensors.items()}
    metadata = {"record": json.dumps(record, allow_nan=False)}
    replace_atomically(path, lambda temporary: save_file(plain, temporary, metadata=metadata))


def load_checkpoint(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Read what :func:`save_checkpoint` wrote.

    Raises:
        TrunkError: the file is not a checkpoint of this kind.
    """
    try:
        with safe_open(path, framework="pt") as file:
            record = parsed((file.metadata() or {}).get("record", "{}"), path)
            check(record, CheckpointShape, path)
            return {name: file.get_tensor(name) for name in file.keys()}, record  # noqa: SIM118
    except (SafetensorError, RecordError, IsADirectoryError, ValueError) as error:
        what = str(error).removeprefix(f"{path} cannot be read (").split("); ")[0]
        raise TrunkError(f"{path} is not a readable checkpoint ({what}); delete it to start anew.") from error


@contextmanager
def restoring(path: Path) -> Iterator[None]:
    """Whatever fails in the block because a checkpoint lacks something, or has it in another shape, is its fault.

    Raises:
        TrunkError: naming the file, and what to do.
    """
    try:
        yield
    except (UserError, torch.OutOfMemoryError):
        raise
    except (LookupError, TypeError, AttributeError, ValueError, ArithmeticError, RuntimeError) as error:
        lacks = f"it lacks {error}" if isinstance(error, KeyError) else (str(error).splitlines() or ["?"])[0][:200]
        raise TrunkError(f"{path} does not fit ({lacks}); delete it to start anew.") from error


def under(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """The entries under ``prefix``, without it."""
    return {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}


def decay_groups(module: nn.Module, weight_decay: float) -> list[dict[str, Any]]:
    """Parameter groups whose weight decay spares biases and batch-norm parameters; frozen weights are in neither."""
    weights = [weight for weight in module.parameters() if weight.requires_grad]
    return [
        {"params": [weight for weight in weights if weight.ndim > 1], "weight_decay": weight_decay},
        {"params": [weight for weight in weights if weight.ndim <= 1], "weight_decay": 0.0},
    ]


def optimizer_tensors(optimizer: torch.optim.Optimizer, prefix: str = "optimizer.") -> dict[str, Tensor]:
    """Flatten an optimizer's per-parameter state to ``{prefix}{parameter index}.{state name}`` tensors.

    Learning rates are not stored: every loop here recomputes them from the step.
    """
    state = optimizer.state_dict()["state"]
    return {
        f"{prefix}{index}.{name}": torch.as_tensor(value)
        for index, values in state.items()
        for name, value in values.items()
        if value is not None
    }


def restore_optimizer(
    optimizer: torch.optim.Optimizer, tensors: Mapping[str, Tensor], prefix: str = "optimizer."
) -> None:
    """Put back the state that :func:`optimizer_tensors` took, into an optimizer over the same parameters.

    Each tensor gets the memory layout of its parameter: fused optimisers run over raw memory and would otherwise pair
    the wrong elements, silently.
    """
    weights = [weight for group in optimizer.param_groups for weight in group["params"]]
    state: dict[int, dict[str, Tensor]] = {}
    for key, tensor in under(tensors, prefix).items():
        index, name = key.split(".", 1)
        weight = weights[int(index)]
        if tensor.shape == weight.shape:
            tensor = torch.empty_like(weight, dtype=tensor.dtype).copy_(tensor)
        state.setdefault(int(index), {})[name] = tensor
    optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})
