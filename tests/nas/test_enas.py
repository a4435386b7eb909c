import weakref
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from branches.errors import BranchError
from branches.measures.metrics import auroc
from foundation.errors import UserError
from foundation.history import read_history
from nas.candidates import Candidate, best_rewarded, own_proposals, propose, rank_candidates
from nas.enas import Search
from nas.errors import SearchError
from nas.settings import JobData, SearchSettings
from search_spaces import Space, macro_space, micro_space
from tests.nas.conftest import make_split
from trunk.checkpoints import load_checkpoint, save_checkpoint
from trunk.errors import TrunkError

SETTINGS = SearchSettings(
    epochs=4,
    warmup_epochs=1,
    min_steps=0,
    batch_size=32,
    updates_per_epoch=2,
    samples_per_update=3,
    reward_images=40,
    hidden=16,
)
SPACE = macro_space(2, widths=(4, 8))
MICRO = micro_space(2, cells=2, widths=(4, 8), depths=(1, 2))


def make_search(
    data: JobData, folder: Path, settings: SearchSettings = SETTINGS, seed: int = 0, space: Space = SPACE
) -> Search:
    return Search(space, data.train, data.val, settings, folder=folder, seed=seed, device=torch.device("cpu"))


def records(folder: Path) -> list[dict[str, object]]:
    return [{k: v for k, v in record.items() if k != "seconds"} for record in read_history(folder / "history.jsonl")]


def test_the_loop_interleaves_child_and_controller(data: JobData, tmp_path: Path) -> None:
    make_search(data, tmp_path).run()
    kinds = [(record["kind"], record["epoch"]) for record in records(tmp_path)]
    expected = [("child_epoch", 1)]
    for epoch in (2, 3, 4):
        expected += [("child_epoch", epoch), ("controller_update", epoch), ("controller_update", epoch)]
    assert kinds == expected


def test_shared_weights_and_controller_learn(data: JobData, tmp_path: Path) -> None:
    search = make_search(data, tmp_path, replace(SETTINGS, epochs=24, warmup_epochs=4, learning_rate=1e-2))
    untrained = [search.reward(SPACE.random(np.random.default_rng(n)), *everything(search)) for n in range(20)]
    search.run()
    trained = [search.reward(SPACE.random(np.random.default_rng(n)), *everything(search)) for n in range(20)]
    assert np.mean(trained) > np.mean(untrained) + 0.1
    chosen = [search.reward(architecture, *everything(search)) for architecture in search.sample_policy(20)]
    assert np.mean(chosen) > np.mean(trained)


def everything(search: Search) -> tuple[torch.Tensor, torch.Tensor]:
    return search.val.features.gather(torch.arange(len(search.val))), search.val.labels


def test_a_child_step_moves_only_the_sampled_paths(data: JobData, tmp_path: Path) -> None:
    search = make_search(data, tmp_path, replace(SETTINGS, batch_size=96))
    path = search.space.random(np.random.default_rng(0))
    search.child_paths = lambda steps, fair_share, rng: [path] * steps  # type: ignore[method-assign]
    before = {name: value.clone() for name, value in search.supernet.named_parameters()}
    search.train_child(1, uniform=True)
    moved = {name for name, value in search.supernet.named_parameters() if not torch.equal(value, before[name])}
    touched = {name for name, value in search.supernet.named_parameters() if value.grad is not None}
    assert moved
    assert moved <= touched < set(before)


def test_same_seed_same_history_other_seed_another(data: JobData, tmp_path: Path) -> None:
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        make_search(data, tmp_path / name, seed=seed).run()
    assert records(tmp_path / "a") == records(tmp_path / "b") != records(tmp_path / "c")


def test_global_random_state_is_neither_read_nor_moved(data: JobData, tmp_path: Path) -> None:
    torch.manual_seed(1)
    make_search(data, tmp_path / "a").run()
    first = torch.get_rng_state()
    torch.manual_seed(1)
    assert torch.equal(first, torch.get_rng_state())
    torch.manual_seed(2)
    make_search(data, tmp_path / "b").run()
    assert records(tmp_path / "a") == records(tmp_path / "b")


