"""graph train and tune say beforehand, as search does, that so few images can tell nothing."""

from pathlib import Path

import numpy as np
import pytest

import graftnet.label_graphs.run
import graftnet.studies.run
from graftnet.cli import run
from label_graph.gain import few_labels
from tests.graftnet.searches.test_run import make_project

SENTENCES = {
    ("graph", "train"): "labels have few images: ",
    ("tune", "gcn"): "labels have few images: ",
    ("tune", "depth", "bright"): "bright has few images: ",
}


def begun(*_: object, **__: object) -> None:
    raise KeyboardInterrupt


@pytest.mark.parametrize(("images", "said"), [(60, True), (240, False)])
def test_few_images_are_told_before_anything_is_trained(
    images: int, said: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    make_project(tmp_path, images)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(graftnet.label_graphs.run, "run_graph", begun)
    monkeypatch.setattr(graftnet.studies.run, "run_study", begun)
    for call, sentence in SENTENCES.items():
        assert run([*call, "--device", "cpu"]) == 130
        assert (sentence in capsys.readouterr().err) is said


def test_the_sentence_names_the_rarest() -> None:
    names = ("hat", "bag", "bald")
    val = np.zeros((40, 3), np.int8)
    val[:20] = 1
    test = val.copy()
    test[3:, 0], test[:33, 2] = 0, 1
    assert few_labels({"val": val, "test": val}, names) == ""
    assert few_labels({"val": val, "test": test[:0]}, names) == ""  # no image is in test
    assert few_labels({"val": val, "test": test}, names).startswith(
        "2 of 3 labels have few images: 'hat' 3 in test, 'bald' 7 without it in test; with fewer than 10"
    )
    many = few_labels({"val": val[:9].repeat(3, axis=1)}, tuple("abcdefghi"))
    assert ", 'd' 0 without it in val and 5 more; with" in many
