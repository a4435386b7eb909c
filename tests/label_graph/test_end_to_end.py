"""IML-GCN end to end on pictures whose labels are their colours."""

from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from label_graph import end_to_end
from label_graph.end_to_end import EndToEndSettings, train_end_to_end
from label_graph.errors import LabelGraphError
from label_graph.image_classifier import LabelledImages, predict_images
from label_graph.settings import GraphSettings
from trunk.backbones import BlockChain, build_small_cnn
from trunk.preprocessing import Preprocessing

LABELS = ("red", "green", "blue")
SIZE = Preprocessing(16)
GRAPH = GraphSettings(hidden=16, epochs=2, batch_size=16, learning_rate=3e-3)
SETTINGS = EndToEndSettings(GRAPH, first_epochs=2, precision="float32")


def images_of(count: int, seed: int) -> LabelledImages:
    rng = np.random.default_rng(seed)
    states = rng.integers(0, 2, (count, 3)).astype(np.int8)
    noise = rng.integers(0, 80, (count, 16, 16, 3))
    pixels = (noise + 150 * states.astype(np.int64)[:, None, None, :]).astype(np.uint8)

    def of(rows: NDArray[np.int64]) -> NDArray[np.uint8]:
        return pixels[rows]

    return LabelledImages(of, states)


@pytest.fixture
def chain() -> BlockChain:
    torch.manual_seed(0)
    whole = build_small_cnn()
    modules = [[(name, whole.get_submodule(name)) for name in block] for block in whole.block_modules[:2]]
    return BlockChain(modules)


def test_it_learns_and_leaves_the_backbone_given_as_it_was(chain: BlockChain) -> None:
    before = {name: value.clone() for name, value in chain.state_dict().items()}
    train, val = images_of(64, 0), images_of(32, 1)
    settings = EndToEndSettings(GRAPH._replace(epochs=6), first_epochs=3, backbone_rate=1.0, precision="float32")
    found = train_end_to_end(chain, SIZE, train, val, settings, labels=LABELS)
    assert found.val_score > 0.9
    assert len(found.history) == 6
    assert all(torch.equal(value, before[name]) for name, value in chain.state_dict().items())
    trained = found.module.chain.state_dict()
    assert not torch.equal(trained["block0.0.weight"], before["block0.0.weight"])


def test_the_graph_is_a_constant_matrix_at_work(chain: BlockChain) -> None:
    train, val = images_of(32, 0), images_of(8, 1)
    found = train_end_to_end(chain, SIZE, train, val, SETTINGS, labels=LABELS).module
    constant = found.constant()
    images = SIZE.normalise(torch.from_numpy(val.pixels(np.arange(8))))
    assert torch.allclose(constant(images), found(images), atol=1e-4)
    assert [tuple(one.shape) for one in constant.classifier.parameters()] == [(3, 48), (3,)]


def test_the_second_stage_starts_from_the_first_and_may_stand_alone(chain: BlockChain) -> None:
    train, val = images_of(32, 0), images_of(16, 1)
    frozen = EndToEndSettings(GRAPH._replace(epochs=1), first_epochs=1, backbone_rate=0.0, precision="float32")
    both = train_end_to_end(chain, SIZE, train, val, frozen, labels=LABELS)
    alone = train_end_to_end(
        chain, SIZE, train, val, EndToEndSettings(GRAPH, first_epochs=0, precision="float32"), labels=LABELS
    )
    assert np.isfinite(both.first_score)
    assert np.isnan(alone.first_score)
    assert not torch.equal(both.module.chain.block0[0].weight, chain.block0[0].weight)  # the first stage's doing


def test_the_same_seed_gives_the_same_network_stopped_or_not(
    chain: BlockChain, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    train, val = images_of(32, 0), images_of(16, 1)
    whole = train_end_to_end(chain, SIZE, train, val, SETTINGS, labels=LABELS)
    monkeypatch.setattr("label_graph.training_state.SAVE_EVERY", 0.0)
    epochs = iter(range(3))

    def stop_in_the_fourth(*_: object) -> float:
        next(epochs)
        return scored(*_)  # type: ignore[arg-type]

    scored = end_to_end.mean_average_precision
    with monkeypatch.context() as patched:
        patched.setattr(end_to_end, "mean_average_precision", stop_in_the_fourth)
        with pytest.raises(StopIteration):
            train_end_to_end(chain, SIZE, train, val, SETTINGS, labels=LABELS, folder=tmp_path)
    resumed = train_end_to_end(chain, SIZE, train, val, SETTINGS, labels=LABELS, folder=tmp_path)
    expected = predict_images(whole.module, SIZE, val)
    assert torch.allclose(predict_images(resumed.module, SIZE, val), expected, atol=1e-6)
    other = EndToEndSettings(GRAPH._replace(seed=1), first_epochs=2, precision="float32")
    another = train_end_to_end(chain, SIZE, train, val, other, labels=LABELS)
    assert not torch.allclose(predict_images(another.module, SIZE, val), expected, atol=1e-6)


def test_unknown_labels_change_nothing(chain: BlockChain) -> None:
    train, val = images_of(32, 0), images_of(16, 1)
    nothing = LabelledImages(train.pixels, np.full((32, 3), -1, dtype=np.int8))
    settings = EndToEndSettings(GRAPH._replace(graph="none", weight_decay=0.0, epochs=1), 0, 1.0, "float32")
    found = train_end_to_end(chain, SIZE, nothing, val, settings, labels=LABELS)
    assert torch.equal(found.module.chain.block0[0].weight, chain.block0[0].weight)


@pytest.mark.parametrize(
    ("train", "val", "settings", "sentence"),
    [
        (images_of(1, 0), images_of(8, 1), SETTINGS, "two training images or more"),
        (images_of(8, 0), LabelledImages(images_of(8, 1).pixels, np.zeros((8, 3), np.int8)), SETTINGS, "show a label"),
        (images_of(8, 0), images_of(8, 1), EndToEndSettings(GRAPH, first_epochs=-1), "at least 0, are -1"),
    ],
)
def test_what_cannot_be_trained_is_refused(
    chain: BlockChain, train: LabelledImages, val: LabelledImages, settings: EndToEndSettings, sentence: str
) -> None:
    with pytest.raises(LabelGraphError, match=sentence):
        train_end_to_end(chain, SIZE, train, val, settings, labels=LABELS)
