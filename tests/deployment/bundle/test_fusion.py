"""Horizontal fusion: the same scores from fewer convolutions."""

from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from deployment.bundle.fusion import fused


def run(model: onnx.ModelProto, images: npt.NDArray[np.float32]) -> list[npt.NDArray[np.float32]]:
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return list(session.run(None, {session.get_inputs()[0].name: images}))


def joined(
    activations: tuple[str, ...], *, kernels: tuple[int, ...] = (1, 1, 1), biases: bool = True
) -> onnx.ModelProto:
    """Three branches on one trunk map: convolution, activation, mean over the positions twice, difference."""
    rng = np.random.default_rng(0)
    nodes = [helper.make_node("Relu", ["image"], ["trunk/map"])]
    constants, outputs = [], []
    for number, (activation, kernel) in enumerate(zip(activations, kernels, strict=True)):
        prefix, width = f"branch/{number}/", 2 + number
        arrays = {
            "weight": rng.standard_normal((width, 4, kernel, kernel)).astype(np.float32),
            "bias": rng.standard_normal(width).astype(np.float32),
            "axes": np.array([2, 3]),
        }
        constants += [numpy_helper.from_array(array, prefix + name) for name, array in arrays.items()]
        inputs = ["trunk/map", f"{prefix}weight", *([f"{prefix}bias"] if biases else [])]
        nodes += [
            helper.make_node("Conv", inputs, [f"{prefix}conv"], pads=[kernel // 2] * 4),
            helper.make_node(activation, [f"{prefix}conv"], [f"{prefix}active"]),
            helper.make_node("ReduceMean", [f"{prefix}active", f"{prefix}axes"], [f"{prefix}mean"]),
            helper.make_node("ReduceMean", ["trunk/map", f"{prefix}axes"], [f"{prefix}shortcut"], keepdims=0),
            helper.make_node("ReduceMean", [f"{prefix}shortcut"], [f"{prefix}one"]),
            helper.make_node("Sub", [f"{prefix}mean", f"{prefix}one"], [f"out{number}"]),
        ]
        outputs.append(helper.make_tensor_value_info(f"out{number}", TensorProto.FLOAT, ["batch", width, 1, 1]))
    given = helper.make_tensor_value_info("image", TensorProto.FLOAT, ["batch", 4, 5, 5])
    graph = helper.make_graph(nodes, "joined", [given], outputs, constants)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)


def kinds(model: onnx.ModelProto) -> list[str]:
    return [node.op_type for node in model.graph.node]


@pytest.mark.parametrize("biases", [True, False])
def test_convolutions_of_one_map_become_one_and_give_the_same(biases: bool) -> None:
    model = joined(("Relu",) * 3, biases=biases)
    found, said = fused(model)
    assert said == {"convolutions": 3, "became": 1, "shared": 6}
    assert kinds(found).count("Conv") == kinds(found).count("Split") == 1
    assert kinds(found).count("Relu") == 2
    assert kinds(found).count("ReduceMean") == 5  # three of branches, one of the trunk's map, one of that
    images = np.random.default_rng(1).standard_normal((3, 4, 5, 5)).astype(np.float32)
    for one, other in zip(run(found, images), run(model, images), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-6)


def test_the_graph_that_was_given_stays_as_it_is() -> None:
    model = joined(("Relu",) * 3)
    before = model.SerializeToString(deterministic=True)
    fused(model)
    assert model.SerializeToString(deterministic=True) == before


def test_different_activations_stay_behind_the_split() -> None:
    model = joined(("Relu", "HardSwish", "Tanh"))
    found, said = fused(model)
    assert said["became"] == 1
    order = kinds(found)
    assert order.index("Split") < order.index("HardSwish") < order.index("Tanh")
    images = np.random.default_rng(1).standard_normal((2, 4, 5, 5)).astype(np.float32)
    for one, other in zip(run(found, images), run(model, images), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-6)


def test_other_kernels_and_the_trunks_own_convolutions_are_left_alone() -> None:
    model = joined(("Relu",) * 3, kernels=(1, 3, 1))
    assert fused(model)[1]["convolutions"] == 2
    for node in model.graph.node:
        node.input[:] = [name.replace("branch/", "trunk/") for name in node.input]
        node.output[:] = [name.replace("branch/", "trunk/") for name in node.output]
    for constant in model.graph.initializer:
        constant.name = constant.name.replace("branch/", "trunk/")
    assert fused(model)[1]["convolutions"] == 0


def test_equal_outputs_of_the_graph_are_both_kept(tmp_path: Path) -> None:
    nodes = [helper.make_node("Relu", ["image"], [name]) for name in ("bald", "hat")]
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", 4]) for name in ("bald", "hat")]
    given = helper.make_tensor_value_info("image", TensorProto.FLOAT, ["batch", 4])
    model = helper.make_model(
        helper.make_graph(nodes, "twins", [given], ends), opset_imports=[helper.make_opsetid("", 20)], ir_version=10
    )
    images = np.array([[-1.0, 2.0, 0.0, 1.0]], dtype=np.float32)
    one, other = run(fused(model)[0], images)
    np.testing.assert_array_equal(one, other)
