"""The drawing of a branch by hand: the backbone's blocks in a row, then pooling, whatever is known around them."""

import pytest

from reports.drawing.branch import architecture_figure
from reports.drawing.geometry import places_of
from reports.drawing.graph import branch_graph, describe
from reports.drawing.surroundings import Surroundings
from search_spaces import Architecture, tail_space

AROUND = Surroundings((64, 4, 4), 3, "small_cnn", ("blue", "red"), 0.46, 223442, 891264, 554306, 2214912)
UNKNOWN = Surroundings(None, None, None, (), None, None, None, None, None)


def tail(pooling: str) -> Architecture:
    space = tail_space(3, backbone="small_cnn", blocks=(5,), poolings=(pooling,), widths=(8,))
    return space.architecture((0, 0, 0))


def test_bilinear_pooling_reads_the_blocks_through_a_projection() -> None:
    words = describe(branch_graph(tail("bilinear"), AROUND))
    for sentence in (
        "block 3 (the backbone's own, fine-tuned) reads the trunk.",
        "block 4 (the backbone's own, fine-tuned) reads block 3.",
        "projection: convolution 1×1 (ReLU, to 8) reads block 4.",
        "bilinear pooling (8×8, signed root, L2) reads the projection.",
        "linear (64 to 2) reads the pool.",
    ):
        assert sentence in words


def test_average_pooling_reads_the_last_block() -> None:
    words = describe(branch_graph(tail("average"), AROUND))
    assert "average pooling (over all positions) reads block 4." in words
    assert "projection" not in words


@pytest.mark.parametrize("around", [AROUND, UNKNOWN])
@pytest.mark.parametrize("pooling", ["average", "bilinear"])
def test_it_is_drawn_top_to_bottom_with_the_tail_beside_it(pooling: str, around: Surroundings) -> None:
    graph = branch_graph(tail(pooling), around)
    places = places_of(graph)
    order = [
        "trunk",
        "block3",
        "block4",
        *(["projection"] if pooling == "bilinear" else []),
        "pool",
        "linear",
        "values",
    ]
    assert sorted(places, key=lambda name: -places[name].y) == order
    assert ("tail" in graph) == (around.tail_parameters is not None)
    words = [text.get_text() for text in architecture_figure(graph, around).axes[0].texts]
    assert "block 3" in words
    assert ("tail it replaces" in words) == ("tail" in graph)
