"""The OpenVINO target: a graph compiled for this CPU, which the CPU server loads instead of compiling."""

from collections.abc import Sequence

import openvino

from build_engines.targets.engine import Engine, UInt8Array
from build_engines.targets.int8 import quantise
from segserve_server.engines.blob import read_blob, write_blob
from segserve_server.engines.machine import this_machine
from segserve_server.engines.openvino import CompiledEngine, Precision, compile_options, for_each_height
from segserve_server.repository.manifest import Precision as BuildPrecision

PRECISIONS = {
    BuildPrecision.BF16: Precision.BF16,
    BuildPrecision.FP32: Precision.F32,
    BuildPrecision.INT8: Precision.INT8,
}

#: Instructions that add products of bytes in 32 bits.
_DOT_PRODUCTS = {"avx_vnni", "avx512_vnni", "amx_int8", "i8mm"}


def build_openvino(model: bytes, precision: Precision, images: Sequence[UInt8Array]) -> bytes:
    """The compiled graphs. ``model``: ONNX. ``images``: for INT8, uint8 [1, grid, grid, 3] each, to calibrate on."""
    core = openvino.Core()
    graph = core.read_model(model)
    if precision is Precision.INT8:
        graph = _quantise(graph, images)
    options = compile_options(precision)
    return write_blob([core.compile_model(one, "CPU", options) for one in for_each_height(graph)])


def open_openvino(engine: bytes, precision: Precision) -> Engine:
    """The engine, ready to run."""
    return CompiledEngine(read_blob(engine, compile_options(precision)))


def _quantise(graph: openvino.Model, images: Sequence[UInt8Array]) -> openvino.Model:
    layers = [one.get_friendly_name() for one in graph.get_ordered_ops() if "Convolution" in one.get_type_name()]
    return quantise(graph, images, layers, saturates=not _DOT_PRODUCTS & set(this_machine().instruction_sets))
