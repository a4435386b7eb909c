"""Classifiers with and without a graph, and the constant that is left of them, as a module and as an ONNX file."""

from pathlib import Path

import onnx
import pytest
import torch
import torch.nn.functional as F

from label_graph.classifier import GCN, LabelClassifier, pool, pool_features
from label_graph.errors import LabelGraphError
from trunk.features.source import ArrayFeatures

FEATURES, LABELS = 6, 4


def classifier(graph: bool, pooling: str = "average", *, bias: bool = True) -> LabelClassifier:
    g = torch.Generator().manual_seed(0)
    adjacency = torch.rand(LABELS, LABELS, generator=g)
    mean, deviation = torch.randn(FEATURES, generator=g), torch.rand(FEATURES, generator=g) + 0.5
    gcn = GCN(adjacency, [3, 5, FEATURES], generator=g) if graph else None
    nodes = torch.randn(LABELS, 3, generator=g) if graph else None
    made = LabelClassifier(
        FEATURES,
        LABELS,
        gcn=gcn,
        nodes=nodes,
        pooling=pooling,
        mean=mean,
        deviation=deviation,
        bias=bias,
        generator=g,
    )
    if made.bias is not None:
        torch.nn.init.normal_(made.bias, generator=g)
    return made.eval()


def maps(count: int = 5) -> torch.Tensor:
    return torch.randn(count, FEATURES, 3, 2, generator=torch.Generator().manual_seed(1))


def test_without_a_graph_it_is_a_linear_layer():
    made = LabelClassifier(FEATURES, LABELS, generator=torch.Generator().manual_seed(0))
    pooled = maps().mean(dim=(2, 3))
    torch.testing.assert_close(made(maps()), F.linear(pooled, made.weight()))
    assert {name for name, _ in made.named_parameters()} == {"free", "bias"}


def test_with_a_graph_its_weight_is_what_the_network_says_of_the_nodes():
    made = classifier(True)
    assert made.gcn is not None
    pooled = (maps().amax(dim=(2, 3)) - made.mean) / made.deviation
    made.pooling = "max"
    torch.testing.assert_close(made(maps()), pooled @ made.gcn(made.nodes).T + made.bias)


@pytest.mark.parametrize("pooling", ["average", "max"])
@pytest.mark.parametrize("graph", [True, False])
@pytest.mark.parametrize("bias", [True, False])
def test_the_constant_gives_the_same_logits(graph: bool, pooling: str, bias: bool):
    made = classifier(graph, pooling, bias=bias)
    torch.testing.assert_close(made.constant()(maps()), made(maps()), atol=1e-6, rtol=1e-6)
    assert {name for name, _ in made.constant().named_parameters()} == {"linear.weight", "linear.bias"}


def test_weights_are_drawn_again_from_the_seed():
    made = classifier(False)
    made.reset_parameters(torch.Generator().manual_seed(5))
    again = classifier(False)
    again.reset_parameters(torch.Generator().manual_seed(5))
    assert torch.equal(made.weight(), again.weight())
    assert made.bias is not None
    assert not made.bias.any()


def test_a_feature_that_never_varies_is_not_divided_by_zero():
    made = LabelClassifier(2, 1, mean=torch.zeros(2), deviation=torch.tensor([0.0, 2.0]))
    assert made.deviation.tolist() == [1.0, 2.0]


def test_an_unknown_pooling_is_refused():
    with pytest.raises(LabelGraphError, match="one of average, max"):
        pool(maps(), "median")


def test_features_are_pooled_both_ways_in_batches():
    pooled = pool_features(ArrayFeatures(maps().numpy()), batch_size=2)
    torch.testing.assert_close(pooled.average, maps().mean(dim=(2, 3)))
    torch.testing.assert_close(pooled.by("max"), maps().amax(dim=(2, 3)))
    assert torch.equal(pooled.rows(torch.tensor([3])).max, pooled.max[3:4])


def test_as_onnx_nothing_of_the_graph_is_left(tmp_path: Path):
    from branches.export.folder import run_onnx, write_onnx

    made = classifier(True)
    path = tmp_path / "labels.onnx"
    write_onnx(made.constant(), maps(), path, input_name="features", output_names=["logits"])
    (found,) = run_onnx(path, maps(7))
    torch.testing.assert_close(found, made(maps(7)), atol=1e-6, rtol=1e-6)
    graph = onnx.load(str(path)).graph
    assert sorted(node.op_type for node in graph.node) == ["Gemm", "ReduceMean"]
    assert sorted(tuple(one.dims) for one in graph.initializer if len(one.dims) > 1) == [(LABELS, FEATURES)]
