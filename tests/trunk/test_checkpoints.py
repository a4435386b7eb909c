from pathlib import Path

import pytest
import torch
from torch import nn

from trunk.checkpoints import load_checkpoint, optimizer_tensors, restore_optimizer, save_checkpoint
from trunk.errors import TrunkError


def test_round_trip_keeps_bits_and_record(tmp_path: Path) -> None:
    shared = torch.randn(4, 4)
    tensors = {"a": shared, "b": shared.t(), "c": torch.tensor(3, dtype=torch.int64), "d": torch.randn(2).bfloat16()}
    save_checkpoint(tmp_path / "x.safetensors", tensors, {"step": 7, "name": "é"})
    found, record = load_checkpoint(tmp_path / "x.safetensors")
    assert record == {"step": 7, "name": "é"}
    assert found.keys() == tensors.keys()
    assert all(torch.equal(found[name], tensors[name]) and found[name].dtype == tensors[name].dtype for name in tensors)


def test_a_torn_checkpoint_is_named(tmp_path: Path) -> None:
    path = tmp_path / "x.safetensors"
    save_checkpoint(path, {"a": torch.zeros(100)}, {})
    path.write_bytes(path.read_bytes()[:50])
    with pytest.raises(TrunkError, match="not a readable checkpoint"):
        load_checkpoint(path)


@pytest.mark.parametrize("kind", [torch.optim.AdamW, torch.optim.SGD])
def test_optimizer_state_continues_exactly(kind: type[torch.optim.Optimizer], tmp_path: Path) -> None:
    def train(module: nn.Module, optimizer: torch.optim.Optimizer, steps: range) -> None:
        for step in steps:
            x = torch.randn(8, 3, generator=torch.Generator().manual_seed(step))
            optimizer.zero_grad()
            module(x).square().mean().backward()
            optimizer.step()

    options = {"lr": 0.1, **({"momentum": 0.9} if kind is torch.optim.SGD else {})}
    whole = nn.Linear(3, 2)
    start = {name: value.clone() for name, value in whole.state_dict().items()}
    train(whole, kind(whole.parameters(), **options), range(6))  # type: ignore[arg-type]

    halves = nn.Linear(3, 2)
    halves.load_state_dict(start)
    first = kind(halves.parameters(), **options)  # type: ignore[arg-type]
    train(halves, first, range(3))
    save_checkpoint(tmp_path / "c", {**halves.state_dict(), **optimizer_tensors(first)}, {})
    tensors, _ = load_checkpoint(tmp_path / "c")
    resumed = nn.Linear(3, 2)
    resumed.load_state_dict({name: tensors[name] for name in start})
    second = kind(resumed.parameters(), **options)  # type: ignore[arg-type]
    restore_optimizer(second, tensors)
    train(resumed, second, range(3, 6))
    assert torch.equal(resumed.weight, whole.weight)
    assert torch.equal(resumed.bias, whole.bias)


def test_optimizer_state_takes_the_parameters_memory_layout(tmp_path: Path) -> None:
    def convolution() -> nn.Conv2d:
        torch.manual_seed(0)
        return nn.Conv2d(3, 4, 3).to(memory_format=torch.channels_last)

    def step(module: nn.Conv2d, optimizer: torch.optim.Optimizer, number: int) -> None:
        optimizer.zero_grad()
        module(torch.randn(2, 3, 5, 5, generator=torch.Generator().manual_seed(number))).square().mean().backward()
        optimizer.step()

    whole = convolution()
    optimizer = torch.optim.AdamW(whole.parameters(), fused=True)
    step(whole, optimizer, 0)
    save_checkpoint(tmp_path / "c", {**whole.state_dict(), **optimizer_tensors(optimizer)}, {})
    step(whole, optimizer, 1)
    tensors, _ = load_checkpoint(tmp_path / "c")
    resumed = convolution()
    resumed.load_state_dict({name: tensors[name] for name in ("weight", "bias")})
    second = torch.optim.AdamW(resumed.parameters(), fused=True)
    restore_optimizer(second, tensors)
    step(resumed, second, 1)
    assert torch.equal(resumed.weight, whole.weight)
