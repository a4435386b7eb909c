"""REINFORCE against the exact policy gradient, against its own resumption, and against random search."""

import itertools
import json
import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from nas.controller.policy import Controller
from nas.controller.recipes import PAPER, RECIPES, REMEMBERING, STRONG, Recipe
from nas.controller.reinforce import Memory, Reinforce, advantages
from nas.errors import SearchError
from nas.strategies.controller import best, optimise
from search_spaces.decisions import Decision, Space
from search_spaces.macro import macro_space

DECISIONS = (
    Decision("node1.operation", ("a", "b", "c"), "operation", 1),
    Decision("node2.operation", ("a", "b"), "operation", 2),
    Decision("edge1-2", (False, True), "edge", 2, 1),
)
EVERY = torch.tensor(list(itertools.product(range(3), range(2), range(2))))
# No bonus, no clipping, and a learning rate of 0: an update leaves the plain gradient in `.grad`.
PLAIN = Recipe(learning_rate=0.0, entropy_weight=0.0, skip_weight=0.0, gradient_clip=None)


def reinforce(recipe: Recipe = PAPER, *, seed: int = 0, hidden: int = 5, spread: float = 5.0) -> Reinforce:
    controller = Controller(DECISIONS, hidden=hidden, generator=torch.Generator().manual_seed(seed)).double()
    with torch.no_grad():
        for weight in controller.parameters():
            weight *= spread  # type: ignore[misc]
    return Reinforce(controller, recipe, seed=seed)


def gradient(learner: Reinforce) -> torch.Tensor:
    return torch.cat([weight.grad.flatten() for weight in learner.controller.parameters() if weight.grad is not None])


def toy_reward(choices: torch.Tensor) -> list[float]:
    return [math.sin(3.0 * a + 5.0 * b + 7.0 * c) for a, b, c in choices.tolist()]


@pytest.mark.parametrize("baseline", [0.0, 0.7])
@pytest.mark.parametrize("ratio_clip", [None, 0.2])
def test_expected_update_is_the_exact_policy_gradient(baseline, ratio_clip) -> None:
    learner, rewards = reinforce(replace(PLAIN, ratio_clip=ratio_clip)), toy_reward(EVERY)
    probability = learner.controller.evaluate(EVERY).log_prob.exp()
    (-(probability * torch.tensor(rewards, dtype=torch.float64)).sum()).backward()
    exact = gradient(learner)
    expected = torch.zeros_like(exact)
    for choice, reward, chance in zip(EVERY, rewards, probability.tolist(), strict=True):
        learner.baseline = baseline
        learner.update(choice[None], [reward])
        expected += chance * gradient(learner)
    assert float(exact.norm()) > 1e-3
    torch.testing.assert_close(expected, exact, rtol=1e-9, atol=1e-12)


def test_a_batch_is_the_mean_of_its_architectures() -> None:
    learner, rewards = reinforce(PLAIN), toy_reward(EVERY)
    single = []
    for choice, reward in zip(EVERY, rewards, strict=True):
        learner.baseline = 0.1
        learner.update(choice[None], [reward])
        single.append(gradient(learner))
    learner.baseline = 0.1
    learner.update(EVERY, rewards)
    torch.testing.assert_close(gradient(learner), torch.stack(single).mean(0))


def test_the_record_says_what_happened() -> None:
    learner = reinforce(replace(PLAIN, baseline_decay=0.9, entropy_weight=0.5, skip_weight=2.0))
    samples = learner.controller.sample(4, torch.Generator().manual_seed(0))
    assert not samples.log_prob.requires_grad
    first = learner.update(samples.choices, [1.0, 2.0, 3.0, 6.0])
    assert (first.reward_mean, first.reward_best, first.baseline) == (3.0, 6.0, 3.0)
    second = learner.update(samples.choices, [5.0, 5.0, 5.0, 5.0])
    assert second.baseline == pytest.approx(0.9 * 3.0 + 0.1 * 5.0)
    log_prob, entropy, penalty = (float(figure.mean()) for figure in samples[1:])
    assert second.log_prob == pytest.approx(log_prob)
    assert second.entropy == pytest.approx(entropy)
    assert second.skip_penalty == pytest.approx(penalty)
    assert second.loss == pytest.approx(-(5.0 - 3.0) * log_prob - 0.5 * entropy + 2.0 * penalty)


