"""The controller against a per-architecture reference in numpy, against enumeration, and against its own samples."""

import itertools
import math

import numpy as np
import pytest
import torch

from nas.controller.policy import Controller
from nas.controller.steps import Step, steps_of
from nas.errors import SearchError
from search_spaces import SPACES
from search_spaces.decisions import Decision


def toy(nodes: int = 3) -> list[Decision]:
    """A macro-like space: width, then per node an operation and its edges, then pooling."""
    decisions = [Decision("width", (16, 32), "width")]
    for node in range(1, nodes + 1):
        decisions.append(Decision(f"node{node}.operation", ("a", "b", "c")[: 2 + node % 2], "operation", node))
        decisions += [Decision(f"edge{j}-{node}", (False, True), "edge", node, j) for j in range(1, node)]
    return [*decisions, Decision("pooling", ("average", "bilinear"), "pooling")]


def controller(
    decisions: list[Decision] | None = None, *, seed: int = 0, spread: float = 8.0, **settings
) -> Controller:
    """A controller whose weights are `spread` times the usual, so that its choices are far from uniform."""
    built = Controller(decisions or toy(), hidden=6, generator=torch.Generator().manual_seed(seed), **settings).double()
    with torch.no_grad():
        for weight in built.parameters():
            weight *= spread  # type: ignore[misc]
    return built


def enumerate_choices(decisions: list[Decision]) -> torch.Tensor:
    return torch.tensor(list(itertools.product(*(range(len(decision.choices)) for decision in decisions))))


def sigmoid(x):
    return 1.0 / (1.0 + np.exp(-x))


def reference(built: Controller, choices: list[int]) -> tuple[float, float, float]:
    """Log-probability, entropy and skip penalty of one architecture of `toy()`: ENAS read step by step, in numpy."""
    w = {name: weight.detach().numpy() for name, weight in built.named_parameters()}

    def lstm(x, h, c):
        gates = w["cell.weight_ih"] @ x + w["cell.bias_ih"] + w["cell.weight_hh"] @ h + w["cell.bias_hh"]
        i, f, g, o = np.split(gates, 4)
        c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
        return sigmoid(o) * np.tanh(c), c

    def bounded(z):
        z = z / built.temperature if built.temperature else z
        return built.tanh_constant * np.tanh(z) if built.tanh_constant else z

    h = c = np.zeros(built.hidden)
    x = w["start"]
    anchors, log_prob, entropy, penalties = {}, 0.0, 0.0, []
    at = table = 0
    decisions = built.decisions
    while at < len(decisions):
        h, c = lstm(x, h, c)
        if at and decisions[at - 1].node and decisions[at].node != decisions[at - 1].node:
            anchors[decisions[at - 1].node] = h
        if decisions[at].kind != "edge":
            size = len(decisions[at].choices)
            z = bounded(w["heads"][table, :size] @ h + w["biases"][table, :size])
            p = np.exp(z) / np.exp(z).sum()
            log_prob += math.log(p[choices[at]])
            entropy -= (p * np.log(p)).sum()
            x = w["embeddings"][table, choices[at]]
            table, at = table + 1, at + 1
            continue
        total, chosen, node, state = np.zeros(built.hidden), 0, decisions[at].node, h
        while at < len(decisions) and decisions[at].kind == "edge" and decisions[at].node == node:
            anchor = anchors[decisions[at].source]
            q = w["attention"] @ np.tanh(w["anchor_weight"] @ anchor + w["query_weight"] @ state)
            on = sigmoid(bounded(q) - bounded(-q))
            log_prob += math.log(on if choices[at] else 1.0 - on)
            entropy -= on * math.log(on) + (1.0 - on) * math.log(1.0 - on)
            target = built.skip_target
            penalties.append(on * math.log(on / target) + (1.0 - on) * math.log((1.0 - on) / (1.0 - target)))
            total, chosen, at = total + choices[at] * anchor, chosen + choices[at], at + 1
        x = total / (1.0 + chosen)
    return log_prob, entropy, float(np.mean(penalties))


@pytest.mark.parametrize("settings", [{}, {"temperature": 5.0, "tanh_constant": 2.5, "skip_target": 0.3}])
def test_evaluate_equals_a_plain_reference(settings) -> None:
    built = controller(spread=15.0, **settings)
    choices = enumerate_choices(toy())[::7]
    expected = np.array([reference(built, row) for row in choices.tolist()])
    found = torch.stack(built.evaluate(choices)[1:], 1).detach().numpy()
    assert np.ptp(expected[:, 0]) > 0.5  # the architectures differ, so that there is something to compare
    np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-12)


