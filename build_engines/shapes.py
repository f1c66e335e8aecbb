"""Output shapes that an exporter left open although the input's are fixed."""

import numpy as np
import onnx
import onnxruntime
from onnx import helper

from build_engines.errors import GraphError

_BATCH = 2


def settle_output_shape(model: onnx.ModelProto, name: str) -> None:
    """Write the output's true shape into the graph, by running it once on zeros.

    PyTorch names the sides of an upsampled output (``Convy_dim_3``) even where they follow from the input. Does
    nothing unless there is one input with a free batch and fixed sides, and one output with open ones. Raises
    GraphError for a graph that cannot be run.
    """
    weights = {tensor.name for tensor in model.graph.initializer}
    inputs = [value for value in model.graph.input if value.name not in weights]
    if len(inputs) != 1 or len(model.graph.output) != 1:
        return
    source, result = inputs[0].type.tensor_type, model.graph.output[0].type.tensor_type
    batch, *sides = source.shape.dim
    if batch.HasField("dim_value") or not all(side.HasField("dim_value") for side in sides):
        return
    if all(side.HasField("dim_value") for side in result.shape.dim[1:]):
        return
    shape = (_BATCH, *(side.dim_value for side in sides))
    zeros = np.zeros(shape, helper.tensor_dtype_to_np_dtype(source.elem_type))
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    try:
        session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
        found = session.run(None, {inputs[0].name: zeros})[0].shape
    except Exception as error:  # ONNX Runtime has no error of its own in common
        raise GraphError(f"{name} cannot be run on a batch of {_BATCH}: {str(error).splitlines()[0][:300]}") from error
    for dimension, side in zip(result.shape.dim[1:], found[1:], strict=True):
        dimension.dim_value = side
