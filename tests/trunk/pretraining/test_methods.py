from collections.abc import Mapping
from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest
import torch

from subdatasets.attribute import Attribute
from subdatasets.subdataset import Example, SubDataset
from tests.trunk.conftest import SIZE
from trunk.errors import TrunkError
from trunk.preprocessing import Preprocessing
from trunk.pretraining.dynamic_graph import DynamicGraph
from trunk.pretraining.indeed import draw_pairs
from trunk.pretraining.loop import Pretraining
from trunk.pretraining.methods import METHODS, IndeedPretraining, method_identity, method_of, training_of
from trunk.pretraining.multi_label import MultiLabelPretraining
from trunk.pretraining.settings import BLOCKS, NORMALISATIONS, IndeedSettings, PretrainSettings
from trunk.trunk import Trunk

SETTINGS = PretrainSettings(
    steps=10, batch_size=8, warmup_steps=2, validate_every=20, checkpoint_every=4, precision="float32", flip=False
)


def start(
    subdatasets: list[SubDataset],
    folder: Path,
    indeed: IndeedSettings | None = None,
    settings: PretrainSettings = SETTINGS,
) -> IndeedPretraining:
    return IndeedPretraining(
        subdatasets, "small_cnn", Preprocessing(SIZE), settings, folder=folder, seed=0, indeed=indeed
    )


@pytest.mark.parametrize("name", METHODS)
def test_a_method_is_named_takes_its_own_settings_and_trains(
    name: str, subdatasets: list[SubDataset], tmp_path: Path
) -> None:
    """An entry of METHODS is all that a method is, beside its name in the config and its keys there."""
    method = METHODS[name]
    own = {} if method.settings is None else {key: getattr(method.settings(), key) for key in method.keys}
    assert list(method.keys) == ([] if method.settings is None else [field.name for field in fields(method.settings)])
    identity = method_identity(name, {method.keys[key]: value for key, value in own.items()})
    assert method_of(identity) is method
    assert identity == ({} if name == "dynamic" else {"method": name} | ({name: own} if own else {}))
    settings = replace(SETTINGS, steps=2)
    training = training_of(identity)(subdatasets, "small_cnn", Preprocessing(SIZE), settings, folder=tmp_path, seed=0)
    assert type(training) is method.training
    assert isinstance(training.run(), Trunk)
    others = {other.source for key, other in METHODS.items() if key != name}
    assert method.source not in others


def test_it_learns_what_tells_the_pictures_apart(subdatasets: list[SubDataset], tmp_path: Path) -> None:
    training = start(subdatasets, tmp_path, settings=replace(SETTINGS, steps=60))
    training.run()
    assert min(training.auroc.values()) > 0.95


def test_the_trained_network_is_the_plain_one(subdatasets: list[SubDataset], tmp_path: Path) -> None:
    """The blocks have no weights, and scoring an image does not reach them: other settings would score alike."""
    settings = replace(SETTINGS, steps=2)
    plain = Pretraining(subdatasets, "small_cnn", Preprocessing(SIZE), settings, folder=tmp_path / "plain")
    training = start(subdatasets, tmp_path / "indeed", settings=settings)
    trunk = training.run()
    assert isinstance(trunk, Trunk)
    assert type(training.graph) is DynamicGraph
    assert list(training.graph.state_dict()) == list(plain.graph.state_dict())
    plain.graph.load_state_dict(training.graph.state_dict())
    images = torch.rand(3, 3, SIZE, SIZE, generator=torch.Generator().manual_seed(0))
    plain.graph.eval()
    torch.testing.assert_close(trunk(images, len(trunk.chain)).mean(dim=(2, 3)), plain.graph(images))
    paths = [example.path for example in subdatasets[0].examples[:4]]
    before = training.scores(paths)
    training.indeed = IndeedSettings("l2", 100.0, "identical")
    assert np.array_equal(training.scores(paths), before)


