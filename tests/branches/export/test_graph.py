"""Graphs that are written node by node: the scores of torch's exporter to the bit, or none at all."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from branches.branch import Branch
from branches.export.folder import Scores, run_onnx, write_graph, write_onnx
from branches.export.graph import written_graph
from branches.export.nodes import Unwritten
from branches.layers import ACTIVATIONS, OPERATIONS, ProjectedPool, SettledNorm, node
from branches.probe import LinearProbe
from search_spaces import macro_space, micro_space
from tests.deployment.bundles import settle, small_trunk

SHAPE = (24, 4, 4)


def drawn(count: int, *shape: int, seed: int = 0) -> Tensor:
    return torch.randn(count, *(shape or SHAPE), generator=torch.Generator().manual_seed(seed))


def macro() -> nn.Module:
    return Branch(macro_space(6, widths=(16,)).random(np.random.default_rng(3)), SHAPE, 2)


def micro() -> nn.Module:
    return Branch(micro_space(3, cells=3).random(np.random.default_rng(1)), SHAPE, 3)


def tail() -> nn.Module:
    trunk = small_trunk(0)
    channels = trunk.feature_shape(len(trunk.chain))[0]
    return trunk.tail(4, 2, pool=(ProjectedPool(channels, 6), 36), generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("make", [macro, micro, tail])
def test_scores_are_those_of_torchs_exporter_to_the_bit(make: Callable[[], nn.Module], tmp_path: Path) -> None:
    module = make()
    shape = small_trunk(0).feature_shape(4) if make is tail else SHAPE
    settle(module, drawn(8, *shape))
    for parameter in module.parameters():  # norms and biases that have been trained
        if parameter.dim() == 1:
            nn.init.uniform_(parameter, 0.5, 1.5, generator=torch.Generator().manual_seed(1))
    scores, features = Scores(module).eval(), drawn(8, *shape, seed=2).relu()
    write_graph(scores, features, tmp_path / "ours.onnx")
    write_onnx(scores, features, tmp_path / "theirs.onnx", input_name="features", output_names=["scores"])
    ours, theirs = (onnx.load(tmp_path / f"{name}.onnx") for name in ("ours", "theirs"))
    assert (ours.producer_name, ours.opset_import[0].version) == ("graftnet", theirs.opset_import[0].version)
    assert [each.op_type for each in ours.graph.node] == [each.op_type for each in theirs.graph.node]
    for batch in (features, features[:1], drawn(37, *shape)):
        found, expected = (run_onnx(tmp_path / f"{name}.onnx", batch)[0] for name in ("ours", "theirs"))
        assert torch.equal(found, expected)


def scores_of(module: nn.Module, features: Tensor, folder: Path) -> Tensor:
    """What the written graph gives."""
    onnx.save(written_graph(module, features, input_name="features", output_name="scores"), str(folder / "a.onnx"))
    return run_onnx(folder / "a.onnx", features)[0]


@pytest.mark.parametrize("operation", OPERATIONS)
def test_every_operation_is_written(operation: str, tmp_path: Path) -> None:
    for activation in ACTIVATIONS:
        module = node(operation, activation, 8)
        nn.init.normal_(module.get_parameter("norm.weight"), generator=torch.Generator().manual_seed(0))
        for part in module.modules():
            if isinstance(part, nn.Conv2d):
                nn.init.normal_(part.weight, generator=torch.Generator().manual_seed(0))
        features = drawn(3, 8, 5, 4)
        settle(module, features)
        with torch.no_grad():
            torch.testing.assert_close(scores_of(module, features, tmp_path), module(features), rtol=1e-4, atol=1e-5)


def test_a_probe_is_written(tmp_path: Path) -> None:
    module = Scores(LinearProbe(24, 3)).eval()
    with torch.no_grad():
        torch.testing.assert_close(scores_of(module, drawn(3), tmp_path), module(drawn(3)))


def test_some_channels_and_a_settled_norm_are_written(tmp_path: Path) -> None:
    functions: list[Callable[[Tensor], Tensor]] = [
        lambda maps: maps[:, :-5] * 2.0,
        lambda maps: maps[:, 3:7] * 2.0,
        lambda maps: maps[:, 20:99] * 2.0,
    ]
    for function in functions:
        assert torch.equal(scores_of(Does(function), drawn(2), tmp_path), function(drawn(2)))
    norm = nn.Sequential(SettledNorm(drawn(24, 1)[:, 0], drawn(24, 1)[:, 0].abs() + 1))
    torch.testing.assert_close(scores_of(norm, drawn(5, 24), tmp_path), norm(drawn(5, 24)))


class Block(nn.Module):
    """Convolution, norm and activation as timm writes them: asserted, and the norm a function of its weights."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm, self.act = nn.Conv2d(24, 12, 3, bias=True), nn.BatchNorm2d(12), nn.ReLU6()

    def forward(self, features: Tensor) -> Tensor:
        maps = self.conv(features)
        torch._assert(maps.ndim == 4, f"got {maps.ndim}")
        norm = self.norm
        maps = functional.batch_norm(
            maps, norm.running_mean, norm.running_var, norm.weight, norm.bias, False, 0.0, 0.01
        )
        normed: Tensor = self.act(maps * maps.shape[2])
        return normed


def test_a_norm_that_is_a_function_is_folded_too(tmp_path: Path) -> None:
    module = Block().eval()
    nn.init.uniform_(module.norm.get_buffer("running_mean"), generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        torch.testing.assert_close(scores_of(module, drawn(3), tmp_path), module(drawn(3)))
    kinds = [each.op_type for each in onnx.load(tmp_path / "a.onnx").graph.node]
    assert kinds == ["Conv", "Mul", "Clip"]


class Does(nn.Module):
    """A module that computes a function."""

    def __init__(self, function: Callable[[Tensor], object]) -> None:
        super().__init__()
        self.function = function

    def forward(self, features: Tensor) -> object:
        return self.function(features)


def overwritten(features: Tensor) -> Tensor:
    doubled = features * 2.0
    return functional.relu(doubled, inplace=True) + doubled


@pytest.mark.parametrize(
    "function",
    [
        lambda features: features.erf(),
        lambda features: features / features.shape[0],
        lambda features: features.mean((0, 1), keepdim=True),
        lambda features: features.flatten(0, 1),
        lambda features: features[1:],
        lambda features: features[:, ::2],
        lambda features: torch.cat([features, features], -1),
        lambda features: (features, features),
        lambda features: features if features.sum() > 0 else -features,
        lambda features: functional.max_pool2d(features, 2, return_indices=True)[0],
        overwritten,
    ],
)
def test_what_is_not_known_is_left_to_torch(function: Callable[[Tensor], object]) -> None:
    with pytest.raises(Unwritten):
        written_graph(Does(function), drawn(2), input_name="features", output_name="scores")


def test_the_same_of_the_same_is_written_once(tmp_path: Path) -> None:
    module = Does(lambda features: features.abs() + features.abs() * 1.0 + (features + 0.5) + (features + 0.5))
    model = written_graph(module, drawn(2), input_name="features", output_name="scores")
    assert [each.op_type for each in model.graph.node] == ["Abs", "Add", "Add", "Add", "Add"]
    assert len(model.graph.initializer) == 1
    torch.testing.assert_close(scores_of(module, drawn(2), tmp_path), 2 * drawn(2).abs() + 2 * drawn(2) + 1)


def test_a_module_that_gives_what_it_takes_is_written(tmp_path: Path) -> None:
    assert torch.equal(scores_of(nn.Sequential(nn.Identity()), drawn(2), tmp_path), drawn(2))
