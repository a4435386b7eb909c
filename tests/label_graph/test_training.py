"""Training on pooled features: repeatable, resumable, deaf to unknown labels, stopped early, pruned by a tuner."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from label_graph.building import LabelledPool
from label_graph.classifier import PooledFeatures
from label_graph.cooccurrence import PairCounts, count_pairs
from label_graph.errors import LabelGraphError
from label_graph.settings import GraphSettings
from label_graph.training import CHECKPOINT, TrainedGraph, predict_probabilities, train_label_graph

LABELS = ("hat", "bag", "belt")
FEATURES = 8
QUICK = GraphSettings(hidden=6, epochs=6, batch_size=16, learning_rate=0.05, loss="bce")


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


def pool(count: int, seed: int, *, unknown: float = 0.0) -> LabelledPool:
    """A belt comes with a bag; what is unknown is hidden, not changed."""
    rng = np.random.default_rng(seed)
    hat, bag = rng.random(count) < 0.4, rng.random(count) < 0.5
    states = np.stack([hat, bag, bag & (rng.random(count) < 0.9)], axis=1).astype(np.int8)
    x = rng.normal(size=(count, FEATURES))
    x[:, :3] += 2 * states
    states[rng.random(states.shape) < unknown] = -1
    features = torch.from_numpy(x.astype(np.float32))
    return LabelledPool(PooledFeatures(features, features + 1), states)


def trained(settings: GraphSettings = QUICK, **more: Any) -> TrainedGraph:
    return train_label_graph(pool(60, 0), pool(40, 1), settings, labels=LABELS, **more)


def weights(found: TrainedGraph) -> list[torch.Tensor]:
    return [value for _, value in sorted(found.module.state_dict().items())]


def same(one: TrainedGraph, two: TrainedGraph) -> bool:
    return all(torch.equal(a, b) for a, b in zip(weights(one), weights(two), strict=True))


@pytest.mark.parametrize("graph", ["cooccurrence", "identity", "none"])
def test_every_kind_of_graph_learns(graph: str):
    found = trained(replace(QUICK, graph=graph, epochs=15))
    assert found.val_score > 0.85  # chance is some 0.45
    assert found.history[-1]["loss"] < 0.7 * found.history[0]["loss"]
    assert found.val_score == max(record["val_score"] for record in found.history)
    assert found.history[found.epoch - 1]["val_score"] == found.val_score


@pytest.mark.parametrize(("loss", "nodes"), [("asymmetric", "image"), ("focal", "identity"), ("weighted", "image_pca")])
def test_every_loss_and_kind_of_node_learns(loss: str, nodes: str):
    found = trained(replace(QUICK, loss=loss, nodes=nodes, epochs=15))
    assert found.val_score > 0.8


def test_word_nodes_come_from_a_file(tmp_path: Path):
    path = tmp_path / "words.npz"
    np.savez(path, words=LABELS, vectors=np.eye(3, 5))
    settings = replace(QUICK, nodes="words")
    assert trained(settings, words=path).module.nodes.shape == (3, 5)
    with pytest.raises(LabelGraphError, match=r"label_graph\.words"):
        trained(settings)


def test_the_same_seed_gives_the_same_classifiers_and_another_others():
    assert same(trained(), trained())
    assert not same(trained(), trained(replace(QUICK, seed=1)))


@pytest.mark.parametrize("stopped_after", [1, 4])
def test_a_stopped_training_continues_as_if_it_had_not_been(
    tmp_path: Path, stopped_after: int, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("label_graph.training.SAVE_EVERY", 0.0)

    def stop(epoch: int, score: float) -> None:
        if epoch == stopped_after:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        trained(folder=tmp_path, report=stop)
    assert (tmp_path / CHECKPOINT).exists()
    again: list[int] = []
    continued = trained(folder=tmp_path, report=lambda epoch, score: again.append(epoch))
    assert again == list(range(stopped_after + 1, 7))
    assert same(continued, trained())
    assert continued.history == trained().history


def test_a_checkpoint_of_other_settings_is_refused(tmp_path: Path):
    trained(folder=tmp_path)
    with pytest.raises(LabelGraphError, match="other settings"):
        trained(replace(QUICK, seed=2), folder=tmp_path)


def test_unknown_labels_teach_nothing():
    val = pool(40, 1)
    train = pool(60, 0, unknown=0.3)
    settings = replace(QUICK, graph="none")
    first = train_label_graph(train, val, settings, labels=LABELS)
    # an image without any label adds nothing to a loss; it only counts for the features' statistics
    alone = LabelledPool(train.features, np.where(np.arange(3) == 0, train.states, -1).astype(np.int8))
    only_hat = train_label_graph(alone, val, settings, labels=LABELS)
    untrained = train_label_graph(alone, val, replace(settings, weight_decay=0.0), labels=LABELS)
    assert not torch.equal(first.module.weight()[1:], only_hat.module.weight()[1:])
    from label_graph.building import build_classifier

    start = build_classifier(alone, settings, labels=LABELS).weight()
    assert torch.equal(untrained.module.weight()[1:], start[1:])
    assert not torch.equal(untrained.module.weight()[:1], start[:1])


def test_training_ends_when_val_has_not_gained_for_a_while():
    found = trained(replace(QUICK, epochs=60, patience=3))
    assert len(found.history) == found.epoch + 3 < 60


def test_a_tuner_hears_every_epoch_and_may_prune():
    class Pruned(Exception):
        pass

    heard: list[tuple[int, float]] = []

    def report(epoch: int, score: float) -> None:
        heard.append((epoch, score))
        if epoch == 3:
            raise Pruned

    with pytest.raises(Pruned):
        trained(report=report)
    expected = [(int(one["epoch"]), one["val_score"]) for one in trained().history[:3]]
    assert heard == expected


def test_estimated_counts_take_the_place_of_counted_ones():
    counts = count_pairs(pool(60, 0).states)
    assert same(trained(counts=counts), trained())
    nobody_meets = PairCounts(np.diag(counts.positives), counts.known, estimated=True)
    with pytest.warns(UserWarning, match="no edge"):
        apart = trained(counts=nobody_meets)
    assert same(apart, trained(replace(QUICK, graph="identity")))


def test_pooling_is_chosen_among_both():
    found = trained(replace(QUICK, pooling="max"))
    torch.testing.assert_close(found.module.mean, pool(60, 0).features.max.mean(dim=0))
    assert found.module.constant().pooling == "max"


def test_probabilities_lie_between_0_and_1():
    scores = predict_probabilities(trained().module, pool(40, 1).features.average)
    assert scores.shape == (40, 3)
    assert scores.dtype == torch.float64
    assert 0 < float(scores.min()) < float(scores.max()) < 1


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"graph": "ring"}, "label_graph.graph must be one of cooccurrence, identity, none"),
        ({"nodes": "noise"}, "label_graph.nodes must be one of"),
        ({"loss": "hinge"}, "label_graph.loss must be one of"),
        ({"pooling": "median"}, "label_graph.pooling must be one of"),
        ({"tau": 0.0}, "label_graph.tau must be above 0"),
        ({"p": 1.5}, "label_graph.p must lie between 0 and 1"),
        ({"layers": 0}, "label_graph.layers must be at least 1"),
        ({"components": -1}, "label_graph.components must be at least 0"),
        ({"learning_rate": 0.0}, "label_graph.learning_rate must be above 0"),
        ({"learning_rate": 1e30}, "diverged"),
    ],
)
def test_settings_that_cannot_be_used_are_refused(change: dict[str, Any], message: str):
    with pytest.raises(LabelGraphError, match=message):
        trained(replace(QUICK, **change))


def test_splits_that_cannot_be_used_are_refused():
    empty = LabelledPool(PooledFeatures(torch.empty(0, FEATURES), torch.empty(0, FEATURES)), np.empty((0, 3), np.int8))
    with pytest.raises(LabelGraphError, match="same training images, got 0 rows"):
        train_label_graph(empty, pool(40, 1), QUICK, labels=LABELS)
    with pytest.raises(LabelGraphError, match="val images that show some label"):
        train_label_graph(pool(60, 0), empty, QUICK, labels=LABELS)
