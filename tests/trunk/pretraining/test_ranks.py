"""Two gloo processes that train one trunk: equal to each other bit for bit, and to one process but for rounding."""

import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from timm.layers.norm_act import BatchNormAct2d
from torch import Tensor, distributed, nn
from torch.multiprocessing.spawn import spawn

from subdatasets.subdataset import SubDataset
from tests.trunk.conftest import SIZE
from trunk.errors import TrunkError
from trunk.preprocessing import Preprocessing
from trunk.pretraining.batches import Batch
from trunk.pretraining.loop import Pretraining
from trunk.pretraining.norms import JointBatchNorm2d, join_norms, part_norms
from trunk.pretraining.ranks import Ranks
from trunk.pretraining.settings import PretrainSettings

PAPER = PretrainSettings(
    attributes_per_step=1,
    shared_labels=False,
    steps=6,
    batch_size=9,
    warmup_steps=2,
    validate_every=6,
    checkpoint_every=4,
    precision="float32",
    jitter=0.2,
)
# Unequal shares of a batch (5 and 4 of 9 images), some without an image of every attribute's label.
RECIPES = {
    "paper": PAPER,
    "together": replace(PAPER, attributes_per_step=2, shared_labels=True, losses="mean", reestimate_images=20),
    "apart": replace(PAPER, attributes_per_step=2, batch_statistics="attribute"),
}
COUNT = 2


class StoppedError(Exception):
    pass


def stop_after_5(training: Pretraining) -> None:
    """Let a training end in an exception in its sixth step; its checkpoint is of the fourth."""
    step = training.train_step

    def stopping(pixels: Tensor, batch: Batch) -> Tensor:
        if training.step == 5:
            raise StoppedError
        return step(pixels, batch)

    training.train_step = stopping  # type: ignore[method-assign]


@contextmanager
def in_float64() -> Iterator[None]:
    """Adam turns the rounding of a gradient near zero into whole steps: what is to be equal is computed in float64."""
    torch.set_default_dtype(torch.float64)
    try:
        yield
    finally:
        torch.set_default_dtype(torch.float32)


def start(subdatasets: list[SubDataset], folder: Path, recipe: str, ranks: Ranks) -> Pretraining:
    return Pretraining(subdatasets, "small_cnn", Preprocessing(SIZE), RECIPES[recipe], folder=folder, ranks=ranks)


def trained(subdatasets: list[SubDataset], folder: Path, recipe: str, ranks: Ranks) -> dict[str, Tensor]:
    training = start(subdatasets, folder, recipe, ranks)
    training.resume()
    training.run()
    return {name: value.detach().contiguous() for name, value in training.graph.state_dict().items()}


def norm_of(x: Tensor, norm: nn.Module, target: Tensor) -> dict[str, Tensor]:
    """Output, gradients and statistics of two batches through a normalisation."""
    x = x.clone().requires_grad_()
    first = norm(x)
    ((first - target) ** 2).sum().backward()
    norm(x.detach() * 2 + 1)
    weight, bias = (norm.get_parameter(name).grad for name in ("weight", "bias"))
    assert x.grad is not None
    assert weight is not None
    assert bias is not None
    buffers = dict(norm.named_buffers())
    return {"first": first.detach(), "x": x.grad, "weight": weight, "bias": bias, **buffers}


def batches() -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(1)
    return torch.randn(5, 3, 2, 4, generator=generator) * 3 + 7, torch.randn(5, 3, 2, 4, generator=generator)


def fresh_norm() -> nn.Sequential:
    layers = nn.Sequential(nn.BatchNorm2d(3, eps=1e-3), BatchNormAct2d(3, act_layer=nn.LeakyReLU))
    generator = torch.Generator().manual_seed(2)
    for layer in layers:
        assert isinstance(layer, nn.BatchNorm2d)
        nn.init.normal_(layer.weight, generator=generator)
        nn.init.normal_(layer.bias, generator=generator)
    return layers


def in_each_process(rank: int, folder: Path, subdatasets: list[SubDataset]) -> None:
    torch.set_num_threads(1)
    distributed.init_process_group("gloo", init_method=f"file://{folder}/meet", rank=rank, world_size=COUNT)
    ranks = Ranks(rank, COUNT)
    with in_float64():
        for recipe in RECIPES:
            save_file(trained(subdatasets, folder / recipe, recipe, ranks), folder / f"{recipe}-{rank}.safetensors")
    save_file(trained(subdatasets, folder / "whole", "paper", ranks), folder / f"whole-{rank}.safetensors")
    stopped = start(subdatasets, folder / "stopped", "paper", ranks)
    stop_after_5(stopped)
    try:
        stopped.run()
    except StoppedError:
        save_file(trained(subdatasets, folder / "stopped", "paper", ranks), folder / f"stopped-{rank}.safetensors")
    x, target = batches()
    share = slice(0, 0) if rank else slice(None)  # the second rank holds no image at all
    for name, part in (("shares", slice(rank, None, COUNT)), ("empty", share)):
        for place, layer in enumerate(fresh_norm()):
            found = norm_of(x[part], joined(layer, ranks), target[part])
            save_file(found, folder / f"norm-{name}-{place}-{rank}.safetensors")
    odd = nn.Linear(2, 2)
    if rank:
        nn.init.zeros_(odd.bias)
    try:
        ranks.check_equal(odd, "after step 3")
    except TrunkError as error:
        (folder / f"odd-{rank}.txt").write_text(str(error))
    distributed.destroy_process_group()


