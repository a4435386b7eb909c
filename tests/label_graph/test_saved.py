"""The constant classifiers on disk: the same after reading, and refused when they are not whole."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from label_graph.classifier import ConstantClassifier
from label_graph.errors import LabelGraphError
from label_graph.saved import RECORD, WEIGHTS, ClassifierRecord, Label, load_classifiers, save_classifiers

LABELS = (Label("hat", "hat", "yes"), Label("sleeve=long", "sleeve", "long"))


def saved(folder: Path) -> tuple[ConstantClassifier, ClassifierRecord]:
    generator = torch.Generator().manual_seed(0)
    module = ConstantClassifier(torch.randn(2, 6, generator=generator), torch.tensor([0.5, -1.0]), pooling="max")
    record = ClassifierRecord(LABELS, (0.5, 0.25), "max", (6, 2, 3), 4, "f" * 64, {"val": {"map": 0.5}})
    save_classifiers(folder, module.eval(), record)
    return module, record


def test_what_is_read_is_what_was_written(tmp_path: Path):
    module, record = saved(tmp_path)
    found, again = load_classifiers(tmp_path)
    assert again == record
    maps = torch.randn(3, 6, 2, 3)
    assert torch.equal(found(maps), module(maps))
    assert found.pooling == "max"
    assert not found.training


def test_a_folder_that_is_not_whole_is_refused(tmp_path: Path):
    with pytest.raises(LabelGraphError, match="holds no label graph"):
        load_classifiers(tmp_path)
    _, record = saved(tmp_path)
    (tmp_path / WEIGHTS).write_bytes(b"torn")
    with pytest.raises(LabelGraphError, match="cannot be read"):
        load_classifiers(tmp_path)
    saved(tmp_path)
    (tmp_path / RECORD).write_text("{}")
    with pytest.raises(LabelGraphError, match="cannot be read"):
        load_classifiers(tmp_path)
    save_classifiers(tmp_path, ConstantClassifier(torch.ones(3, 6), torch.ones(3)), record)
    with pytest.raises(LabelGraphError, match="describes 2 labels on 6 channels"):
        load_classifiers(tmp_path)


def test_every_label_has_a_threshold(tmp_path: Path):
    _, record = saved(tmp_path)
    with pytest.raises(LabelGraphError, match="2 labels and 1 thresholds"):
        replace(record, thresholds=(0.5,))
