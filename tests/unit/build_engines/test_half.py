"""FP16 graphs keep their ends and give the same probabilities."""

import numpy as np
import onnx
import pytest
from onnx import TensorProto, numpy_helper

from build_engines.compose import Composition, compose
from build_engines.errors import GraphError
from build_engines.half import to_bf16, to_fp16
from build_engines.layout import cast_first, fold
from build_engines.views import View
from tests.unit.build_engines.networks import images, logits_network, run, served_network


def test_fp16_differs_by_at_most_one_level() -> None:
    model = served_network(classes=2)
    half = to_fp16(model, "net")
    exact, rounded = (run(one, images()).astype(int) for one in (model, half))
    assert np.abs(exact - rounded).max() <= 1


def test_the_convolutions_are_fp16_and_input_and_output_are_bytes() -> None:
    half = to_fp16(served_network(), "net")
    weights = {tensor.name: tensor.data_type for tensor in half.graph.initializer}
    convolutions = [node for node in half.graph.node if node.op_type == "Conv"]
    assert [weights[node.input[1]] for node in convolutions] == [TensorProto.FLOAT16] * len(convolutions)
    for value in (*half.graph.input, *half.graph.output):
        assert value.type.tensor_type.elem_type == TensorProto.UINT8


def test_activation_and_normalisation_stay_in_fp32() -> None:
    composed = compose([("net", logits_network())], Composition(views=(View.FLIP_HORIZONTAL,)))
    half = onnx.shape_inference.infer_shapes(to_fp16(composed, "net"))
    types = {value.name: value.type.tensor_type.elem_type for value in half.graph.value_info}
    for kind in ("Sigmoid", "Sub", "Round"):
        nodes = [node for node in half.graph.node if node.op_type == kind]
        assert nodes
        assert all(types[node.output[0]] == TensorProto.FLOAT for node in nodes)


def test_resize_keeps_its_scales_in_fp32() -> None:
    half = to_fp16(served_network(), "net")
    weights = {tensor.name: tensor.data_type for tensor in half.graph.initializer}
    (resize,) = [node for node in half.graph.node if node.op_type == "Resize"]
    assert weights[resize.input[2]] == TensorProto.FLOAT


@pytest.mark.parametrize("value", [70000.0, float("inf"), float("nan")])
def test_weights_beyond_fp16_are_named(value: float) -> None:
    model = served_network()
    for tensor in model.graph.initializer:
        if tensor.name.endswith("first"):
            weights = numpy_helper.to_array(tensor).copy()
            weights[0, 0, 0, 0] = value
            tensor.CopyFrom(numpy_helper.from_array(weights, tensor.name))
    with pytest.raises(GraphError, match=r"net has weights beyond 65504.*first.*--precision fp32"):
        to_fp16(model, "net")


def test_bf16_leaves_no_fp16_behind() -> None:
    changed = to_bf16(served_network(), "net")
    assert TensorProto.FLOAT16 not in {tensor.data_type for tensor in changed.graph.initializer}
    assert TensorProto.BFLOAT16 in {tensor.data_type for tensor in changed.graph.initializer}


def test_casting_first_changes_the_order_and_no_value() -> None:
    model = fold(served_network(), "net")
    cast, transpose = model.graph.node[0], model.graph.node[1]
    assert (cast.op_type, transpose.op_type) == ("Cast", "Transpose")
    exported = onnx.ModelProto()
    exported.CopyFrom(model)
    first, second = exported.graph.node[0], exported.graph.node[1]
    first.CopyFrom(onnx.helper.make_node("Transpose", ["MODEL_INPUT"], ["t"], perm=[0, 3, 1, 2]))
    second.CopyFrom(onnx.helper.make_node("Cast", ["t"], [transpose.output[0]], to=TensorProto.FLOAT))
    fixed = cast_first(exported)
    assert [node.op_type for node in fixed.graph.node[:2]] == ["Cast", "Transpose"]
    np.testing.assert_array_equal(run(fixed, images()), run(exported, images()))
    assert cast_first(model) == model
