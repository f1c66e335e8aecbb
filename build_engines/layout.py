"""Rewrites that change no value: constants folded, and the input cast before anything else touches it."""

import onnx
import onnxsim  # type: ignore[import-untyped]
from onnx import TensorProto

from build_engines.errors import GraphError


def fold(model: onnx.ModelProto, name: str) -> onnx.ModelProto:
    """The graph with constants folded and dead nodes gone. Raises GraphError when the result differs or fails."""
    try:
        folded, same = onnxsim.simplify(model)
    except Exception as error:  # onnxsim passes on whatever its C++ side throws
        raise GraphError(f"{name} cannot be folded: {str(error).splitlines()[0]}") from error
    if not same:
        raise GraphError(
            f"{name} gives other values once its constants are folded: export it again, without training mode"
        )
    onnx.checker.check_model(folded, full_check=True)
    result: onnx.ModelProto = folded
    return result


def cast_first(model: onnx.ModelProto) -> onnx.ModelProto:
    """A copy in which a UINT8 input goes through its Cast before its Transpose.

    TensorRT takes UINT8 as a network's input but in no layer other than a cast. The two operations commute.
    """
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    graph = copy.graph
    bytes_in = {v.name for v in graph.input if v.type.tensor_type.elem_type == TensorProto.UINT8}
    for first in list(graph.node):
        if first.op_type != "Transpose" or first.input[0] not in bytes_in:
            continue
        users = [node for node in graph.node if first.output[0] in node.input]
        if len(users) != 1 or users[0].op_type != "Cast":
            continue
        second = users[0]
        source, middle, last = first.input[0], first.output[0], second.output[0]
        second.input[0], second.output[0] = source, middle
        first.input[0], first.output[0] = middle, last
        nodes = list(graph.node)
        i, j = nodes.index(first), nodes.index(second)
        nodes[i], nodes[j] = nodes[j], nodes[i]
        moved = [onnx.NodeProto.FromString(node.SerializeToString()) for node in nodes]
        del graph.node[:]
        graph.node.extend(moved)
        del graph.value_info[:]  # the middle tensor has another type and shape now
        return copy
    return copy