def joined(layer: nn.Module, ranks: Ranks) -> JointBatchNorm2d:
    assert isinstance(layer, nn.BatchNorm2d)
    return JointBatchNorm2d(layer, ranks)


@pytest.fixture(scope="module")
def outcome(subdatasets: list[SubDataset], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What both processes wrote."""
    folder = tmp_path_factory.mktemp("ranks")
    spawn(in_each_process, args=(folder, subdatasets), nprocs=COUNT)
    return folder


def same_bits(a: Mapping[str, Tensor], b: Mapping[str, Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


@pytest.mark.parametrize("recipe", RECIPES)
def test_ranks_end_with_equal_weights_that_one_process_would_have(
    recipe: str, outcome: Path, subdatasets: list[SubDataset], tmp_path: Path
) -> None:
    first, second = (load_file(outcome / f"{recipe}-{rank}.safetensors") for rank in range(COUNT))
    assert same_bits(first, second)
    with in_float64():
        alone = trained(subdatasets, tmp_path, recipe, Ranks())
        begun = start(subdatasets, tmp_path / "new", recipe, Ranks()).graph.state_dict()
    assert alone.keys() == first.keys()
    for name, value in alone.items():
        torch.testing.assert_close(first[name], value, rtol=0, atol=1e-7)
    moved = [float((alone[name] - begun[name]).abs().max()) for name in alone if name.endswith("weight")]
    assert min(moved) > 1e-4  # every layer by far more than the tolerance
    histories = [(folder / "history.jsonl").read_text().splitlines() for folder in (outcome / recipe, tmp_path)]
    assert len(histories[0]) == len(histories[1]) > 0


def test_stopped_ranks_continue_to_the_same_bits(outcome: Path) -> None:
    for rank in range(COUNT):
        stopped = load_file(outcome / f"stopped-{rank}.safetensors")
        assert same_bits(stopped, load_file(outcome / f"whole-{rank}.safetensors"))


@pytest.mark.parametrize("name", ["shares", "empty"])
@pytest.mark.parametrize("place", [0, 1])
def test_joint_norm_is_batch_norm_of_the_joint_batch(name: str, place: int, outcome: Path) -> None:
    x, target = batches()
    expected = norm_of(x, fresh_norm()[place], target)
    found = [load_file(outcome / f"norm-{name}-{place}-{rank}.safetensors") for rank in range(COUNT)]
    for key in ("running_mean", "running_var", "num_batches_tracked"):
        assert torch.equal(found[0][key], found[1][key])
        torch.testing.assert_close(found[0][key], expected[key])
    for key in ("weight", "bias"):
        torch.testing.assert_close(found[0][key] + found[1][key], expected[key], rtol=1e-4, atol=1e-4)
    for key in ("first", "x"):
        together = torch.empty_like(expected[key])
        if name == "shares":
            together[0::COUNT], together[1::COUNT] = found[0][key], found[1][key]
        else:
            together = torch.cat([found[0][key], found[1][key]])
        torch.testing.assert_close(together, expected[key], rtol=1e-4, atol=1e-4)


def test_ranks_that_differ_are_told_so(outcome: Path) -> None:
    for rank, other in ((0, 1), (1, 0)):
        text = (outcome / f"odd-{rank}.txt").read_text()
        assert f"different weights after step 3 (rank {rank} and rank {other})" in text


def test_norms_are_joined_and_parted_without_a_trace() -> None:
    layers = nn.Sequential(nn.Conv2d(3, 3, 1), fresh_norm())
    names, before = list(layers.state_dict()), [type(part) for part in layers.modules()]
    join_norms(layers, Ranks())
    assert sum(isinstance(part, JointBatchNorm2d) for part in layers.modules()) == 2
    assert list(layers.state_dict()) == names
    layers(torch.randn(4, 3, 2, 2))
    learnt = {name: value.clone() for name, value in layers.state_dict().items()}
    part_norms(layers)
    assert [type(part) for part in layers.modules()] == before
    assert same_bits(layers.state_dict(), learnt)
    assert int(learnt["1.0.num_batches_tracked"]) == 1


def test_joint_norm_keeps_the_number_format() -> None:
    x = torch.randn(4, 3, 2, 2).bfloat16().requires_grad_()
    with torch.autocast("cpu", torch.bfloat16):
        found = JointBatchNorm2d(nn.BatchNorm2d(3), Ranks())(x)
        expected = nn.BatchNorm2d(3)(x)
    assert found.dtype == expected.dtype == torch.bfloat16
    torch.testing.assert_close(found, expected, rtol=2e-2, atol=1e-2)
    found.square().sum().backward()
    assert x.grad is not None
    assert x.grad.dtype == torch.bfloat16


def test_what_cannot_be_joined_is_named() -> None:
    with pytest.raises(TrunkError, match="layer 0 is a SyncBatchNorm, which several ranks cannot share"):
        join_norms(nn.Sequential(nn.SyncBatchNorm(3)), Ranks(0, 2))
    with pytest.raises(TrunkError, match="layer 0 normalises without weights"):
        join_norms(nn.Sequential(nn.BatchNorm2d(3, affine=False)), Ranks(0, 2))


def test_a_batch_too_small_for_the_ranks_is_refused(subdatasets: list[SubDataset]) -> None:
    with tempfile.TemporaryDirectory() as folder, pytest.raises(TrunkError, match="for each of the 5 ranks, is 9"):
        start(subdatasets, Path(folder), "together", Ranks(0, 5))