def test_the_entropy_bonus_makes_the_policy_uniform() -> None:
    learner = reinforce(replace(PLAIN, learning_rate=0.05, entropy_weight=1.0), spread=15.0)
    entropies = [learner.update(learner.sample(8), [0.0] * 8).entropy for _ in range(60)]
    assert entropies[0] < 0.97 * math.log(12)
    assert entropies[-1] > 0.999 * math.log(12)


def test_the_skip_penalty_draws_edges_to_their_target() -> None:
    learner = reinforce(replace(PLAIN, learning_rate=0.05, skip_weight=1.0), spread=15.0)
    for _ in range(100):
        update = learner.update(learner.sample(8), [0.0] * 8)
    assert update.skip_penalty < 1e-3
    edges = learner.controller.evaluate(EVERY).log_prob.exp()[EVERY[:, 2] == 1].sum()
    assert float(edges.detach()) == pytest.approx(0.4, abs=0.03)


def test_the_entropy_weight_follows_its_schedule() -> None:
    recipe = replace(PAPER, entropy_weight=0.1, entropy_final=0.02, entropy_updates=4)
    assert [recipe.entropy_at(n) for n in (0, 1, 4, 9)] == pytest.approx([0.1, 0.08, 0.02, 0.02])
    assert PAPER.entropy_at(1000) == 0.1


def test_ratio_clipping_holds_the_policy_near_the_one_that_sampled() -> None:
    choices, moved = torch.tensor([[0, 0, 0], [1, 1, 1]]), {}
    for clip in (None, 0.2):
        learner = reinforce(replace(PLAIN, learning_rate=0.01, passes=60, ratio_clip=clip))
        before = learner.controller.evaluate(choices).log_prob.detach()
        learner.update(choices, [0.0, 1.0])
        moved[clip] = float((learner.controller.evaluate(choices).log_prob.detach() - before).abs().max().exp())
    assert moved[0.2] < 4.0 < 1000.0 < moved[None]


def test_advantages() -> None:
    rewards = torch.tensor([3.0, 1.0, 3.0, 7.0])
    assert advantages(rewards, 2.0, "baseline").tolist() == [1.0, -1.0, 1.0, 5.0]
    assert advantages(rewards, 2.0, "rank").tolist() == pytest.approx([0.0, -1.0, 0.0, 1.0])
    assert advantages(rewards, 2.0, "normalised").tolist() == pytest.approx(
        (np.array([-0.5, -2.5, -0.5, 3.5]) / 4.75**0.5).tolist()
    )
    for kind in ("rank", "normalised"):
        assert advantages(torch.full((3,), 0.1, dtype=torch.float64), 2.0, kind).tolist() == [0.0] * 3
        assert advantages(rewards[:1], 2.0, kind).tolist() == [0.0]
        torch.testing.assert_close(advantages(9.0 * rewards - 4.0, 0.0, kind), advantages(rewards, 0.0, kind))


def test_the_memory_keeps_the_best_with_their_latest_reward() -> None:
    memory = Memory(2, 1)
    memory.add(torch.tensor([[0], [1], [2]]), torch.tensor([0.1, 0.3, 0.2], dtype=torch.float64))
    assert (memory.choices.tolist(), memory.rewards.tolist()) == ([[1], [2]], [0.3, 0.2])
    memory.add(torch.tensor([[1], [3]]), torch.tensor([0.0, 0.25], dtype=torch.float64))
    assert (memory.choices.tolist(), memory.rewards.tolist()) == ([[3], [2]], [0.25, 0.2])
    assert memory.without(torch.tensor([[2], [5]])).choices.tolist() == [[3]]