@pytest.mark.parametrize("normalisation", NORMALISATIONS)
@pytest.mark.parametrize("blocks", BLOCKS)
def test_normalisation_and_blocks_decide_what_is_learnt(
    subdatasets: list[SubDataset], tmp_path: Path, normalisation: str, blocks: str
) -> None:
    settings = replace(SETTINGS, steps=2)
    plain = MultiLabelPretraining(subdatasets, "small_cnn", Preprocessing(SIZE), settings, folder=tmp_path / "plain")
    indeed = start(subdatasets, tmp_path / "indeed", IndeedSettings(normalisation, 1.0, blocks), settings)
    assert indeed.run().fingerprint != plain.run().fingerprint


def test_every_block_reaches_the_first_layer(subdatasets: list[SubDataset], tmp_path: Path) -> None:
    training = start(subdatasets, tmp_path)
    pixels, batch = training.load_batch(0)
    pairs = draw_pairs(training.classes(batch).numpy(), np.random.default_rng((0, 0, 6)))
    assert (pairs[:, 0] != pairs[:, 1]).any()
    images = training.preprocessing.normalise(torch.from_numpy(pixels))
    first = next(training.graph.chain.parameters())
    gradients = []
    for weight, blocks in ((0.0, "both"), (1.0, "identical"), (1.0, "disparate"), (1.0, "both")):
        training.indeed = IndeedSettings("minmax", weight, blocks)
        gradients.append(torch.autograd.grad(training.loss(images, batch), first)[0])
    nothing, identical, disparate, both = gradients
    assert (identical - nothing).norm() > 1e-3 * nothing.norm()
    assert (disparate - nothing).norm() > 1e-3 * nothing.norm()
    torch.testing.assert_close(both, identical + disparate - nothing)  # eq. 6 is a sum


class KilledError(Exception):
    pass


def test_a_stopped_training_ends_like_an_uninterrupted_one(subdatasets: list[SubDataset], tmp_path: Path) -> None:
    settings = replace(SETTINGS, steps=26)
    whole = start(subdatasets, tmp_path / "whole", settings=settings).run()

    def stop(_stage: str, done: int, _total: int, _figures: Mapping[str, float]) -> None:
        if done == 6:
            raise KilledError

    with pytest.raises(KilledError):
        start(subdatasets, tmp_path / "halves", settings=replace(settings, validate_every=6)).run(progress=stop)
    stopped = start(subdatasets, tmp_path / "halves", settings=replace(settings, validate_every=6))
    assert stopped.resume()
    assert stopped.step == 4
    assert stopped.run().fingerprint == whole.fingerprint


@pytest.mark.parametrize(
    "other", [IndeedSettings("l2"), IndeedSettings(weight=0.5), IndeedSettings(blocks="identical")]
)
def test_a_checkpoint_of_other_blocks_is_refused(
    subdatasets: list[SubDataset], tmp_path: Path, other: IndeedSettings
) -> None:
    settings = replace(SETTINGS, steps=1)
    start(subdatasets, tmp_path, settings=settings).run()
    with pytest.raises(TrunkError, match="of a training with other indeed; restore"):
        start(subdatasets, tmp_path, other, settings).resume()
    plain = MultiLabelPretraining(subdatasets, "small_cnn", Preprocessing(SIZE), settings, folder=tmp_path)
    with pytest.raises(TrunkError, match="of a training with other method"):
        plain.resume()


def test_images_of_one_class_each_are_refused(pictures: list[tuple[Path, int, int]], tmp_path: Path) -> None:
    """One attribute against the rest, as of a data set of one label per image: no two such images share and differ."""
    rest = [
        SubDataset(
            Attribute(name, ("no", "yes")),
            tuple(Example(path, int(right == value), "train") for path, right, _ in pictures),
            tmp_path,
        )
        for value, name in enumerate(("left", "right"))
    ]
    with pytest.raises(TrunkError, match=r"no training image carries two .* set trunk.method to 'dynamic'"):
        start(rest, tmp_path)
