"""Node features against hand-worked means, scikit-learn's PCA, and files of vectors."""

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.decomposition import PCA

from label_graph.cooccurrence import LabelGraphWarning
from label_graph.errors import LabelGraphError
from label_graph.nodes import identity_nodes, image_embeddings, principal_components, unit_scale, word_vectors, words_of


def test_a_node_is_the_mean_of_its_labels_positives():
    features = torch.tensor([[1.0, 0.0], [3.0, 2.0], [5.0, 7.0]])
    states = torch.tensor([[1, -1], [1, 0], [0, 1]], dtype=torch.int8)
    # label 0: images 0 and 1; label 1: image 2 alone, its unknown and its absent images do not count
    assert torch.equal(image_embeddings(features, states), torch.tensor([[2.0, 1.0], [5.0, 7.0]]))


def test_a_label_without_positives_starts_from_the_mean_of_all_and_is_named():
    features = torch.tensor([[1.0], [3.0]])
    states = torch.tensor([[1, 0], [1, -1]], dtype=torch.int8)
    with pytest.warns(LabelGraphWarning, match=r"1 of 2 labels have no positive .*\(hat\)"):
        nodes = image_embeddings(features, states, names=["bag", "hat"])
    assert nodes.tolist() == [[2.0], [2.0]]


def test_embeddings_need_images():
    with pytest.raises(LabelGraphError, match="got 0 and 0"):
        image_embeddings(torch.empty(0, 3), torch.empty(0, 2, dtype=torch.int8))


@pytest.mark.parametrize(("labels", "width"), [(6, 40), (6, 4)])
def test_principal_components_are_scikit_learns(labels: int, width: int):
    nodes = torch.from_numpy(np.random.default_rng(0).normal(size=(labels, width)))
    count = min(labels, width)
    theirs = PCA(n_components=count, svd_solver="full").fit_transform(nodes.numpy())
    ours = principal_components(nodes).numpy()
    assert ours.shape == (labels, count)
    np.testing.assert_allclose(np.abs(ours), np.abs(theirs), atol=1e-9)


@given(st.integers(2, 7), st.integers(1, 9), st.integers(0, 12), st.integers(0, 99))
@settings(max_examples=40, deadline=None)
def test_components_are_as_many_as_there_are_and_follow_the_labels(labels: int, width: int, asked: int, seed: int):
    rng = np.random.default_rng(seed)
    nodes, order = torch.from_numpy(rng.normal(size=(labels, width))), rng.permutation(labels)
    found = principal_components(nodes, asked)
    assert found.shape == (labels, min(asked or labels, labels, width))
    # the last of as many axes as labels is empty and has no direction of its own
    used = min(found.shape[1], labels - 1)
    torch.testing.assert_close(
        principal_components(nodes[order], asked)[:, :used], found[order][:, :used], atol=1e-8, rtol=0
    )


def test_a_negative_number_of_components_is_refused():
    with pytest.raises(LabelGraphError, match="at least 0"):
        principal_components(torch.eye(3), -1)


def test_scaled_nodes_have_norm_one_on_average():
    nodes = unit_scale(torch.tensor([[3.0, 4.0], [0.0, 0.0]]))
    assert nodes.norm(dim=1).square().mean().item() == pytest.approx(1.0)
    assert torch.equal(unit_scale(torch.zeros(2, 2)), torch.zeros(2, 2))
    assert torch.equal(unit_scale(identity_nodes(3)), torch.eye(3))


def test_words_of_a_label():
    assert words_of("traffic_light") == ["traffic", "light"]
    assert words_of("Sleeve=long-ish 2") == ["sleeve", "long", "ish", "2"]


def test_vectors_from_text_and_arrays_are_the_same(tmp_path: Path):
    text, array = tmp_path / "glove.txt", tmp_path / "glove.npz"
    text.write_text("the 9 9\ntraffic 1 0\nlight 0 2\nhat 5 5\n")
    np.savez(array, words=["traffic", "light", "hat"], vectors=[[1, 0], [0, 2], [5, 5]])
    wanted = torch.tensor([[0.5, 1.0], [5.0, 5.0]])
    for path in (text, array):
        assert torch.equal(word_vectors(path, ["traffic_light", "Hat"]), wanted)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("hat 1 2\n", "no vector for label 'bag'"),
        ("bag one\n", "line 1: could not convert"),
        ("hat 1 2\nbag 1\n", "line 2: 'bag' has 1 numbers, must have 2"),
        ("bag 1 nan\n", "all finite"),
    ],
)
def test_a_file_that_cannot_be_used_is_refused_with_its_line(tmp_path: Path, content: str, message: str):
    path = tmp_path / "vectors.txt"
    path.write_text(content)
    with pytest.raises(LabelGraphError, match=message):
        word_vectors(path, ["hat", "bag"] if "hat" in content else ["bag"])


def test_other_files_are_refused(tmp_path: Path):
    np.savez(tmp_path / "wrong.npz", words=["hat"], vectors=[1.0])
    for name, message in (
        ("a.bin", "no file of word vectors"),
        ("a.txt", "cannot be read"),
        ("wrong.npz", r"\(n, d\)"),
    ):
        with pytest.raises(LabelGraphError, match=message):
            word_vectors(tmp_path / name, ["hat"])
