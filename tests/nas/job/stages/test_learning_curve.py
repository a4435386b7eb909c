"""The learning curve: nested parts, trained once, and a sentence that claims no more than the images tell."""

from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch

from foundation.history import read_history
from nas.job.run import run_job
from nas.job.stages import learning_curve as curves
from nas.job.stages.learning_curve import at_twice, in_words, parts_of
from nas.settings import JobData
from tests.nas.conftest import make_split
from tests.nas.job.test_run import SETTINGS


def test_parts_lie_in_one_another_and_keep_the_shares_of_values() -> None:
    train = make_split(300, 0)
    order = np.random.default_rng(0).permutation(300)
    train = replace(train, labels=(torch.arange(300) >= 200).long()[order])
    parts = parts_of(train, seed=0)
    assert [part.fewer for part in parts] == [8, 4, 2]
    assert [torch.bincount(part.train.labels).tolist() for part in parts] == [[25, 12], [50, 25], [100, 50]]
    rows = [part.train.features.gather(torch.arange(len(part.train))) for part in parts]
    for smaller, larger in pairwise(rows):
        assert {row.numpy().tobytes() for row in smaller} < {row.numpy().tobytes() for row in larger}


def test_too_few_images_make_no_part() -> None:
    assert [part.fewer for part in parts_of(make_split(100, 0), seed=0)] == [4, 2]
    assert parts_of(make_split(30, 0), seed=0) == []


def test_a_power_law_is_read_off_at_twice_the_images() -> None:
    images = [100, 200, 400, 800]
    errors = [0.4 * (size / 100) ** -0.5 for size in images]
    assert at_twice(images, [1 - error for error in errors]) == pytest.approx(1 - 0.4 * 16**-0.5)
    assert at_twice(images, [0.8, 0.8, 0.7, 0.7]) == 0.7


def test_the_sentence_says_nothing_that_the_images_do_not_tell() -> None:
    record = {"split": "test", "metric": "auroc", "images": [100, 200], "winner": [0.8, 0.85], "of": "winner"}
    told = {**record, "rise": 0.05, "rise_low": 0.02, "rise_high": 0.08, "twice": 0.89}
    assert in_words(told) == (
        "with 2 times as many training images test AUROC changed by +0.0500 [+0.0200, +0.0800]; "
        "twice as many as now would bring about +0.0400"
    )
    assert "more training labels would bring little" in in_words({**told, "rise_low": -0.01})


def test_a_job_trains_the_parts_once_and_says_what_labels_would_bring(
    data: JobData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("nas.job.gains.ROUNDS", 10)
    monkeypatch.setattr("nas.limits.latency.RUNS", 2)
    settings = replace(SETTINGS, learning_curve=True, random=False, repeats=1)
    result, _ = run_job(data, settings, folder=tmp_path / "a", seed=0, device=torch.device("cpu"))
    curve = result["learning_curve"]
    assert curve["images"] == [24, 48, 96]
    assert [len(curve[kind]) for kind in ("winner", "probe")] == [3, 3]
    assert curve["winner"][-1] == result["test"]["auroc"]
    assert curve["probe"][-1] == result["controls"]["linear_probe"]["test"]["auroc"]
    assert curve["sentence"] in result["verdict"]
    assert curve["sentence"] in result["advice"]["reason"]
    kinds = [record["kind"] for record in read_history(tmp_path / "a" / "history.jsonl")]
    assert kinds[-4:] == ["curve"] * 4

    def refuse(*_arguments: object, **_options: object) -> None:
        raise AssertionError("it was trained again")

    monkeypatch.setattr("nas.job.trainings.fit", refuse)
    monkeypatch.setattr("nas.job.trainings.linear_probe", refuse)
    others = [tmp_path / "a"]
    again, _ = run_job(
        data, replace(settings, choice="best"), folder=tmp_path / "b", seed=0, device=torch.device("cpu"), others=others
    )
    assert again["learning_curve"]["probe"] == curve["probe"]
    assert curves.PARTS == (8, 4, 2)
