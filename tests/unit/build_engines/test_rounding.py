"""Rounded weights give the same mean output as exact ones."""

from typing import Any

import ml_dtypes
import numpy as np
import numpy.typing as npt
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from build_engines.layout import fold
from build_engines.rounding import round_weights
from tests.unit.build_engines.networks import GRID, images, run, served_network

LAYERS: dict[str, tuple[str, tuple[int, ...], dict[str, Any]]] = {
    "plain": ("Conv", (6, 3, 3, 3), {"pads": [1, 1, 1, 1]}),
    "depthwise": ("Conv", (3, 1, 3, 3), {"group": 3, "pads": [1, 1, 1, 1]}),
    "grouped": ("Conv", (6, 1, 3, 3), {"group": 3, "pads": [1, 1, 1, 1]}),
    "transposed": ("ConvTranspose", (3, 6, 2, 2), {"strides": [2, 2]}),
    "transposed in groups": ("ConvTranspose", (3, 2, 2, 2), {"group": 3, "strides": [2, 2]}),
}


def _layer(kind: str, *, bias: bool) -> onnx.ModelProto:
    """UINT8 [N, 64, 64, 3] to the float output of one layer."""
    operator, shape, attributes = LAYERS[kind]
    weights = np.random.default_rng(1).uniform(1, 2, shape).astype(np.float32)
    outputs = shape[0] if operator == "Conv" else shape[1] * attributes.get("group", 1)
    tensors = {"w": weights} | ({"b": np.full(outputs, 0.3, np.float32)} if bias else {})
    nodes = [
        helper.make_node("Cast", ["pixels"], ["float"], to=TensorProto.FLOAT),
        helper.make_node("Transpose", ["float"], ["image"], perm=[0, 3, 1, 2]),
        helper.make_node(operator, ["image", *tensors], ["out"], **attributes),
    ]
    graph = helper.make_graph(
        nodes,
        "layer",
        [helper.make_tensor_value_info("pixels", TensorProto.UINT8, ["n", GRID, GRID, 3])],
        [helper.make_tensor_value_info("out", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(values, name) for name, values in tensors.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)


def _means(model: onnx.ModelProto, pixels: npt.NDArray[np.uint8]) -> npt.NDArray[np.float64]:
    means: npt.NDArray[np.float64] = np.asarray(run(model, pixels), np.float64).mean(axis=(0, 2, 3))
    return means


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("kind", LAYERS)
def test_a_layer_keeps_its_mean_output(kind: str, *, bias: bool) -> None:
    model = _layer(kind, bias=bias)
    seen = [image[np.newaxis] for image in images(3)]
    pixels = np.concatenate(seen)
    corrected = round_weights(model, seen)
    uncorrected = onnx.ModelProto()
    uncorrected.CopyFrom(model)
    weights = numpy_helper.to_array(model.graph.initializer[0]).astype(ml_dtypes.bfloat16).astype(np.float32)
    uncorrected.graph.initializer[0].CopyFrom(numpy_helper.from_array(weights, "w"))
    exact = _means(model, pixels)
    before, after = (np.abs(_means(one, pixels) - exact).max() for one in (uncorrected, corrected))
    assert before > 0.1
    assert after < before / 10


def test_the_weights_are_those_bf16_holds_and_the_network_takes_and_gives_what_it_did() -> None:
    model = fold(served_network(classes=2), "net")
    rounded = round_weights(model, [images(1)])
    weights = {tensor.name: numpy_helper.to_array(tensor) for tensor in rounded.graph.initializer}
    layers = [node for node in rounded.graph.node if node.op_type == "Conv"]
    assert len(layers) == 2
    for node in layers:
        values = weights[node.input[1]]
        np.testing.assert_array_equal(values, values.astype(ml_dtypes.bfloat16).astype(np.float32))
    exact, changed = (run(one, images()).astype(int) for one in (model, rounded))
    assert 0 < np.abs(exact - changed).mean() < 1
    assert list(rounded.graph.input) == list(model.graph.input)
    assert list(rounded.graph.output) == list(model.graph.output)