def test_remembered_architectures_take_part_in_updates() -> None:
    learner = reinforce(replace(PLAIN, advantage="rank", memory=1))
    good, poor = EVERY[:1], EVERY[5:6]
    learner.update(good, [1.0])
    learner.update(poor, [0.5])
    log_prob = learner.controller.evaluate(torch.cat([poor, good])).log_prob
    expected = torch.autograd.grad(
        (log_prob[0] - log_prob[1]) / 2, list(learner.controller.parameters()), allow_unused=True
    )
    found = gradient(learner)
    torch.testing.assert_close(found, torch.cat([part.flatten() for part in expected if part is not None]))


SCHEDULED = replace(REMEMBERING, entropy_weight=0.1, entropy_final=0.0, entropy_updates=5)


@pytest.mark.parametrize("recipe", [PAPER, STRONG, SCHEDULED], ids=["paper", "strong", "scheduled"])
@pytest.mark.parametrize("stop", [0, 3])
def test_resuming_is_not_stopping(recipe, stop) -> None:
    def steps(learner: Reinforce, count: int) -> list[tuple[Any, ...]]:
        made = []
        for _ in range(count):
            choices = learner.sample(4)
            made.append((choices.tolist(), learner.update(choices, toy_reward(choices))))
        return made

    whole = reinforce(recipe)
    first = steps(whole, stop)
    tensors, record = whole.state()
    kept = {name: tensor.clone() for name, tensor in tensors.items()}
    rest = steps(whole, 4)
    for name, tensor in tensors.items():
        assert torch.equal(tensor, kept[name]), f"{name} is not a copy"

    resumed = reinforce(recipe, seed=9)
    steps(resumed, 2)  # whatever it did before is gone
    resumed.load_state(tensors, json.loads(json.dumps(record)))
    assert steps(resumed, 4) == rest
    assert first != rest[:stop] or not stop
    for name, tensor in whole.state()[0].items():
        assert torch.equal(tensor, resumed.state()[0][name]), name
    assert whole.state()[1] == resumed.state()[1]


def test_a_state_of_another_controller_is_refused() -> None:
    learner = reinforce()
    learner.update(EVERY, toy_reward(EVERY))
    tensors, record = learner.state()
    with pytest.raises(SearchError, match="space and settings"):
        reinforce(hidden=7).load_state(tensors, record)
    del tensors["adam.0.exp_avg"]
    with pytest.raises(SearchError, match=r"nothing for 'adam\.0\.exp_avg'"):
        reinforce().load_state(tensors, record)


def test_a_state_of_earlier_versions_is_continued() -> None:
    """They kept Adam's moments under the names of the weights."""
    whole, resumed = reinforce(STRONG), reinforce(STRONG, seed=9)
    whole.update(EVERY, toy_reward(EVERY))
    tensors, record = whole.state()
    for number, (name, _) in enumerate(whole.controller.named_parameters()):
        for key in ("step", "exp_avg", "exp_avg_sq"):
            tensors[f"adam.{name}.{key}"] = tensors.pop(f"adam.{number}.{key}")
    resumed.load_state(tensors, record)
    assert resumed.update(EVERY, toy_reward(EVERY)) == whole.update(EVERY, toy_reward(EVERY))


@pytest.mark.parametrize("rewards", [[1.0], [1.0, math.nan], [1.0, math.inf], []])
def test_rewards_that_cannot_be_learnt_from_are_refused(rewards) -> None:
    learner = reinforce()
    with pytest.raises(SearchError, match="reward"):
        learner.update(EVERY[:2], rewards)
    assert learner.updates == 0


@pytest.mark.parametrize(
    "setting",
    [
        {"advantage": "best"},
        {"learning_rate": -1.0},
        {"baseline_decay": 1.5},
        {"passes": 0},
        {"memory": -1},
        {"ratio_clip": 0.0},
        {"entropy_final": -0.1},
        {"gradient_clip": 0.0},
        {"entropy_weight": math.nan},
    ],
)
def test_recipes_out_of_range_are_refused(setting) -> None:
    with pytest.raises(SearchError, match=next(iter(setting))):
        Recipe(**setting)


