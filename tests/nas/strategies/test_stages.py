"""Searches by other strategies inside a job: repeatable, resumable, and compared as ENAS's are."""

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from branches.settings import FitSettings
from branches.training import fit
from foundation.history import read_history
from nas.errors import SearchError
from nas.job.run import run_job
from nas.settings import SEARCH_STRATEGIES, JobData, JobSettings, SearchSettings
from nas.strategies.stages import TrialStage
from search_spaces import macro_space
from tests.nas.extra import needs_nni, with_nni_marked
from tests.nas.killing import killed_after
from tests.untimed import untimed

CPU = torch.device("cpu")
SETTINGS = JobSettings(
    choice="searched",
    learning_curve=False,
    space=macro_space(2, widths=(2, 4), depths=(1, 2)),
    search=SearchSettings(epochs=2, warmup_epochs=1, min_steps=0, batch_size=32),
    trials=5,
    trial_epochs=1,
    retrain=FitSettings(epochs=2, batch_size=32),
    retrain_top=2,
    repeats=1,
    probe=False,
    tail=None,
)
others = pytest.mark.parametrize("strategy", with_nni_marked(tuple(SEARCH_STRATEGIES[1:])))


def run(data: JobData, folder: Path, strategy: str, seed: int = 0, **changes: Any) -> dict[str, Any]:
    settings = replace(SETTINGS, strategy=strategy, **changes)
    return run_job(data, settings, folder=folder, seed=seed, device=CPU)[0]


@others
def test_a_job_ends_as_one_of_enas_does(data: JobData, tmp_path: Path, strategy: str) -> None:
    result = run(data, tmp_path, strategy)
    history = read_history(tmp_path / "history.jsonl")
    proposed = [one for one in history if one["kind"] == "candidate"]
    retrained = [one for one in history if one["kind"] == "retraining" and one["role"] == "candidate"]
    assert len(proposed) == (1 if strategy == "nni-darts" else 5)
    assert {one["source"] for one in proposed} == {strategy}
    best = sorted(proposed, key=lambda one: -one["score"])[:2]
    assert [one["identity"] for one in retrained] == [one["identity"] for one in best]
    assert [one["shared_score"] for one in retrained] == [one["score"] for one in best]
    assert result["identity"] in {one["identity"] for one in best}
    assert result["controls"].keys() == {"random"}
    assert result["seconds"]["search"] > 0
    assert ("likeliest choices" if strategy == "nni-darts" else "trainings of a few epochs") in result["selection"]
    assert f"best of {len(best)} random" in result["verdict"]
    assert json.loads(json.dumps(result, allow_nan=False)) == result
    kept = {path.name for path in tmp_path.iterdir()} - {"search.safetensors"}
    assert kept == {
        *("config.json", "candidates.json", "history.jsonl", "latencies.json", "scores.safetensors", "trainings"),
        *("architecture.json", "branch", "choices", "predictions.csv", "pictures.json", "result.json"),
    }


@others
def test_seeds_decide(data: JobData, tmp_path: Path, strategy: str) -> None:
    torch.manual_seed(1)
    first = untimed(run(data, tmp_path / "0", strategy))
    state = torch.get_rng_state()
    second = untimed(run(data, tmp_path / "1", strategy))
    assert torch.equal(torch.get_rng_state(), state)
    run(data, tmp_path / "2", strategy, seed=1)
    histories = [untimed(read_history(tmp_path / str(n) / "history.jsonl")) for n in range(3)]
    assert first == second
    assert histories[0] == histories[1] != histories[2]


@others
def test_a_killed_search_ends_like_one_that_ran_through(data: JobData, tmp_path: Path, strategy: str) -> None:
    whole = untimed(run(data, tmp_path / "whole", strategy, random=False))
    whole_history = untimed(read_history(tmp_path / "whole" / "history.jsonl"))
    for limit in range(1, len(whole_history)):
        folder = tmp_path / f"killed-{limit}"
        with killed_after(limit):
            run(data, folder, strategy, random=False)
        assert untimed(run(data, folder, strategy, random=False)) == whole, f"killed after record {limit}"
        assert untimed(read_history(folder / "history.jsonl")) == whole_history
        shutil.rmtree(folder)


