"""Reading an ONNX and saying what it takes and gives, or why it cannot be served."""

from dataclasses import dataclass
from pathlib import Path

import onnx
import onnx.inliner
from google.protobuf.message import DecodeError
from onnx import TensorProto

from build_engines.errors import GraphError
from build_engines.operators import check_operators
from build_engines.shapes import settle_output_shape

_FLOAT, _UINT8, _DOUBLE = TensorProto.FLOAT, TensorProto.UINT8, TensorProto.DOUBLE
RGB = 3


@dataclass(frozen=True, slots=True)
class Signature:
    """One input and one output of a graph that works on square images of ``grid`` pixels a side.

    ``channels``: of the output. ``served``: UINT8 [N, grid, grid, 3] to UINT8 [N, channels, grid, grid]; otherwise
    float32 [N, 3, grid, grid] to float32 logits [N, channels, grid, grid].
    """

    input: str
    output: str
    grid: int
    channels: int
    served: bool


def load_graph(path: Path) -> onnx.ModelProto:
    """Read an ONNX with all its weights, check it and its operators. Raises GraphError."""
    if not path.is_file():
        raise GraphError(f"{path} is not there: give the path of an ONNX file")
    try:
        model = onnx.load(str(path), load_external_data=False)
    except (DecodeError, ValueError, UnicodeDecodeError) as error:
        raise GraphError(f"{path.name} is not an ONNX file") from error
    if not model.graph.node or not model.opset_import:
        raise GraphError(f"{path.name} is not an ONNX file, or an empty one")
    _load_external_data(model, path)
    if model.functions:
        model = onnx.inliner.inline_local_functions(model)
    check_operators(model, path.name)
    _refuse_float64(model, path.name)
    try:
        onnx.checker.check_model(model, full_check=True)
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError, ValueError) as error:
        raise GraphError(f"{path.name} fails the ONNX checker: {_first_line(error)}") from error
    settle_output_shape(model, path.name)
    return model


def _load_external_data(model: onnx.ModelProto, path: Path) -> None:
    try:
        onnx.load_external_data_for_model(model, str(path.parent))
    except (OSError, ValueError, onnx.checker.ValidationError) as error:
        wanted = sorted(
            {
                entry.value
                for tensor in model.graph.initializer
                if tensor.data_location == TensorProto.EXTERNAL
                for entry in tensor.external_data
                if entry.key == "location"
            }
        )
        raise GraphError(
            f"{path.name} keeps its weights in {', '.join(wanted) or 'another file'}, which is missing or damaged: "
            "put it beside the ONNX, or export again with the weights inside"
        ) from error


def _refuse_float64(model: onnx.ModelProto, name: str) -> None:
    tensors = [t.name for t in model.graph.initializer if t.data_type == _DOUBLE]
    for node in model.graph.node:
        for attribute in node.attribute:
            if attribute.type == onnx.AttributeProto.TENSOR and attribute.t.data_type == _DOUBLE:
                tensors.append(node.output[0])
            if node.op_type == "Cast" and attribute.name == "to" and attribute.i == _DOUBLE:
                tensors.append(node.output[0])
    tensors += [value.name for value in (*model.graph.input, *model.graph.output) if _type(value) == _DOUBLE]
    if tensors:
        raise GraphError(
            f"{name} computes in float64 ({', '.join(tensors[:3])}{', ...' if len(tensors) > 3 else ''}), which "
            "engines do not: convert the network to float32 before the export"
        )


def read_signature(model: onnx.ModelProto, name: str) -> Signature:
    """What a checked graph takes and gives. Raises GraphError, naming the tensor that does not fit and why."""
    weights = {tensor.name for tensor in model.graph.initializer}
    inputs = [value for value in model.graph.input if value.name not in weights]
    if len(inputs) != 1 or len(model.graph.output) != 1:
        raise GraphError(
            f"{name} has {len(inputs)} inputs and {len(model.graph.output)} outputs; one of each is served: export the "
            "network with its image as the only input and its segmentation as the only output"
        )
    source, result = inputs[0], model.graph.output[0]
    served = _type(source) == _UINT8
    wanted = _UINT8 if served else _FLOAT
    for value in (source, result):
        if _type(value) != wanted:
            raise GraphError(
                f"{value.name} of {name} is {TensorProto.DataType.Name(_type(value))}: a graph is either float32 "
                "images in and float32 logits out, or UINT8 in and UINT8 out"
            )
    shapes = {"input": _dims(source, name), "output": _dims(result, name)}
    where = {"input": source.name, "output": result.name}
    for kind, dims in shapes.items():
        if isinstance(dims[0], int):
            raise GraphError(
                f"the batch dimension of {kind} {where[kind]} of {name} is fixed to {dims[0]}: export with a dynamic "
                f"batch (torch.onnx.export(..., dynamic_axes={{'{where[kind]}': {{0: 'batch'}}}}))"
            )
    rows, columns, depth = (shapes["input"][i] for i in ((1, 2, 3) if served else (2, 3, 1)))
    channels, *result_grid = shapes["output"][1:]
    spatial = (rows, columns, *result_grid)
    if not all(isinstance(side, int) for side in spatial):
        raise GraphError(
            f"{name} has a dynamic height or width ({_shown(shapes['input'])} to {_shown(shapes['output'])}): the "
            "model grid is fixed when the graph is exported, only the batch may be dynamic"
        )
    if depth != RGB:
        layout = "[N, H, W, 3]" if served else "[N, 3, H, W]"
        raise GraphError(
            f"input {source.name} of {name} has {depth} channels where {RGB} (RGB) are served: its shape is "
            f"{_shown(shapes['input'])}, expected {layout}"
        )
    if rows != columns or list(result_grid) != [rows, columns]:
        raise GraphError(
            f"{name} maps {_shown(shapes['input'])} to {_shown(shapes['output'])}: "
            "input and output must be the same square"
        )
    if not isinstance(channels, int):
        raise GraphError(f"output {result.name} of {name} has a dynamic number of channels: one per class is served")
    assert isinstance(rows, int)  # said above, for the type checker
    return Signature(source.name, result.name, rows, channels, served)


def require_served(model: onnx.ModelProto, name: str) -> Signature:
    """The signature of a graph that is served as it is. Raises GraphError for float graphs."""
    signature = read_signature(model, name)
    if not signature.served:
        raise GraphError(
            f"{name} takes float images and gives logits; UINT8 to UINT8 is served: make the served graph with "
            "python -m build_engines compose, or a whole pipeline with import"
        )
    return signature


def _type(value: onnx.ValueInfoProto) -> int:
    return int(value.type.tensor_type.elem_type)


def _dims(value: onnx.ValueInfoProto, name: str) -> list[int | str]:
    dims: list[int | str] = [
        d.dim_value if d.HasField("dim_value") else (d.dim_param or "?") for d in value.type.tensor_type.shape.dim
    ]
    if len(dims) != 4:
        raise GraphError(f"{value.name} of {name} has shape {_shown(dims)}: images have four dimensions, batch first")
    return dims


def _shown(dims: list[int | str]) -> str:
    return f"[{', '.join(str(d) for d in dims)}]"


def _first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0][:300]
