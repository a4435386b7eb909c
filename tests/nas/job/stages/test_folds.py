"""Where val is too small to choose by, every image of train and val is scored once by a training without it."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from foundation.history import read_history
from nas.job.run import run_job
from nas.job.stages.folds import folds_of, rarest_val, union
from nas.settings import JobData
from tests.nas.conftest import make_split
from tests.nas.job.test_run import SETTINGS


def test_folds_share_out_every_value_and_score_each_image_once() -> None:
    data = JobData("toy", ("no", "yes"), make_split(40, 0), make_split(10, 1))
    folds = folds_of(data, seed=0)
    assert len(folds) == 5
    assert sorted(np.concatenate([fold.rows for fold in folds]).tolist()) == list(range(50))
    whole = union(data)
    everything = whole.features.gather(torch.arange(50))
    assert torch.equal(everything[:40], data.train.features.gather(torch.arange(40)))
    assert torch.equal(everything[40:], data.val.features.gather(torch.arange(10)))
    for fold in folds:
        assert torch.bincount(fold.val.labels).tolist() == [5, 5]
        assert len(fold.train) == 40
        scored = fold.val.features.gather(torch.arange(len(fold.val)))
        assert torch.equal(scored, everything[torch.from_numpy(fold.rows)])
        learnt = {row.numpy().tobytes() for row in fold.train.features.gather(torch.arange(len(fold.train)))}
        assert not learnt & {row.numpy().tobytes() for row in scored}
    assert rarest_val(data) == 5


def test_a_job_with_few_val_images_chooses_by_cross_validation(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nas.job.gains.ROUNDS", 10)
    monkeypatch.setattr("nas.limits.latency.RUNS", 2)
    monkeypatch.setattr("nas.job.stages.folds.FOLDS", 2)
    data = JobData("toy", ("no", "yes"), make_split(64, 0), make_split(12, 1), make_split(60, 2))
    settings = replace(SETTINGS, least_val=7, choice="best", random=False, repeats=1)
    result, _ = run_job(data, settings, folder=tmp_path / "a", seed=0, device=torch.device("cpu"))
    folds = [record for record in read_history(tmp_path / "a" / "history.jsonl") if record["kind"] == "fold"]
    assert [record["of"] for record in folds] == ["winner"] * 4 + ["linear_probe"] * 2
    assert "val has 6 images of one value, so 2-fold cross-validation over train and val chose" in result["selection"]
    standings = result["choice"]["val"]
    assert standings["probe"]["score"] != result["controls"].get("linear_probe", result)["val"]["auroc"]
    enough = run_job(
        data, replace(settings, least_val=6), folder=tmp_path / "b", seed=0, device=torch.device("cpu")
    ).record
    assert "cross-validation" not in enough["selection"]