# The search as a whole, on toy rewards over real decisions.

SPACE = macro_space(3)


def additive(seed: int):
    """Every decision adds what its choice is worth; the best architecture takes the best choice everywhere."""
    rng = np.random.default_rng(seed)
    worth = [rng.normal(size=len(decision.choices)) for decision in SPACE.decisions]
    return lambda architecture: float(sum(w[i] for w, i in zip(worth, SPACE.indices(architecture), strict=True))), worth


def interacting(seed: int):
    """What a choice is worth depends on the choice before it."""
    rng = np.random.default_rng(seed)
    sizes = [len(decision.choices) for decision in SPACE.decisions]
    worth = [rng.normal(size=sizes[i : i + 2]) for i in range(len(sizes) - 1)]

    def reward(architecture) -> float:
        indices = SPACE.indices(architecture)
        return float(sum(w[indices[i : i + 2]] for i, w in enumerate(worth)))

    return reward


def best_of_random(reward, queries: int, seed: int) -> float:
    rng = np.random.default_rng(seed)
    asked: set[object] = set()
    while len(asked) < queries:
        asked.add(SPACE.random(rng))
    return max(map(reward, asked))


def test_an_additive_reward_is_solved_and_random_search_is_beaten() -> None:
    for seed in range(3):
        reward, worth = additive(seed)
        queries = optimise(SPACE, reward, updates=30, seed=seed)
        assert len(queries) == len({query.architecture for query in queries}) == 240
        assert best(queries).reward == pytest.approx(sum(w.max() for w in worth))
        assert best(queries).reward > best_of_random(reward, 240, seed) + 0.5


def test_an_interacting_reward_is_searched_better_than_at_random() -> None:
    gains = []
    for seed in range(3):
        reward = interacting(seed)
        gains.append(best(optimise(SPACE, reward, updates=30, seed=seed)).reward - best_of_random(reward, 240, seed))
    assert min(gains) > 0.0
    assert np.mean(gains) > 1.0


def test_the_paper_recipe_learns_what_is_better() -> None:
    """Its small learning rate needs many updates; a single clear preference shows within few."""
    learner = reinforce(replace(PAPER, learning_rate=0.01), spread=1.0)
    before = float(learner.controller.evaluate(EVERY).log_prob.detach().exp()[EVERY[:, 0] == 2].sum())
    for _ in range(80):
        choices = learner.sample(8)
        learner.update(choices, (choices[:, 0] == 2).double())
    after = float(learner.controller.evaluate(EVERY).log_prob.detach().exp()[EVERY[:, 0] == 2].sum())
    assert before < 0.4
    assert after > 0.8


@pytest.mark.parametrize("name", RECIPES)
def test_the_seed_decides_the_queries(name) -> None:
    reward, _ = additive(0)
    runs = [optimise(SPACE, reward, updates=4, seed=seed, recipe=RECIPES[name]) for seed in (1, 1, 2)]
    assert runs[0] == runs[1] != runs[2]


def test_optimise_stops_when_nothing_is_left_to_ask() -> None:
    space = Space("tiny", {}, DECISIONS)
    queries = optimise(space, lambda architecture: float(architecture["edge1-2"]), updates=50, seed=0)
    assert len(queries) == len({query.architecture for query in queries}) == 12  # all of them, once
    assert len(optimise(space, lambda architecture: 0.0, updates=5, seed=0, repeats=True)) == 40


def test_what_optimise_cannot_do_is_refused() -> None:
    with pytest.raises(SearchError, match="updates"):
        optimise(SPACE, lambda architecture: 0.0, updates=0, seed=0)
    with pytest.raises(SearchError, match="finite"):
        optimise(SPACE, lambda architecture: math.nan, updates=1, seed=0)
    with pytest.raises(SearchError, match="no queries"):
        best([])