def test_probabilities_of_all_architectures_sum_to_one() -> None:
    built = controller()
    probabilities = built.evaluate(enumerate_choices(toy())).log_prob.exp()
    assert float(probabilities.detach().sum()) == pytest.approx(1.0, abs=1e-12)


def test_samples_are_judged_as_evaluate_judges_them() -> None:
    built = controller(temperature=2.0, tanh_constant=1.5)
    samples = built.sample(32, torch.Generator().manual_seed(1))
    for sampled, evaluated in zip(samples, built.evaluate(samples.choices), strict=True):
        assert torch.equal(sampled, evaluated)


def test_samples_are_drawn_with_the_probabilities_that_evaluate_gives() -> None:
    built, n = controller(spread=5.0), 20_000
    every = enumerate_choices(toy())
    with torch.no_grad():
        probability = built.evaluate(every).log_prob.exp()
        drawn = built.sample(n, torch.Generator().manual_seed(2)).choices
    place = {tuple(row): index for index, row in enumerate(every.tolist())}
    counts = torch.bincount(torch.tensor([place[tuple(row)] for row in drawn.tolist()]), minlength=len(every))
    deviation = (counts - n * probability) / (n * probability * (1 - probability)).sqrt()
    assert float(deviation.abs().max()) < 5.0
    assert float(probability.max() / probability.min()) > 2.0  # far enough from uniform to tell them apart
    for column, decision in enumerate(toy()):
        assert set(drawn[:, column].tolist()) == set(range(len(decision.choices)))


def test_a_decision_with_many_choices_is_drawn_by_its_softmax() -> None:
    probability = torch.tensor([0.7, 0.2, 0.08, 0.02], dtype=torch.float64)
    built = controller([Decision("a", (1, 2, 3, 4)), Decision("b", (1, 2, 3, 4, 5, 6))], spread=0.0)
    with torch.no_grad():
        built.biases[0, :4] = probability.log()
        drawn = built.sample(20_000, torch.Generator().manual_seed(0)).choices
    for column, expected in enumerate((probability, torch.full((6,), 1 / 6, dtype=torch.float64))):
        share = torch.bincount(drawn[:, column]) / 20_000
        assert float(((share - expected) / (expected * (1 - expected) / 20_000).sqrt()).abs().max()) < 5.0


def test_zero_weights_make_every_architecture_equally_likely() -> None:
    built = controller(spread=0.0, skip_target=0.5)
    samples = built.evaluate(enumerate_choices(toy()))
    size = len(enumerate_choices(toy()))
    torch.testing.assert_close(samples.log_prob, torch.full((size,), -math.log(size), dtype=torch.float64))
    torch.testing.assert_close(samples.entropy, torch.full((size,), math.log(size), dtype=torch.float64))
    torch.testing.assert_close(samples.skip_penalty, torch.zeros(size, dtype=torch.float64))


def test_mode_takes_the_likeliest_choice_at_every_step() -> None:
    built = controller()
    expected: list[int] = []
    every = enumerate_choices(toy())
    probability = built.evaluate(every).log_prob.detach().exp()
    for column, decision in enumerate(toy()):
        # A prefix is as likely as all of its completions together.
        begun = (every[:, :column] == torch.tensor(expected, dtype=torch.int64)).all(1)
        totals = [float(probability[begun & (every[:, column] == i)].sum()) for i in range(len(decision.choices))]
        expected.append(int(np.argmax(totals)))
    assert built.mode().tolist() == expected


def test_every_weight_learns() -> None:
    built = controller()
    samples = built.evaluate(built.sample(16, torch.Generator().manual_seed(0)).choices)
    samples.log_prob.square().sum().backward()
    for name, weight in built.named_parameters():
        assert weight.grad is not None, name
        assert bool(weight.grad.any()), name


