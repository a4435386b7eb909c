from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from subdatasets.attribute import Attribute
from subdatasets.subdataset import Example, SubDataset
from trunk.backbones.find import find_backbone
from trunk.errors import TrunkError
from trunk.pretraining.batches import BatchPlan
from trunk.pretraining.dynamic_graph import DynamicGraph, pool_images


@pytest.fixture
def graph() -> DynamicGraph:
    torch.manual_seed(0)
    return DynamicGraph(find_backbone("small_cnn").build(), 192, [2, 3, 2], generator=torch.Generator().manual_seed(0))


def gradients(module: torch.nn.Module) -> list[bool]:
    return [weight.grad is not None and bool(weight.grad.abs().sum() > 0) for weight in module.parameters()]


def test_one_attribute_updates_its_layer_and_the_shared_ones_alone(graph: DynamicGraph) -> None:
    labels = torch.full((4, 3), -1)
    labels[:, 1] = torch.tensor([0, 1, 2, 1])
    graph.loss(torch.randn(4, 3, 16, 16), labels).backward()
    assert all(gradients(graph.chain))
    assert all(gradients(graph.heads[1]))
    assert all(weight.grad is None for head in (graph.heads[0], graph.heads[2]) for weight in head.parameters())


def test_loss_is_equation_1(graph: DynamicGraph) -> None:
    images = torch.randn(5, 3, 16, 16)
    labels = torch.tensor([[0, -1, 1], [1, 2, -1], [-1, 0, 0], [1, -1, -1], [-1, -1, 1]])
    graph.eval()
    pooled = graph(images)
    expected = torch.zeros(())
    for t in range(3):
        epsilon = (labels[:, t] >= 0).float()
        log_probability = F.log_softmax(graph.classify(pooled, t), dim=1)
        taken = log_probability[torch.arange(5), labels[:, t].clamp(min=0)]
        expected = expected - (epsilon * taken).sum() / epsilon.sum()
    torch.testing.assert_close(graph.loss(images, labels), expected)


def test_parts_of_a_batch_add_up_to_its_loss(graph: DynamicGraph) -> None:
    images = torch.randn(5, 3, 16, 16)
    labels = torch.tensor([[0, -1, 1], [1, -1, -1], [-1, -1, 0], [1, -1, -1], [-1, -1, 1]])
    graph.eval()  # so that batch norm does not tie the images together
    whole = graph.loss(images, labels)
    shares = [graph.loss(images[rank::3], labels[rank::3], known=[3, 0, 3]) for rank in range(3)]
    torch.testing.assert_close(torch.stack(shares).sum(), whole)
    torch.testing.assert_close(graph.loss(images, labels, mean=True), whole / 2)
    torch.testing.assert_close(graph.loss(images, labels, parts=(2, 0, 3)), whole)  # a rank may hold none of a part
    # A rank without an image of attribute 0 still gives that layer a gradient, of zeros.
    graph.loss(images[2::3], labels[2::3], known=[3, 0, 3]).backward()
    gradient, unused = (graph.heads[t].get_parameter("weight").grad for t in (0, 1))
    assert gradient is not None
    assert not gradient.any()
    assert unused is None


def test_parts_go_through_batch_norm_by_themselves(graph: DynamicGraph) -> None:
    images, labels = torch.randn(6, 3, 16, 16), torch.tensor([[0, -1, -1]] * 4 + [[-1, -1, 1]] * 2)
    graph.train()
    apart = graph.loss(images, labels, parts=(4, 2))
    by_hand = graph.loss(images[:4], labels[:4]) + graph.loss(images[4:], labels[4:])
    torch.testing.assert_close(apart, by_hand)
    assert abs(float((graph.loss(images, labels) - apart).detach())) > 1e-4


def make_subdatasets(tmp_path: Path) -> list[SubDataset]:
    """Two attributes; files named after their content; images 8-11 are in both, 10 and 11 held out by the second."""
    hashes = [tmp_path / f"{number}.png" for number in range(20)]
    first = [Example(hashes[n], int(n % 4 == 0), "train") for n in range(12)]
    second = [Example(hashes[n], n % 3, "val" if n in (10, 11) else "train") for n in range(8, 20)]
    return [
        SubDataset(Attribute("a", ("no", "yes")), tuple(first), tmp_path / "a.csv"),
        SubDataset(Attribute("b", ("x", "y", "z")), tuple(second), tmp_path / "b.csv"),
    ]


def test_pooled_images_know_the_labels_of_all_subdatasets(tmp_path: Path) -> None:
    subdatasets = make_subdatasets(tmp_path)
    hashes = {example.path: example.path.name for subdataset in subdatasets for example in subdataset.examples}
    images = pool_images(subdatasets, hashes=hashes)
    assert len(images.paths) == 20
    labels = {path.name: row.tolist() for path, row in zip(images.paths, images.labels, strict=True)}
    assert labels["0.png"] == [1, -1]
    assert labels["8.png"] == [1, 2]
    assert labels["19.png"] == [-1, 1]
    assert {images.paths[row].name for row in images.val_rows[1]} == {"10.png", "11.png"}
    trained = {images.paths[row].name for rows in images.train_rows[0] for row in rows}
    assert trained == {f"{number}.png" for number in range(10)}  # 10 and 11 are held out by the other attribute


def plan_of(tmp_path: Path, **options: object) -> BatchPlan:
    subdatasets = make_subdatasets(tmp_path)
    hashes = {example.path: example.path.name for subdataset in subdatasets for example in subdataset.examples}
    return BatchPlan(pool_images(subdatasets, hashes=hashes), **options)  # type: ignore[arg-type]