@pytest.mark.parametrize(("stop_at", "space"), [(1, SPACE), (2, SPACE), (3, SPACE), (2, MICRO)])
def test_a_stopped_search_ends_like_an_uninterrupted_one(
    stop_at: int, space: Space, data: JobData, tmp_path: Path
) -> None:
    whole = make_search(data, tmp_path / "whole", space=space)
    whole.run()
    ranking = rank_candidates(whole, 8)
    first = make_search(data, tmp_path / "halves", replace(SETTINGS, epochs=4), space=space)
    while first.epoch < stop_at:
        first.train_child(3, uniform=first.epoch < 1)
        if first.epoch >= 1:
            first.train_controller()
        first.epoch += 1
        first.save()
    # Work after the last checkpoint, which a kill would lose together with a torn line:
    first.train_child(3, uniform=False)
    with open(tmp_path / "halves" / "history.jsonl", "a") as file:
        file.write('{"kind": "controller_upd')
    second = make_search(data, tmp_path / "halves", space=space)
    assert second.epoch == stop_at
    second.run()
    assert rank_candidates(second, 8) == ranking
    assert records(tmp_path / "halves") == records(tmp_path / "whole")


def test_candidates_are_distinct_ranked_and_kept(data: JobData, tmp_path: Path) -> None:
    search = make_search(data, tmp_path)
    search.run()
    candidates = rank_candidates(search, 12)
    keys = {search.space.key(candidate.architecture) for candidate in candidates}
    assert len(keys) == len(candidates) == 12
    assert [c.score for c in candidates] == sorted((c.score for c in candidates), reverse=True)
    features = search.val.features.gather(torch.arange(60))
    with torch.no_grad():
        logits = search.supernet(features, candidates[0].architecture)
    assert candidates[0].score == pytest.approx(auroc(logits.double().softmax(1).numpy(), search.val.labels.numpy()))
    size = search.history.size
    assert rank_candidates(make_search(data, tmp_path), 12) == candidates
    assert make_search(data, tmp_path).history.size == size


