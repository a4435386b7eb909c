"""End to end on tiny pictures: two stages, resumed as if never stopped, on any backbone, exported as a constant."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from label_graph.end_to_end import EndToEnd, EndToEndSettings, Labelling, embed_images, image_batches, score_images
from label_graph.errors import LabelGraphError
from label_graph.settings import GraphSettings
from subdatasets.labels.table import LabelTable
from trunk.preprocessing import Preprocessing
from trunk.pretraining.settings import PretrainSettings

SIZE = 8
SETTINGS = EndToEndSettings(
    graph=GraphSettings(hidden=6, epochs=2, batch_size=16, learning_rate=3e-3, loss="bce", weight_decay=0.0),
    direct_epochs=3,
    decay_at=(2,),
    images=PretrainSettings(precision="float32", pad=0.0, flip=False),
)


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> LabelTable:
    """Pictures that are red, green, or both; bright where green; a fifth of the labels unknown."""
    torch.set_num_threads(1)
    folder, rng = tmp_path_factory.mktemp("pictures"), np.random.default_rng(0)
    states = (rng.random((48, 3)) < 0.5).astype(np.int8)
    states[:, 2] = states[:, 1]
    paths = []
    for number, (red, green, _) in enumerate(states.tolist()):
        pixels = rng.integers(0, 60, (SIZE, SIZE, 3)) + np.array([150 * red, 150 * green, 0])
        paths.append(folder / f"{number}.png")
        Image.fromarray(pixels.astype(np.uint8)).save(paths[-1])
    states[rng.random(states.shape) < 0.2] = -1
    return LabelTable(tuple(paths), ("red", "green", "bright"), states, ("train",) * 32 + ("val",) * 16)


def training(table: LabelTable, folder: Path, settings: EndToEndSettings = SETTINGS) -> EndToEnd:
    return EndToEnd(table, Preprocessing(SIZE), settings, folder=folder, backbone="small_cnn")


@pytest.fixture(scope="module")
def trained(table: LabelTable, tmp_path_factory: pytest.TempPathFactory) -> Labelling:
    return training(table, tmp_path_factory.mktemp("run")).run()


def test_both_stages_are_trained_and_the_best_epoch_kept(trained: Labelling):
    assert [len(trained.history[stage]) for stage in ("direct", "graph")] == [3, 2]
    assert trained.val_score == max(record["val_score"] for record in trained.history["graph"])
    assert trained.val_score > 0.8  # chance is a half
    assert trained.network.classifier.gcn is not None
    assert trained.direct is not None
    assert trained.direct.classifier.gcn is None
    assert trained.direct_score == max(record["val_score"] for record in trained.history["direct"])
    assert not trained.network.training


def test_a_stopped_training_continues_as_if_it_had_not_been(
    table: LabelTable, trained: Labelling, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("label_graph.training.SAVE_EVERY", 0.0)
    for stop_after in (2, 4):

        def stop(epoch: int, score: float, last: int = stop_after) -> None:
            if epoch == last:
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            training(table, tmp_path).run(stop)
    heard: list[int] = []
    again = training(table, tmp_path).run(lambda epoch, score: heard.append(epoch))
    assert heard == [5]
    assert again.history == trained.history
    ours, theirs = again.network.state_dict(), trained.network.state_dict()
    assert all(torch.equal(value, theirs[name]) for name, value in ours.items())
    with pytest.raises(LabelGraphError, match="other settings or data"):
        training(table.rows(range(40)), tmp_path).run()


def test_the_graph_may_begin_on_weights_that_are_given(table: LabelTable, trained: Labelling, tmp_path: Path):
    settings = SETTINGS._replace(direct_epochs=0, graph=replace(SETTINGS.graph, epochs=1, learning_rate=1e-9))
    run = EndToEnd(
        table,
        Preprocessing(SIZE),
        settings,
        folder=tmp_path,
        backbone="small_cnn",
        weights=trained.network.chain.state_dict(),
    )
    found = run.run()
    assert np.isnan(found.direct_score)
    assert found.direct is None
    for name, value in found.network.chain.named_parameters():
        torch.testing.assert_close(value, dict(trained.network.chain.named_parameters())[name], atol=1e-6, rtol=0)


def test_features_and_the_constant_give_the_networks_scores(table: LabelTable, trained: Labelling, tmp_path: Path):
    run = training(table, tmp_path)
    rows = run.rows["val"]
    scores = score_images(trained.network, image_batches(run.held, rows, run.device))
    pooled = embed_images(trained.network.chain, image_batches(run.held, rows, run.device, batch_size=5))
    constant = trained.network.classifier.constant()
    torch.testing.assert_close(constant(pooled.average).sigmoid().double(), scores, atol=1e-6, rtol=1e-5)


def test_a_table_without_val_is_refused(table: LabelTable, tmp_path: Path):
    with pytest.raises(LabelGraphError, match="the table has 32 and 0"):
        training(table.of_split("train"), tmp_path)


def test_the_classifiers_stay_in_float32_whatever_the_backbone_runs_in(trained: Labelling):
    images = torch.randn(4, 3, SIZE, SIZE, generator=torch.Generator().manual_seed(0))
    network = trained.network
    with torch.no_grad():
        with torch.autocast("cpu", torch.bfloat16):
            maps, logits = network.chain(images), network(images)
        assert maps.dtype == torch.bfloat16
        assert logits.dtype == torch.float32
        assert torch.equal(logits, network.classifier(maps.float()))