def test_batches_are_the_papers_by_default(tmp_path: Path) -> None:
    plan = plan_of(tmp_path, batch_size=12)
    seen = set()
    for step in range(40):
        batch = plan.batch(step)
        known = batch.labels >= 0
        assert known.sum(axis=1).tolist() == [1] * 12
        attribute = int(known.any(axis=0).argmax())
        seen.add(attribute)
        assert np.bincount(batch.labels[:, attribute]).tolist() == ([6, 6] if attribute == 0 else [4, 4, 4])
    assert seen == {0, 1}


def test_a_step_is_a_function_of_seed_and_number(tmp_path: Path) -> None:
    one, same, other = (plan_of(tmp_path, batch_size=8, seed=seed) for seed in (1, 1, 2))
    for step in (5, 3):
        assert np.array_equal(one.batch(step).rows, same.batch(step).rows)
        assert np.array_equal(one.batch(step).labels, same.batch(step).labels)
    assert any(not np.array_equal(one.batch(step).rows, other.batch(step).rows) for step in range(3))
    assert any(not np.array_equal(one.batch(step).rows, one.batch(step + 1).rows) for step in range(3))


def test_several_attributes_per_step_share_the_batch(tmp_path: Path) -> None:
    batch = plan_of(tmp_path, batch_size=9, attributes_per_step=2).batch(0)
    assert len(batch.rows) == 9
    assert sorted((batch.labels >= 0).sum(axis=0).tolist()) == [4, 5]


def test_a_step_takes_as_many_attributes_as_there_are_and_fit(tmp_path: Path) -> None:
    def drawn(batch_size: int) -> tuple[int, ...]:
        return plan_of(tmp_path, batch_size=batch_size, attributes_per_step=8).batch(0).sizes

    assert (drawn(12), drawn(4), drawn(3)) == ((6, 6), (2, 2), (3,))


def test_unbalanced_batches_follow_the_data(tmp_path: Path) -> None:
    plan = plan_of(tmp_path, batch_size=8, balanced=False)
    drawn = np.concatenate([plan.draw(0, 8, np.random.default_rng(step)) for step in range(200)])
    share = (plan.images.labels[drawn, 0] == 1).mean()
    assert 0.25 < share < 0.35  # 3 of 10


def test_shared_labels_use_what_other_subdatasets_know(tmp_path: Path) -> None:
    plan = plan_of(tmp_path, batch_size=12, shared_labels=True)
    both = 0
    for step in range(60):
        batch = plan.batch(step)
        for row, labels in zip(batch.rows, batch.labels, strict=True):
            name = plan.images.paths[row].name
            known = labels >= 0
            assert labels[known].tolist() == plan.images.labels[row][known].tolist()
            both += int(known.all())
            assert name not in ("10.png", "11.png")
    assert both > 0


def test_an_image_that_one_attribute_tests_trains_no_other(tmp_path: Path) -> None:
    first, second = make_subdatasets(tmp_path)
    tested = tuple(replace(example, split="test") if n < 3 else example for n, example in enumerate(second.examples))
    subdatasets = [first, replace(second, examples=tested)]
    hashes = {example.path: example.path.name for subdataset in subdatasets for example in subdataset.examples}
    images = pool_images(subdatasets, hashes=hashes)
    trained = {images.paths[row].name for rows in images.train_rows[0] for row in rows}
    assert trained == {f"{number}.png" for number in range(8)}


def test_mistakes_are_named(tmp_path: Path) -> None:
    with pytest.raises(TrunkError, match="attributes_per_step must be at least 1, is 0"):
        plan_of(tmp_path, batch_size=12, attributes_per_step=0)
    with pytest.raises(TrunkError, match="batch_size must be at least 2, is 1"):
        plan_of(tmp_path, batch_size=1)
    with pytest.raises(TrunkError, match="at least one sub-dataset"):
        pool_images([])
    only = SubDataset(Attribute("a", ("no", "yes")), (Example(tmp_path / "0", 0, "train"),), tmp_path / "a.csv")
    with pytest.raises(TrunkError, match="'a' has no training image of value 'yes' that no other"):
        pool_images([only], hashes={tmp_path / "0": "0"})


def test_attributes_are_drawn_by_the_size_of_their_subdatasets(tmp_path: Path) -> None:
    def share(**options: object) -> float:
        """Of the steps, those of the first attribute: 10 training images against the other's 10, or 40 against 10."""
        plan = plan_of(tmp_path, batch_size=4, **options)
        plan.images.train_rows[0] = [np.tile(rows, 4) for rows in plan.images.train_rows[0]]
        fresh = BatchPlan(plan.images, batch_size=4, **options)  # type: ignore[arg-type]
        return float(np.mean([(fresh.batch(step).labels[:, 0] >= 0).all() for step in range(2000)]))

    assert abs(share() - 1 / 2) < 0.04
    assert abs(share(sampling="sqrt") - 2 / 3) < 0.04
    assert abs(share(sampling="size") - 4 / 5) < 0.04


def test_a_batch_is_shared_out_without_loss_or_repetition(tmp_path: Path) -> None:
    batch = plan_of(tmp_path, batch_size=9, attributes_per_step=2, shared_labels=True).batch(3)
    parts = [batch.part(rank, 4) for rank in range(4)]
    together = np.empty_like(batch.rows)
    for rank, part in enumerate(parts):
        together[rank::4] = part.rows
        assert len(part.rows) == len(part.labels) == sum(part.sizes)
        assert np.array_equal(part.known, batch.known)
    assert np.array_equal(together, batch.rows)
    assert np.array_equal(np.sum([part.sizes for part in parts], axis=0), batch.sizes)
    assert batch.known.tolist() == (batch.labels >= 0).sum(axis=0).tolist()
