"""Equations 3 and 4 against a worked example, and what holds of them for any labels."""

import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from label_graph.cooccurrence import (
    LabelGraphWarning,
    conditional_probability,
    count_pairs,
    estimated_counts,
    label_adjacency,
    normalise,
    reweight,
    threshold,
)
from label_graph.errors import LabelGraphError

# Five images; labels a, b, c, d. d is never seen, and the third image says nothing of b, the fourth nothing of c.
STATES = np.array(
    [
        [1, 1, 0, 0],
        [1, 1, 1, 0],
        [1, -1, 1, 0],
        [1, 0, -1, 0],
        [0, 0, 1, -1],
    ]
)
# By hand: a is in images 1-4; b is known in 1, 2, 4 of these and in 1, 2; c is known in 1, 2, 3 and in 2, 3.
BOTH = [[4, 2, 2, 0], [2, 2, 1, 0], [2, 1, 3, 0], [0, 0, 0, 0]]
KNOWN = [[4, 3, 3, 4], [2, 2, 2, 2], [3, 2, 3, 2], [0, 0, 0, 0]]
PROBABILITY = [[1, 2 / 3, 2 / 3, 0], [1, 1, 1 / 2, 0], [2 / 3, 1 / 2, 1, 0], [0, 0, 0, 0]]

states_of_labels = st.integers(1, 6).flatmap(
    lambda labels: arrays(np.int64, st.tuples(st.integers(0, 8), st.just(labels)), elements=st.integers(-1, 1))
)
edges_of_labels = st.integers(1, 6).flatmap(
    lambda labels: arrays(np.float64, (labels, labels), elements=st.sampled_from([0.0, 1.0]))
)
shares = st.floats(0, 1)


def test_counts_and_probabilities_by_hand() -> None:
    counts = count_pairs(STATES)
    assert counts.both.tolist() == BOTH
    assert counts.known.tolist() == KNOWN
    assert counts.positives.tolist() == [4, 2, 3, 0]
    assert not counts.estimated
    assert conditional_probability(counts) == pytest.approx(np.array(PROBABILITY))


def test_equations_3_and_4_by_hand() -> None:
    edges = threshold(np.array(PROBABILITY), 0.6)
    assert edges.tolist() == [[0, 1, 1, 0], [1, 0, 0, 0], [1, 0, 0, 0], [0, 0, 0, 0]]
    weights = reweight(edges, 0.2)
    expected = [[0.8, 0.1, 0.1, 0], [0.2, 0.8, 0, 0], [0.2, 0, 0.8, 0], [0, 0, 0, 1]]
    assert weights == pytest.approx(np.array(expected))


def test_the_threshold_itself_is_an_edge() -> None:
    assert threshold(np.array([[1, 0.5], [0.4, 1]]), 0.5).tolist() == [[0, 1], [0, 0]]


def test_normalisation_by_hand() -> None:
    plain = np.array([[0.0, 1, 1], [1, 0, 0], [0, 0, 0]])
    root = 1 / np.sqrt(2)
    assert normalise(plain) == pytest.approx(np.array([[0, root, 0], [root, 0, 0], [0, 0, 0]]))
    # With self-loops the rows add up to 3, 2, 1.
    expected = [[1 / 3, 1 / np.sqrt(6), 1 / np.sqrt(3)], [1 / np.sqrt(6), 1 / 2, 0], [0, 0, 1]]
    assert normalise(plain, self_loops=True) == pytest.approx(np.array(expected))
    assert plain.tolist() == [[0, 1, 1], [1, 0, 0], [0, 0, 0]]


def test_labels_without_images_or_neighbours_are_warned_of_by_name() -> None:
    with pytest.warns(LabelGraphWarning) as said:
        graph = label_adjacency(count_pairs(STATES), tau=0.9, p=0.2, labels=("a", "b", "c", "d"))
    assert [str(each.message) for each in said] == [
        "no image shows d: the label graph knows no neighbour of it",
        "at tau 0.9 the label graph has no edge from a, c: lower tau to join them",
    ]
    assert (graph.absent, graph.isolated) == ((3,), (0, 2, 3))
    assert graph.matrix.tolist() == [[1, 0, 0, 0], [0.2, 0.8, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]]
    assert graph.probability == pytest.approx(np.array(PROBABILITY))


def test_a_whole_graph_warns_of_nothing() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        graph = label_adjacency(count_pairs(STATES[:, :3]), tau=0.1, p=0.2)
    assert graph.isolated == graph.absent == ()