def counted(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Counts the short trainings from now on."""
    calls: list[int] = []

    def counting(*arguments: Any, **options: Any) -> Any:
        calls.append(1)
        return fit(*arguments, **options)

    monkeypatch.setattr("nas.strategies.stages.fit", counting)
    return calls


def test_finished_trials_are_not_made_again(data: JobData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = counted(monkeypatch)
    settings = replace(SETTINGS, strategy="local")
    first = TrialStage(data, settings, folder=tmp_path, seed=0, device=CPU).candidates()
    assert len(calls) == 5
    (tmp_path / "candidates.json").unlink()
    lines = (tmp_path / "history.jsonl").read_text().splitlines(keepends=True)
    (tmp_path / "history.jsonl").write_text("".join(lines[:3]))
    assert TrialStage(data, settings, folder=tmp_path, seed=0, device=CPU).candidates() == first
    assert len(calls) == 7
    assert TrialStage(data, settings, folder=tmp_path, seed=0, device=CPU).candidates() == first
    assert len(calls) == 7


def test_trials_of_another_search_are_refused(data: JobData, tmp_path: Path) -> None:
    settings = replace(SETTINGS, strategy="random")
    TrialStage(data, settings, folder=tmp_path, seed=0, device=CPU).candidates()
    (tmp_path / "candidates.json").unlink()
    with pytest.raises(SearchError, match="begin it anew with --force"):
        TrialStage(data, settings, folder=tmp_path, seed=1, device=CPU).candidates()


def test_the_penalty_for_parameters_counts(data: JobData, tmp_path: Path) -> None:
    heavy = replace(SETTINGS, strategy="random", search=replace(SETTINGS.search, parameter_penalty=100.0))
    plain = TrialStage(data, replace(SETTINGS, strategy="random"), folder=tmp_path / "a", seed=0, device=CPU)
    penal = TrialStage(data, heavy, folder=tmp_path / "b", seed=0, device=CPU)
    scores = [{one.architecture: one.score for one in stage.candidates()} for stage in (plain, penal)]
    assert scores[0].keys() == scores[1].keys()
    for architecture, score in scores[0].items():
        assert scores[1][architecture] == pytest.approx(score - plain.costs(architecture)[0] / 1e4)


@pytest.mark.parametrize(
    "rivals",
    [("local",), ("surrogate",), pytest.param(("nni-evolution", "nni-darts"), marks=needs_nni)],
    ids=lambda names: names[0],
)
def test_other_strategies_are_controls(data: JobData, tmp_path: Path, rivals: tuple[str, ...]) -> None:
    search = replace(SETTINGS.search, updates_per_epoch=1, samples_per_update=3, hidden=8)
    result = run(data, tmp_path, "enas", rivals=rivals, search=search, candidates=6)
    assert result["controls"].keys() == {"random", *rivals}
    assert result["gain"].keys() == {"over_random", *(f"over_{rival}" for rival in rivals)}
    assert all(f"over the best that {rival} found" in result["verdict"] for rival in rivals)
    history = read_history(tmp_path / "history.jsonl")
    for rival in rivals:
        trained = [one for one in history if one["kind"] == "retraining" and one["role"] == rival]
        assert len(trained) == (1 if rival == "nni-darts" else 2)
        assert {one["shared_score"] for one in trained} == {None}
        assert max(one["val"]["auroc"] for one in trained) == result["controls"][rival]["val"]["auroc"]
    assert result["collapse"]["retrained"] == 2
    assert untimed(run(data, tmp_path, "enas", rivals=rivals, search=search, candidates=6)) == untimed(result)


@pytest.mark.parametrize("rivals", [("random",), ("enas",), ("local", "local"), ("controller",)])
def test_a_strategy_is_not_compared_with_itself(rivals: tuple[str, ...]) -> None:
    with pytest.raises(SearchError, match="must differ"):
        replace(SETTINGS, strategy="controller", rivals=rivals)


def test_unknown_strategies_are_refused() -> None:
    with pytest.raises(SearchError, match=r"search\.strategy must be one of enas, .*, is 'magic'"):
        replace(SETTINGS, strategy="magic")


@pytest.mark.parametrize("name", ["trials", "trial_epochs"])
def test_trials_are_at_least_one(name: str) -> None:
    with pytest.raises(SearchError, match=f"{name} must be at least 1"):
        replace(SETTINGS, **{name: 0})  # type: ignore[arg-type]