def test_ranking_reads_val_in_parts(data: JobData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    search = make_search(data, tmp_path)
    search.run()
    monkeypatch.setattr("nas.candidates.IMAGES_AT_ONCE", 25)
    asked: list[int] = []
    given: list[weakref.ref[torch.Tensor]] = []
    gather = search.val.features.gather

    def counted(indices: torch.Tensor) -> torch.Tensor:
        assert all(part() is None for part in given), "two parts are in memory at once"
        asked.append(len(indices))
        features = gather(indices)
        given.append(weakref.ref(features))
        return features

    monkeypatch.setattr(search.val.features, "gather", counted)
    (candidate, *_) = rank_candidates(search, 5)
    assert asked == [20, 20, 20]
    with torch.no_grad():
        logits = [search.supernet(gather(rows), candidate.architecture) for rows in torch.arange(60).split(20)]
    scores = torch.cat([part.double().softmax(1) for part in logits]).numpy()
    assert candidate.score == pytest.approx(auroc(scores, search.val.labels.numpy()))


def test_the_best_rewarded_are_proposed(data: JobData, tmp_path: Path) -> None:
    search = make_search(data, tmp_path)
    search.run()
    rewards: dict[tuple[int, ...], list[float]] = {}
    for record in read_history(tmp_path / "history.jsonl"):
        if record["kind"] == "controller_update":
            for row, reward in zip(record["architectures"], record["rewards"], strict=True):
                rewards.setdefault(tuple(row), []).append(reward)
    means = {row: sum(found) / len(found) for row, found in rewards.items()}
    best = [search.space.indices(architecture) for architecture in best_rewarded(search, 3)]
    assert [means[row] for row in best] == sorted(means.values(), reverse=True)[:3]
    sources = [source for _, source in propose(search, 12)]
    assert sources[0] == "mode"
    assert {"best", "controller"} <= set(sources)
    assert sources.count("uniform") == 3
    assert len(sources) == 12


def test_a_settled_policy_leaves_room_for_uniform_draws(data: JobData, tmp_path: Path) -> None:
    search = make_search(data, tmp_path, replace(SETTINGS, epochs=1))
    search.run()
    one = SPACE.architecture([0] * len(SPACE.decisions))
    search.sample_policy = lambda count: [one] * count  # type: ignore[method-assign]
    candidates = rank_candidates(search, 12)
    own, asked = own_proposals(candidates, 12)
    assert len(candidates) == 12
    assert (len(own), asked) == (2, 9)  # the mode, and what the policy always draws


def test_candidates_of_other_strategies_are_all_their_own() -> None:
    found = [Candidate(SPACE.architecture([0] * len(SPACE.decisions)), 0.5, "local")]
    assert own_proposals(found, 12) == ([found[0].architecture], 12)


def test_few_images_pass_more_than_once_in_an_epoch(data: JobData, tmp_path: Path) -> None:
    search = make_search(data, tmp_path, replace(SETTINGS, epochs=1, min_steps=8))
    seen: list[int] = []
    gather = search.train.features.gather

    def watched(rows: torch.Tensor) -> torch.Tensor:
        seen.extend(rows.tolist())
        return gather(rows)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(search.train.features, "gather", watched)
        search.run()
    [epoch] = [record for record in records(tmp_path) if record["kind"] == "child_epoch"]
    assert epoch["steps"] == 8
    assert len(seen) == 8 * 32
    assert {seen.count(row) for row in range(len(search.train))} == {2, 3}


def test_many_images_pass_once(data: JobData) -> None:
    assert replace(SETTINGS, min_steps=2).steps(len(data.train)) == len(data.train) // 32
    assert replace(SETTINGS, min_steps=2, max_steps=2).steps(len(data.train)) == 2
    assert SETTINGS.steps(10**6) == SETTINGS.max_steps == 100


def test_the_parameter_penalty_is_subtracted(data: JobData, tmp_path: Path) -> None:
    plain = make_search(data, tmp_path / "a")
    penalised = make_search(data, tmp_path / "b", replace(SETTINGS, parameter_penalty=100.0))
    architecture = SPACE.random(np.random.default_rng(3))
    batch = plain.val.features.gather(torch.arange(60)), plain.val.labels
    parameters, macs = plain.costs(architecture)
    difference = plain.reward(architecture, *batch) - penalised.reward(architecture, *batch)
    assert difference == pytest.approx(100.0 * parameters / 1e6)
    assert macs > 0


def test_reward_images_hold_every_value(data: JobData, tmp_path: Path) -> None:
    rare = make_split(60, 5)
    rare.labels.zero_()
    rare.labels[37] = 1
    search = make_search(replace(data, val=rare), tmp_path, replace(SETTINGS, reward_images=2))
    for seed in range(10):
        features, labels = search.reward_batch(np.random.default_rng(seed))
        assert len(features) == 2
        assert sorted(labels.tolist()) == [0, 1]


@pytest.mark.parametrize("balance", ["sampling", "weights", "none"])
@pytest.mark.parametrize("values", [2, 3])
def test_every_balance_and_number_of_values_runs(balance: str, values: int, tmp_path: Path) -> None:
    train, val = make_split(60, 0, values), make_split(40, 1, values)
    settings = replace(SETTINGS, epochs=2, balance=balance, reward="balanced_accuracy")
    search = Search(SPACE, train, val, settings, folder=tmp_path, seed=0, device=torch.device("cpu"))
    search.run()
    assert 0 < search.reinforce.updates == 2


def test_mistakes_are_named(data: JobData, tmp_path: Path) -> None:
    with pytest.raises(SearchError, match=r"search\.reward must be one of .*auroc.*, is 'auc'"):
        replace(SETTINGS, reward="auc")
    with pytest.raises(SearchError, match=r"search\.recipe must be one of"):
        replace(SETTINGS, recipe="best")
    with pytest.raises(SearchError, match=r"search\.epochs must be at least 1, is 0"):
        replace(SETTINGS, epochs=0)
    one_sided = make_split(20, 0)
    one_sided.labels.zero_()
    with pytest.raises(BranchError, match="train split has no image of value 1"):
        make_search(replace(data, train=one_sided), tmp_path)
    with pytest.raises(SearchError, match=r"diverged in epoch 1 .* lower search\.learning_rate"):
        make_search(data, tmp_path, replace(SETTINGS, learning_rate=1e38)).run()


@pytest.mark.parametrize("epochs", [2, 4])
@pytest.mark.parametrize("left", [0, 0.5])
def test_a_history_that_was_emptied_is_not_continued(epochs: int, left: float, data: JobData, tmp_path: Path) -> None:
    """Neither in the midst of a search nor behind its end: its pages would say it never learned."""
    search = make_search(data, tmp_path)
    search.settings = replace(SETTINGS, epochs=epochs)
    search.run()
    path = tmp_path / "history.jsonl"
    whole = path.read_bytes()
    lines = whole.splitlines(keepends=True)
    path.write_bytes(b"".join(lines[: int(len(lines) * left)]))
    with pytest.raises(UserError, match=rf"history.jsonl has \d+ bytes where its checkpoint counts {len(whole)}"):
        make_search(data, tmp_path)
    path.write_bytes(whole)
    assert make_search(data, tmp_path).epoch == epochs


def test_a_checkpoint_that_does_not_fit_is_named(data: JobData, tmp_path: Path) -> None:
    make_search(data, tmp_path).run()
    tensors, record = load_checkpoint(tmp_path / "search.safetensors")
    lacking = {name: tensor for name, tensor in tensors.items() if not name.startswith("supernet.")}
    for given, said in ((tensors, {"epoch": 4}), (lacking, record), (tensors, {**record, "epoch": -1})):
        save_checkpoint(tmp_path / "search.safetensors", given, said)
        with pytest.raises(TrunkError, match=r"search\.safetensors .*; delete it to start anew"):
            make_search(data, tmp_path)