def test_estimated_counts_by_hand_and_marked() -> None:
    counts = estimated_counts(np.array([[0.5, 0.2], [1.0, 0.6]]), np.array([[-1, -1], [-1, 0]]))
    assert counts.both == pytest.approx(np.array([[1.5, 0.1], [0.1, 0.2]]))  # the second image lacks b: it is known
    assert conditional_probability(counts) == pytest.approx(np.array([[1, 0.1 / 1.5], [0.5, 1]]))
    assert counts.estimated
    assert label_adjacency(counts, tau=0.05, p=0.2).estimated


def test_certain_predictions_count_as_labels_do() -> None:
    known = np.maximum(STATES, 0)
    counted, estimated = count_pairs(known), estimated_counts(known.astype(np.float64))
    assert estimated.both.tolist() == counted.both.tolist()
    assert estimated.known.tolist() == counted.known.tolist()


def test_estimates_meet_the_truth_where_labels_are_independent_given_the_image() -> None:
    rng = np.random.default_rng(0)
    probabilities = rng.uniform(size=(200_000, 1)) * np.array([1.0, 0.5, 0.25])
    drawn = (rng.uniform(size=probabilities.shape) < probabilities).astype(np.int64)
    found = conditional_probability(estimated_counts(probabilities))
    # 25,000 images show the rarest label: 0.012 is four standard deviations.
    assert found == pytest.approx(conditional_probability(count_pairs(drawn)), abs=0.012)


@given(states_of_labels)
@settings(max_examples=60, deadline=None)
def test_probabilities_are_shares_and_counts_symmetric(states: np.ndarray) -> None:
    counts = count_pairs(states)
    probability = conditional_probability(counts)
    assert (counts.both == counts.both.T).all()
    assert (counts.both <= counts.known).all()
    assert ((probability >= 0) & (probability <= 1)).all()
    assert (np.diagonal(probability) == (counts.positives > 0)).all()


@given(edges_of_labels, shares)
@settings(max_examples=60, deadline=None)
def test_rows_add_up_to_one_and_absent_edges_stay_zero(edges: np.ndarray, p: float) -> None:
    weights = reweight(edges, p)
    off = ~np.eye(len(edges), dtype=bool)
    assert weights.sum(axis=1) == pytest.approx(np.ones(len(edges)))
    assert (weights >= 0).all()
    assert (weights[off & (edges == 0)] == 0).all()
    assert normalise(weights) == pytest.approx(weights)


@given(states_of_labels, st.floats(0.05, 1), shares, st.randoms(use_true_random=False))
@settings(max_examples=60, deadline=None)
@pytest.mark.filterwarnings("ignore::label_graph.cooccurrence.LabelGraphWarning")
def test_permuting_the_labels_permutes_the_graph(states: np.ndarray, tau: float, p: float, random: object) -> None:
    order = list(range(states.shape[1]))
    random.shuffle(order)  # type: ignore[attr-defined]
    plain = label_adjacency(count_pairs(states), tau=tau, p=p)
    permuted = label_adjacency(count_pairs(states[:, order]), tau=tau, p=p)
    assert permuted.matrix == pytest.approx(plain.matrix[np.ix_(order, order)])
    assert permuted.isolated == tuple(place for place, label in enumerate(order) if label in plain.isolated)


@pytest.mark.parametrize("tau", [0.0, 1.1, float("nan")])
def test_a_threshold_that_joins_all_is_refused(tau: float) -> None:
    with pytest.raises(LabelGraphError, match="choose a threshold above 0"):
        threshold(np.eye(2), tau)


@pytest.mark.parametrize("p", [-0.1, 1.1])
def test_a_share_that_is_none_is_refused(p: float) -> None:
    with pytest.raises(LabelGraphError, match="neighbours' share between 0 and 1"):
        reweight(np.eye(2), p)


def test_what_is_no_state_and_no_probability_is_refused() -> None:
    with pytest.raises(LabelGraphError, match="hold 2: use 1 present"):
        count_pairs(np.array([[0, 2]]))
    with pytest.raises(LabelGraphError, match=r"shape \(3,\)"):
        count_pairs(np.array([0, 1, 1]))
    with pytest.raises(LabelGraphError, match="calibrate the scores first"):
        estimated_counts(np.array([[0.5, -3.0]]))
    with pytest.raises(LabelGraphError, match="one shape"):
        estimated_counts(np.array([[0.5, 0.5]]), np.array([[1]]))