@pytest.mark.parametrize("settings", [{}, {"temperature": 5.0, "tanh_constant": 2.5}])
def test_the_gradient_of_every_weight_is_the_slope_of_the_loss(settings) -> None:
    built = controller(spread=12.0, **settings)
    choices = built.sample(5, torch.Generator().manual_seed(3)).choices
    weights = list(built.parameters())

    def loss(*_: torch.Tensor) -> torch.Tensor:
        found = built.evaluate(choices)
        rows = torch.arange(1.0, 6.0, dtype=torch.float64)
        return (rows * (found.log_prob + 0.3 * found.entropy - 0.2 * found.skip_penalty)).sum()

    assert torch.autograd.gradcheck(loss, weights, eps=1e-6, atol=1e-6, rtol=1e-5)


def test_seeds_decide_and_the_global_generator_is_left_alone() -> None:
    before = torch.get_rng_state()
    first, again, other = controller(seed=3), controller(seed=3), controller(seed=4)
    draws = [built.sample(8, torch.Generator().manual_seed(5)).choices for built in (first, again)]
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.equal(first.heads, again.heads)
    assert not torch.equal(first.heads, other.heads)
    assert torch.equal(*draws)
    assert not torch.equal(draws[0], first.sample(8, torch.Generator().manual_seed(6)).choices)


def test_steps_group_edges_and_place_anchors() -> None:
    steps, outside = steps_of(toy())
    assert steps == (
        Step((0,)),  # width
        Step((1,)),  # node1.operation
        Step((2,), (), 1),  # node2.operation has read node 1
        Step((3,), (1,)),  # edge1-2
        Step((4,), (), 2),  # node3.operation has read node 2
        Step((5, 6), (1, 2)),  # edge1-3, edge2-3
        Step((7,)),  # pooling; no edge starts at node 3
    )
    assert outside == 0


def test_edges_from_sources_without_decisions_have_learned_anchors() -> None:
    decisions = [Decision(f"edge{j}-5", (False, True), "edge", 5, j) for j in (0, 3)]
    steps, outside = steps_of(decisions)
    assert (steps, outside) == ((Step((0, 1), (-1, -2)),), 2)
    built = controller(decisions)
    probabilities = built.evaluate(enumerate_choices(decisions)).log_prob.detach().exp()
    assert float(probabilities.detach().sum()) == pytest.approx(1.0)
    assert float(probabilities[1]) != pytest.approx(float(probabilities[2]))  # the two edges can be told apart


def test_a_space_without_edges_has_no_skip_penalty() -> None:
    samples = controller([Decision("a", (1, 2, 3)), Decision("b", (1,))]).sample(4, torch.Generator())
    assert samples.skip_penalty.tolist() == [0.0] * 4
    assert samples.choices[:, 1].tolist() == [0] * 4


@pytest.mark.parametrize(
    ("decisions", "message"),
    [
        ([], "no decisions"),
        ([Decision("e", (True, False), "edge", 2, 1)], "Edge 'e'"),
        ([Decision("e", (False, True), "edge", 2)], "Edge 'e'"),
    ],
)
def test_spaces_that_cannot_be_decided_are_refused(decisions, message) -> None:
    with pytest.raises(SearchError, match=message):
        Controller(decisions, generator=torch.Generator())


@pytest.mark.parametrize("settings", [{"temperature": 0.0}, {"tanh_constant": -1.0}, {"skip_target": 1.0}])
def test_settings_out_of_range_are_refused(settings) -> None:
    with pytest.raises(SearchError, match=next(iter(settings))):
        Controller(toy(), generator=torch.Generator(), **settings)


@pytest.mark.parametrize(("choices", "message"), [([[0, 1]], "indices"), ([[0, 2, 0, 0, 0, 0, 0, 2]], "outside")])
def test_choices_of_another_space_are_refused(choices, message) -> None:
    with pytest.raises(SearchError, match=message):
        controller().evaluate(torch.tensor(choices))


@pytest.mark.parametrize("name", SPACES)
def test_an_untrained_controller_draws_every_choice_of_a_space_about_as_often(name: str) -> None:
    space = SPACES[name](3)
    built = Controller(space.decisions, generator=torch.Generator().manual_seed(0))
    drawn = built.sample(2000, torch.Generator().manual_seed(1)).choices
    for column, decision in enumerate(space.decisions):
        shares = torch.bincount(drawn[:, column], minlength=len(decision.choices)) / 2000
        assert len(shares) == len(decision.choices)
        assert (shares * len(shares) - 1).abs().max() < 0.3
    for row in drawn[:50].tolist():
        assert list(space.indices(space.architecture(row))) == row
