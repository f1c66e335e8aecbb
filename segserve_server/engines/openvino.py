"""A served graph on a CPU, by OpenVINO."""

import enum
import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import openvino

from segserve_server.engines.blob import read_blob
from segserve_server.engines.machine import this_machine
from segserve_server.engines.margins import HEIGHTS_KEY, infer_lit_rows, read_heights
from segserve_server.repository.manifest import check_engine
from segserve_server.repository.problem import RepositoryError

UInt8Array = npt.NDArray[np.uint8]


NO_BFLOAT16 = "this CPU does not compute in bfloat16 (AMX and AVX512-BF16 do)"


class Precision(enum.Enum):
    """Arithmetic inside the engine; AUTO is BF16 where the CPU multiplies it natively (AMX, AVX512-BF16), else F32.

    INT8 exists only as a built engine, since it needs photographs to calibrate on.
    """

    AUTO = "auto"
    BF16 = "bf16"
    F32 = "f32"
    INT8 = "int8"


def engine_path(model: Path, precision: Precision) -> Path:
    """Where the built engine of an ONNX lies; ``precision``: not AUTO."""
    return model.with_name(f"{model.stem}.openvino-{precision.value}.blob")


def has_bfloat16() -> bool:
    """Whether this CPU computes in BF16; where it does not, OpenVINO takes the hint and computes in F32."""
    return "BF16" in openvino.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")


def resolve(precision: Precision) -> Precision:
    """AUTO decided for this CPU; any other precision as it is. Raises RepositoryError for BF16 on a CPU without it."""
    if precision is Precision.AUTO:
        return Precision.BF16 if has_bfloat16() else Precision.F32
    if precision is Precision.BF16 and not has_bfloat16():
        raise RepositoryError(f"precision bf16: {NO_BFLOAT16}; choose auto or f32")
    return precision


def compile_options(precision: Precision, threads: int = 0) -> dict[str, str | int | bool]:
    """OpenVINO's properties for one image at a time on ``threads`` cores; 0 is all of them.

    Threads are not pinned to cores: the other steps need the cores too, and a pinned thread that waits for its core
    keeps the engine's others waiting. Two engines would be pinned to the same cores besides.
    """
    hint = Precision.F32 if precision is Precision.INT8 else precision  # what is not quantised stays exact
    return {
        "INFERENCE_PRECISION_HINT": hint.value,
        "INFERENCE_NUM_THREADS": threads or len(os.sched_getaffinity(0)),
        "PERFORMANCE_HINT": "LATENCY",
        "ENABLE_CPU_PINNING": False,
    }


def for_each_height(graph: openvino.Model) -> list[openvino.Model]:
    """A graph as it is, and for each smaller height that its ONNX offers. Raises RuntimeError for impossible ones.

    A graph of free height would be one instead of several, but OpenVINO 2026.4 computes nonsense with a quantised one.
    """
    metadata = dict(graph.rt_info.items()).get("framework", {})
    graphs = [graph]
    if HEIGHTS_KEY not in metadata:
        return graphs
    batch, grid, width, channels = graph.input().partial_shape
    try:
        heights = read_heights(str(metadata[HEIGHTS_KEY].value), grid=grid.get_length())
    except ValueError as error:
        raise RuntimeError(f"the graph cannot be served: {error}") from error
    for height in heights:
        graphs.append(graph.clone())
        graphs[-1].reshape(openvino.PartialShape([batch, openvino.Dimension(height), width, channels]))
    return graphs


class CompiledEngine:
    """Compiled graphs with one input and one output, both UINT8: of the same network, each for another height.

    Dark rows above and below an image are left out where one of the heights allows it: nothing is found there.
    """

    def __init__(self, graphs: Sequence[openvino.CompiledModel]) -> None:
        self._requests = {one.input().partial_shape[1].get_length(): one.create_infer_request() for one in graphs}

    def infer(self, images: UInt8Array) -> UInt8Array:
        """uint8 [N, H, W, 3] to uint8 [N, C, H, W]; the result may be the engine's memory until the next call."""
        if len(self._requests) == 1:
            return self._infer(images)
        return infer_lit_rows(images, tuple(self._requests), self._infer)

    def _infer(self, images: UInt8Array) -> UInt8Array:
        source = openvino.Tensor(np.ascontiguousarray(images), shared_memory=True)
        request = self._requests[images.shape[1]]
        request.infer({0: source})
        result: UInt8Array = request.get_output_tensor(0).data
        return result


class OpenVinoEngine(CompiledEngine):
    """The engine of a version folder's ONNX.

    The engine built for ``precision`` is loaded where one lies beside the ONNX, else the ONNX is compiled.
    ``threads``: 0 is one per core. Raises FileNotFoundError for missing weights, RepositoryError for a built engine
    that does not fit this machine or that INT8 needs and is not there, and for BF16 on a CPU without it, RuntimeError
    for a graph that OpenVINO refuses.
    """

    def __init__(self, model: Path, *, precision: Precision = Precision.AUTO, threads: int = 0) -> None:
        if not model.is_file():
            raise FileNotFoundError(f"{model.name} is missing from version folder {model.parent.name}")
        self.precision = resolve(precision)
        options = compile_options(self.precision, threads)
        built = engine_path(model, self.precision)
        self.is_prebuilt = built.is_file()
        if self.is_prebuilt:
            super().__init__(_load_built(built, options))
        elif self.precision is Precision.INT8:
            raise RepositoryError(
                f"{built.name} is missing from version folder {model.parent.name}: build it with "
                "python -m build_engines build MODEL --target openvino --precision int8, or choose another precision"
            )
        else:
            core = openvino.Core()
            graphs = for_each_height(core.read_model(model))
            super().__init__([core.compile_model(graph, "CPU", options) for graph in graphs])


def _load_built(engine: Path, options: dict[str, str | int | bool]) -> list[openvino.CompiledModel]:
    problems = check_engine(engine, this_machine())
    if problems:
        raise RepositoryError(problems[0])
    try:
        return read_blob(engine.read_bytes(), options)
    except RuntimeError as error:
        raise RepositoryError(f"OpenVINO refuses {engine.name}: build it again or remove it") from error
