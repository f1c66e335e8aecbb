"""FP16 and BF16 graphs: the network in 16 bits, its normalisation, activation and input and output as they were."""

import warnings

import ml_dtypes
import numpy as np
import onnx
from onnx import TensorProto, numpy_helper
from onnxconverter_common import float16  # type: ignore[import-untyped]

from build_engines.errors import GraphError

LARGEST_FP16 = 65504.0
_SMALLEST_FP16 = 6e-8
_HEAD = frozenset({"Cast", "Transpose", "Sub", "Div", "Mul", "Add"})
_TAIL = _HEAD | {
    "Round", "Sigmoid", "Softmax", "Clip", "Slice", "Gather", "Sum", "Mean", "ReduceMean", "Where", "Greater",
    "GreaterOrEqual", "Less", "Identity", "Concat", "Reshape",
}  # fmt: skip


def to_fp16(model: onnx.ModelProto, name: str) -> onnx.ModelProto:
    """The graph in FP16 but for its two ends, which decide the last bit of the UINT8 output.

    ``model``: folded, UINT8 in and out. Raises GraphError for weights beyond FP16's range, naming them.
    """
    _refuse_large_weights(model, name)
    named = _with_node_names(model)
    kept = sorted(_head(named) | _tail(named))
    blocked = [op for op in float16.DEFAULT_OP_BLOCK_LIST if op != "Resize"]
    with warnings.catch_warnings():
        # Weights under 6e-8 become the smallest number; that is what FP16 means, and each has its own warning.
        warnings.filterwarnings("ignore", category=UserWarning, module=r"onnxconverter_common\.float16")
        half: onnx.ModelProto = float16.convert_float_to_float16(
            named,
            min_positive_val=_SMALLEST_FP16,
            max_finite_val=LARGEST_FP16,
            keep_io_types=True,
            op_block_list=blocked,
            node_block_list=kept,
        )
    _restore_resize_scales(half, named)
    _drop_unused(half)
    onnx.checker.check_model(half, full_check=True)
    return half


def to_bf16(model: onnx.ModelProto, name: str) -> onnx.ModelProto:
    """As ``to_fp16``, with BF16 in its place. Only TensorRT reads it: opset 18 does not know BF16."""
    graph_model = to_fp16(model, name)
    exact = {tensor.name: tensor for tensor in model.graph.initializer}
    graph = graph_model.graph
    for tensor in graph.initializer:
        if tensor.data_type == TensorProto.FLOAT16:
            tensor.CopyFrom(_as_bf16(exact.get(tensor.name, tensor), tensor.name))
    for node in graph.node:
        for attribute in node.attribute:
            if node.op_type == "Cast" and attribute.name == "to" and attribute.i == TensorProto.FLOAT16:
                attribute.i = TensorProto.BFLOAT16
            if attribute.type == onnx.AttributeProto.TENSOR and attribute.t.data_type == TensorProto.FLOAT16:
                attribute.t.CopyFrom(_as_bf16(attribute.t, attribute.t.name))
    for value in graph.value_info:
        if value.type.tensor_type.elem_type == TensorProto.FLOAT16:
            value.type.tensor_type.elem_type = TensorProto.BFLOAT16
    return graph_model


def _as_bf16(tensor: onnx.TensorProto, name: str) -> onnx.TensorProto:
    return numpy_helper.from_array(numpy_helper.to_array(tensor).astype(ml_dtypes.bfloat16), name)


def _refuse_large_weights(model: onnx.ModelProto, name: str) -> None:
    large = [
        tensor.name
        for tensor in model.graph.initializer
        if tensor.data_type == TensorProto.FLOAT
        and (values := numpy_helper.to_array(tensor)).size
        and not float(np.abs(values).max()) <= LARGEST_FP16
    ]
    if large:
        raise GraphError(
            f"{name} has weights beyond {LARGEST_FP16:.0f}, the largest FP16 number, or not finite, in "
            f"{', '.join(large[:3])}: build --precision fp32"
        )


def _with_node_names(model: onnx.ModelProto) -> onnx.ModelProto:
    """A copy in which every node has a name of its own, since the converter knows nodes by name."""
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    for number, node in enumerate(copy.graph.node):
        node.name = f"n{number}_{node.op_type}"
    return copy


def _head(model: onnx.ModelProto) -> set[str]:
    """Names of the nodes between the input and the first layer: cast, layout and normalisation."""
    weights = {tensor.name for tensor in model.graph.initializer}
    known = {value.name for value in model.graph.input} - weights
    constants = weights | {node.output[0] for node in model.graph.node if node.op_type == "Constant"}
    names = set()
    for node in model.graph.node:
        data = [source for source in node.input if source not in constants]
        if node.op_type in _HEAD and data and all(source in known for source in data):
            known |= set(node.output)
            names.add(node.name)
    return names


def _tail(model: onnx.ModelProto) -> set[str]:
    """Names of the nodes between the last layer and the output: activation, views turned back, mean, rounding."""
    producers = {output: node for node in model.graph.node for output in node.output}
    waiting = [value.name for value in model.graph.output]
    names: set[str] = set()
    while waiting:
        node = producers.get(waiting.pop())
        if node is None or node.op_type not in _TAIL or node.name in names:
            continue
        names.add(node.name)
        waiting += node.input
    return names


def _drop_unused(model: onnx.ModelProto) -> None:
    used = {source for node in model.graph.node for source in node.input}
    for tensor in [tensor for tensor in model.graph.initializer if tensor.name not in used]:
        model.graph.initializer.remove(tensor)


def _restore_resize_scales(half: onnx.ModelProto, exact: onnx.ModelProto) -> None:
    """Give Resize back its scales in FP32, the only type they may have."""
    originals = {node.name: node for node in exact.graph.node if node.op_type == "Resize"}
    values = {tensor.name: tensor for tensor in exact.graph.initializer}
    for node in exact.graph.node:
        if node.op_type == "Constant" and node.attribute[0].name == "value":
            values[node.output[0]] = node.attribute[0].t
    for node in half.graph.node:
        for position in (1, 2):  # region of interest and scales
            if node.op_type != "Resize" or len(node.input) <= position or not node.input[position]:
                continue
            source = originals[node.name].input[position]
            if source not in values:
                raise GraphError(f"a Resize computes its scales ({source}): export it with fixed scales or sizes")
            tensor = numpy_helper.from_array(numpy_helper.to_array(values[source]), f"{node.name}_fp32_{position}")
            half.graph.initializer.append(tensor)
            node.input[position] = tensor.name
