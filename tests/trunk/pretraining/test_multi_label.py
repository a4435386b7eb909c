from pathlib import Path

import numpy as np
import pytest
import torch

from subdatasets.attribute import Attribute
from subdatasets.subdataset import SubDataset
from tests.trunk.conftest import SIZE
from trunk.backbones.find import find_backbone
from trunk.preprocessing import Preprocessing
from trunk.pretraining.dynamic_graph import DynamicGraph, pool_images
from trunk.pretraining.multi_label import ImagePlan, MultiLabelPretraining, class_labels, class_logits
from trunk.pretraining.settings import PretrainSettings


def test_values_become_classes() -> None:
    labels = torch.tensor([[1, 2], [0, 0], [-1, 1], [1, -1]])
    assert class_labels(labels, [2, 3]).tolist() == [[1, 0, 0, 1], [0, 1, 0, 0], [-1, 0, 1, 0], [1, -1, -1, -1]]


def test_a_yes_no_attribute_keeps_the_probability_of_its_softmax() -> None:
    graph = DynamicGraph(find_backbone("small_cnn").build(), 6, [2, 3], generator=torch.Generator().manual_seed(0))
    pooled = torch.rand(4, 6, generator=torch.Generator().manual_seed(1))
    logits = class_logits(graph, pooled, [2, 3])
    assert logits.shape == (4, 4)
    torch.testing.assert_close(logits[:, 0].sigmoid(), graph.classify(pooled, 0).softmax(dim=1)[:, 1])
    torch.testing.assert_close(logits[:, 1:], graph.classify(pooled, 1))


def test_an_epoch_shows_every_training_image_once_with_all_its_labels(subdatasets: list[SubDataset]) -> None:
    images = pool_images(subdatasets)
    plan = ImagePlan(images, batch_size=8, seed=0)
    assert plan.steps_per_epoch == 5
    first, second = ([plan.batch(step) for step in range(start, start + 5)] for start in (0, 5))
    for epoch in (first, second):
        assert sorted(np.concatenate([batch.rows for batch in epoch]).tolist()) == list(range(40))
    assert first[0].rows.tolist() != second[0].rows.tolist()
    assert np.array_equal(first[3].rows, ImagePlan(images, batch_size=8, seed=0).batch(3).rows)
    assert not np.array_equal(first[3].rows, ImagePlan(images, batch_size=8, seed=1).batch(3).rows)
    for batch in first:
        assert np.array_equal(batch.labels, images.labels[batch.rows])
        assert (batch.labels >= 0).all()


def test_images_outside_of_a_sub_dataset_are_unknown_to_it(
    pictures: list[tuple[Path, int, int]], subdatasets: list[SubDataset]
) -> None:
    right = subdatasets[0]
    few = SubDataset(Attribute("dark", ("no", "yes")), subdatasets[1].examples[:10], right.source)
    images = pool_images([right, few])
    batch = ImagePlan(images, batch_size=40, seed=0).batch(0)
    assert len(batch.rows) == 40
    unknown = [images.paths[row] for row in batch.rows[batch.labels[:, 1] == -1]]
    assert set(unknown) == {path for path, _, _ in pictures[10:40]}


def test_fewer_images_than_a_batch_are_one_batch(subdatasets: list[SubDataset]) -> None:
    plan = ImagePlan(pool_images(subdatasets), batch_size=64, seed=0)
    assert plan.steps_per_epoch == 1
    assert len(plan.batch(3).rows) == 40


@pytest.fixture
def trained(subdatasets: list[SubDataset], tmp_path: Path) -> MultiLabelPretraining:
    settings = PretrainSettings(steps=60, batch_size=8, warmup_steps=4, precision="float32", flip=False)
    training = MultiLabelPretraining(subdatasets, "small_cnn", Preprocessing(SIZE), settings, folder=tmp_path)
    training.run()
    return training


def test_it_learns_and_scores_files(trained: MultiLabelPretraining, pictures: list[tuple[Path, int, int]]) -> None:
    assert min(trained.auroc.values()) > 0.95
    held_out = pictures[40:]
    scores = trained.scores([path for path, _, _ in held_out])
    assert scores.shape == (20, 2)
    labels = np.array([(right, dark) for _, right, dark in held_out])
    assert ((scores > 0.5) == labels).mean() > 0.9


def test_scoring_leaves_the_trunk_as_it_is(
    trained: MultiLabelPretraining, pictures: list[tuple[Path, int, int]]
) -> None:
    trunk = trained.run()
    paths = [path for path, _, _ in pictures]
    before = {name: value.clone() for name, value in trunk.state_dict().items()}
    together, one_by_one = trained.scores(paths), trained.scores(paths, batch_size=1)
    np.testing.assert_allclose(together, one_by_one, atol=1e-5)
    assert all(torch.equal(value, before[name]) for name, value in trunk.state_dict().items())
    assert not any(module.training for module in trunk.chain.modules())


def test_an_attribute_that_is_unknown_for_an_image_does_not_touch_its_loss(
    subdatasets: list[SubDataset], tmp_path: Path
) -> None:
    few = SubDataset(subdatasets[1].attribute, subdatasets[1].examples[:10], tmp_path)
    settings = PretrainSettings(batch_size=16, precision="float32")
    training = MultiLabelPretraining([subdatasets[0], few], "small_cnn", Preprocessing(SIZE), settings, folder=tmp_path)
    pixels, batch = training.load_batch(0)
    unknown = np.flatnonzero(batch.labels[:, 1] == -1)
    assert 0 < len(unknown) < len(batch.rows)
    images = training.preprocessing.normalise(torch.from_numpy(pixels))
    probability = class_logits(training.graph, training.graph(images), [2, 2]).sigmoid()
    known = batch.labels >= 0
    chosen = torch.where(torch.from_numpy(batch.labels == 1), probability, 1 - probability)[torch.from_numpy(known)]
    torch.testing.assert_close(training.loss(images, batch), -chosen.log().mean())
