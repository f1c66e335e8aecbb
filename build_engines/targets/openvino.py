"""The OpenVINO target: a graph compiled for this CPU, which the CPU server loads instead of compiling."""

import io
from collections.abc import Sequence

import openvino

from build_engines.targets.engine import Engine, UInt8Array
from build_engines.targets.int8 import quantise
from segserve_server.engines.machine import this_machine
from segserve_server.engines.openvino import CompiledEngine, Precision, compile_options
from segserve_server.repository.manifest import Precision as BuildPrecision

PRECISIONS = {
    BuildPrecision.BF16: Precision.BF16,
    BuildPrecision.FP32: Precision.F32,
    BuildPrecision.INT8: Precision.INT8,
}

#: Instructions that add products of bytes in 32 bits.
_DOT_PRODUCTS = {"avx_vnni", "avx512_vnni", "amx_int8", "i8mm"}


def build_openvino(model: bytes, precision: Precision, images: Sequence[UInt8Array]) -> bytes:
    """The compiled graph. ``model``: ONNX. ``images``: for INT8, uint8 [1, grid, grid, 3] each, to calibrate on."""
    graph = openvino.Core().read_model(model)
    if precision is Precision.INT8:
        graph = _quantise(graph, images)
    compiled = openvino.Core().compile_model(graph, "CPU", compile_options(precision))
    stream = io.BytesIO()
    compiled.export_model(stream)
    return stream.getvalue()


def open_openvino(engine: bytes, precision: Precision) -> Engine:
    """The engine, ready to run."""
    return CompiledEngine(openvino.Core().import_model(engine, "CPU", compile_options(precision)))


def _quantise(graph: openvino.Model, images: Sequence[UInt8Array]) -> openvino.Model:
    layers = [one.get_friendly_name() for one in graph.get_ordered_ops() if "Convolution" in one.get_type_name()]
    return quantise(graph, images, layers, saturates=not _DOT_PRODUCTS & set(this_machine().instruction_sets))
