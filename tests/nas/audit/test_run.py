"""An audit of a small finished search: what it compares, that it resumes, and what it says."""

import json
import shutil
from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scipy.stats import kendalltau, ttest_rel

from foundation.files import write_json
from foundation.history import History, read_history
from nas.audit.gain import Paired, paired
from nas.audit.ranking import ScoredArchitecture, stratified
from nas.audit.run import audit_sentence, run_audit
from nas.errors import SearchError
from nas.job.run import run_job
from nas.settings import JobData
from tests.nas.conftest import make_split
from tests.nas.job.test_run import SETTINGS

# On features this plain every training that begins at the probe ends there, and nothing is left to compare.
JOB = replace(SETTINGS, probe=False, tail=None, retrain=replace(SETTINGS.retrain, probe_start=False))
CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def job_data() -> JobData:
    torch.set_num_threads(1)
    return JobData("toy", ("no", "yes"), make_split(96, 0), make_split(60, 1), make_split(80, 2))


@pytest.fixture(scope="module")
def searched(job_data: JobData, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("search")
    result, _ = run_job(job_data, JOB, folder=folder, seed=0, device=CPU)
    result["seconds"] |= {"search": 1.0, "total": 2.0}
    randoms = [r for r in read_history(folder / "history.jsonl") if r.get("role") == "random"]
    assert len(randoms) == 2
    write_json(folder / "result.json", result)
    return folder


def audited(data: JobData, folder: Path, *, seeds: int = 2, test: bool = False) -> dict[str, Any]:
    return run_audit(data, JOB, folder=folder, seed=0, device=CPU, seeds=seeds, architectures=4, test=test)


@pytest.fixture
def folder(searched: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the finished search, whose cost is worth three random retrainings."""
    monkeypatch.setattr("nas.audit.run.extra_random", lambda *_: 3)
    return Path(shutil.copytree(searched, tmp_path / "search"))


def test_an_audit_compares_what_it_says(job_data: JobData, folder: Path) -> None:
    before = {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}
    audit = audited(job_data, folder)
    assert json.loads((folder / "audit.json").read_text()) == audit
    # The finished search is not touched.
    assert {name: (folder / name).read_bytes() for name in before} == before
    ranking = audit["ranking"]
    shared = [one["shared"] for one in ranking["architectures"]]
    first, second = zip(*(one["retrained"] for one in ranking["architectures"]), strict=True)
    assert shared == sorted(shared, reverse=True)
    assert ranking["ceiling"]["tau"] == pytest.approx(kendalltau(first, second).statistic)
    both = [kendalltau(shared, side).statistic for side in (first, second)]
    assert ranking["tau"]["tau"] == pytest.approx(np.mean(both))
    # The first seed is the finished search: its choice without the training that chose it.
    result = json.loads((folder / "result.json").read_text())
    row = audit["gain"]["seeds"][0]
    assert row["val"]["search"] == result["repeats"]["winner"]["val_auroc"][1]
    assert row["val"]["random"] == result["repeats"]["random"]["val_auroc"][1]
    assert [one["seed"] for one in audit["gain"]["seeds"]] == [0, 1]
    assert "test" not in row
    assert "test" not in audit["gain"]
    assert audit["cost"]["audit_searches"] == 1
    assert audit["sentence"].startswith("On toy, ")


def test_random_at_equal_cost_continues_the_random_control(job_data: JobData, folder: Path) -> None:
    audit = audited(job_data, folder, seeds=1)
    records = read_history(folder / "audit" / "random-0-3" / "history.jsonl")
    tried = [record for record in records if record["kind"] == "retraining"]
    assert len(tried) == 3
    known = {r["identity"] for r in read_history(folder / "history.jsonl") if r.get("role") == "random"}
    assert not known & {record["identity"] for record in tried}
    chosen = json.loads((folder / "result.json").read_text())["repeats"]["random"]["val_auroc"]
    best = max(record["val"]["auroc"] for record in tried)
    fresh = [record["val"]["auroc"] for record in records if record["kind"] == "repeat"]
    expected = fresh if best > chosen[0] else chosen[1:]
    assert audit["gain"]["seeds"][0]["val"]["random_equal_cost"] == pytest.approx(np.mean(expected))
    assert audit["gain"]["equal_budget"]["low"] is None
    assert "--seeds" in audit["sentence"]


def test_a_killed_audit_continues_and_more_seeds_add_to_it(
    job_data: JobData, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = audited(job_data, Path(shutil.copytree(folder, tmp_path / "whole")), test=True)
    real, calls = History.append, 0

    class KilledError(BaseException):
        pass

    def append(self: History, kind: str, **fields: Any) -> None:
        nonlocal calls
        real(self, kind, **fields)
        calls += 1
        if calls == 6:
            raise KilledError

    with monkeypatch.context() as patched:
        patched.setattr(History, "append", append)
        with pytest.raises(KilledError):
            audited(job_data, folder)
    one = audited(job_data, folder, seeds=1)
    assert one["gain"]["seeds"] == without_test(whole)[:1]
    again = audited(job_data, folder, test=True)
    assert again["gain"] == whole["gain"]
    assert again["ranking"] == whole["ranking"]
    assert again["cost"]["audit_trainings"] > one["cost"]["audit_trainings"]


def without_test(audit: dict[str, Any]) -> list[dict[str, Any]]:
    return [{"seed": row["seed"], "val": row["val"]} for row in audit["gain"]["seeds"]]


def test_test_labels_do_not_decide(job_data: JobData, folder: Path) -> None:
    assert job_data.test is not None
    flipped = replace(job_data, test=replace(job_data.test, labels=1 - job_data.test.labels))
    other = Path(shutil.copytree(folder, folder.with_name("other")))
    first, second = audited(job_data, folder, test=True), audited(flipped, other, test=True)
    assert without_test(first) == without_test(second)
    assert first["gain"]["test"] != second["gain"]["test"]


def test_what_cannot_be_audited_is_refused(job_data: JobData, folder: Path, tmp_path: Path) -> None:
    with pytest.raises(SearchError, match="no finished search"):
        audited(job_data, tmp_path / "none")
    with pytest.raises(SearchError, match="no test split"):
        audited(replace(job_data, test=None), folder, test=True)
    with pytest.raises(SearchError, match="at least 1 seed"):
        audited(job_data, folder, seeds=0)
    once = replace(JOB, repeats=1)
    with pytest.raises(SearchError, match="repeats to at least 2"):
        run_audit(job_data, once, folder=folder, seed=0, device=CPU)


def test_stratified_takes_the_middle_of_each_part() -> None:
    ranked = [
        ScoredArchitecture(JOB.space.architecture([0] * len(JOB.space.decisions)), float(n), "policy")
        for n in range(12)
    ]
    assert [one.shared for one in stratified(ranked, 4)] == [1.0, 4.0, 7.0, 10.0]
    assert stratified(ranked, 100) == ranked


def test_paired_is_students_interval() -> None:
    ours, theirs = [0.91, 0.93, 0.90, 0.92], [0.90, 0.925, 0.905, 0.91]
    interval = ttest_rel(ours, theirs).confidence_interval(0.95)
    found = paired(ours, theirs)
    assert (found.low, found.high) == pytest.approx((interval.low, interval.high))
    assert found.difference == pytest.approx(np.mean(ours) - np.mean(theirs))
    assert paired([0.75], [0.5]) == Paired(0.25, None, None, 1)


GOOD: dict[str, Any] = {
    "attribute": "bald",
    "metric": "auroc",
    "ranking": {
        "tau": {"tau": 0.62, "low": 0.45, "high": 0.75},
        "ceiling": {"tau": 0.8, "low": 0.7, "high": 0.9},
    },
    "gain": {
        "equal_budget": {"difference": 0.004, "low": 0.001, "high": 0.007, "seeds": 3},
        "equal_cost": {"difference": 0.002, "low": -0.001, "high": 0.005, "seeds": 3},
        "extra_random": 5,
    },
    "collapse": {"alarms": []},
}


def changed(part: str, key: str, **values: Any) -> dict[str, Any]:
    audit = deepcopy(GOOD)
    audit[part][key] = {**audit[part][key], **values} if isinstance(audit[part][key], dict) else values["to"]
    return audit


@pytest.mark.parametrize(
    ("audit", "words"),
    [
        (GOOD, "rank like retraining does (tau 0.62 [0.45, 0.75], ceiling 0.80)"),
        (GOOD, "gained +0.0040 [+0.0010, +0.0070] val AUROC over random at equal budget (3 seeds)"),
        (GOOD, ": worth searching."),
        (changed("ranking", "tau", tau=0.3, low=0.1), "rank only roughly"),
        (changed("ranking", "tau", tau=0.1, low=-0.2), "no better than chance"),
        (changed("ranking", "ceiling", tau=0.2), "two retrainings hardly agree"),
        (changed("ranking", "tau", tau=None), "differ too little"),
        (changed("gain", "equal_budget", low=-0.001, high=0.0015), "random search does as well"),
        (changed("gain", "equal_budget", low=-0.02, high=0.03), "too noisy"),
        (changed("gain", "equal_budget", low=-0.02, high=-0.01), "random search does better"),
        (changed("gain", "equal_cost", difference=-0.01, low=-0.02, high=-0.001), "given the same seconds"),
        (changed("gain", "equal_cost", difference=-0.01, low=-0.02, high=0.001), "not per second"),
        (changed("collapse", "alarms", to=["it proposed 3 of 100 candidates"]), "has collapsed (it proposed 3"),
    ],
)
def test_the_sentence_says_what_was_found(audit: dict[str, Any], words: str) -> None:
    sentence = audit_sentence(audit)
    assert words in sentence
    assert sentence.count(".\n") == 0
    assert sentence.endswith(".")
