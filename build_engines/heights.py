"""Graphs that work on fewer rows than their grid has, too (segserve_server.engines.margins)."""

import onnx

from build_engines.errors import GraphError
from segserve_server.engines.margins import HEIGHTS_KEY, read_heights

_ROWS = "rows"


def all_heights(model: onnx.ModelProto) -> tuple[int, ...]:
    """The height of a served graph, then the smaller ones that its metadata offers. Raises GraphError."""
    grid = _rows(model)[0].dim_value
    entries = [entry.value for entry in model.metadata_props if entry.key == HEIGHTS_KEY]
    try:
        return (grid, *(height for entry in entries for height in read_heights(entry, grid=grid)))
    except ValueError as error:
        raise GraphError(f"the graph cannot be served: {error}") from error


def free_height(model: onnx.ModelProto) -> onnx.ModelProto:
    """A copy of a served graph whose height is free, so that folding it leaves it fit for each of them."""
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    for rows in _rows(copy):
        rows.dim_param = _ROWS
    return copy


def fix_height(model: onnx.ModelProto, height: int) -> onnx.ModelProto:
    """A copy of such a graph with a height again."""
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    for rows in _rows(copy):
        rows.dim_value = height
    del copy.graph.value_info[:]
    return copy


def _rows(model: onnx.ModelProto) -> tuple[onnx.TensorShapeProto.Dimension, onnx.TensorShapeProto.Dimension]:
    source, result = model.graph.input[0].type.tensor_type, model.graph.output[0].type.tensor_type
    return source.shape.dim[1], result.shape.dim[2]
