"""Graph convolution against a hand-worked example and a layer written out; what it learns and what it does not."""

import pytest
import torch
import torch.nn.functional as F

from label_graph.classifier import GCN, GraphConvolution, graph_convolution
from label_graph.errors import LabelGraphError


def test_one_layer_by_hand():
    adjacency = torch.tensor([[0.5, 0.5], [0.0, 1.0]])
    nodes, weight = torch.tensor([[2.0, 0.0], [0.0, 4.0]]), torch.tensor([[1.0], [10.0]])
    # Â F = [[1, 2], [0, 4]]; times W: 1 + 20, 40
    assert graph_convolution(nodes, adjacency, weight).tolist() == [[21.0], [40.0]]


@pytest.mark.parametrize(("inputs", "outputs"), [(3, 7), (7, 3)])
def test_the_order_of_the_products_does_not_matter(inputs: int, outputs: int):
    g = torch.Generator().manual_seed(0)
    nodes, adjacency = torch.randn(5, inputs, generator=g), torch.rand(5, 5, generator=g)
    layer = GraphConvolution(inputs, outputs, generator=g)
    torch.testing.assert_close(layer(nodes, adjacency), adjacency @ nodes @ layer.weight)


def test_a_network_is_its_layers_with_a_leaky_relu_between():
    g = torch.Generator().manual_seed(1)
    adjacency, nodes = torch.rand(4, 4, generator=g), torch.randn(4, 3, generator=g)
    net = GCN(adjacency, [3, 6, 2], generator=g)
    first, second = net.parameters()
    expected = adjacency @ F.leaky_relu(adjacency @ nodes @ first, 0.2) @ second
    torch.testing.assert_close(net(nodes), expected)


def test_with_the_identity_graph_labels_do_not_meet():
    net = GCN(torch.eye(4), [3, 6, 2], generator=torch.Generator().manual_seed(0))
    nodes = torch.randn(4, 3, generator=torch.Generator().manual_seed(1))
    changed = nodes.clone()
    changed[2] += 1
    differing = (net(nodes) != net(changed)).any(dim=1)
    assert differing.tolist() == [False, False, True, False]


def test_relabelled_graphs_give_relabelled_classifiers():
    g = torch.Generator().manual_seed(2)
    adjacency, nodes, order = torch.rand(5, 5, generator=g), torch.randn(5, 3, generator=g), torch.randperm(5)
    net = GCN(adjacency, [3, 4], generator=torch.Generator().manual_seed(0))
    other = GCN(adjacency[order][:, order], [3, 4], generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(other(nodes[order]), net(nodes)[order])


def test_the_adjacency_is_kept_and_never_trained():
    net = GCN(torch.eye(3), [3, 2])
    assert "adjacency" in net.state_dict()
    assert [name for name, _ in net.named_parameters()] == ["layers.0.weight"]


def test_weights_are_drawn_again_from_the_seed():
    net = GCN(torch.eye(3), [3, 5, 2], generator=torch.Generator().manual_seed(3))
    before = {name: value.clone() for name, value in net.state_dict().items()}
    net.reset_parameters(torch.Generator().manual_seed(4))
    assert not torch.equal(next(net.parameters()), before["layers.0.weight"])
    net.reset_parameters(torch.Generator().manual_seed(3))
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())


def test_an_adjacency_that_is_not_square_and_a_network_without_layers_are_refused():
    with pytest.raises(LabelGraphError, match="square"):
        GCN(torch.ones(2, 3), [3, 2])
    with pytest.raises(LabelGraphError, match="at least one layer"):
        GCN(torch.eye(2), [3])
