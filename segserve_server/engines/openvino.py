"""A served graph on a CPU, by OpenVINO."""

import enum
import os
from pathlib import Path

import numpy as np
import numpy.typing as npt
import openvino

UInt8Array = npt.NDArray[np.uint8]


class Precision(enum.Enum):
    """Arithmetic inside the engine. AUTO is BF16 where the CPU multiplies it natively (AMX or AVX512-BF16), else F32."""

    AUTO = "auto"
    BF16 = "bf16"
    F32 = "f32"


class OpenVinoEngine:
    """A compiled graph with one input and one output, both UINT8.

    ``threads``: 0 is one per core. Raises FileNotFoundError for missing weights, RuntimeError for a graph that
    OpenVINO refuses.
    """

    def __init__(self, model: Path, *, precision: Precision = Precision.AUTO, threads: int = 0) -> None:
        if not model.is_file():
            raise FileNotFoundError(f"{model.name} is missing from version folder {model.parent.name}")
        core = openvino.Core()
        if precision is Precision.AUTO:
            capabilities = core.get_property("CPU", "OPTIMIZATION_CAPABILITIES")
            precision = Precision.BF16 if "BF16" in capabilities else Precision.F32
        self.precision = precision
        self._compiled = core.compile_model(
            model,
            "CPU",
            {
                "INFERENCE_PRECISION_HINT": precision.value,
                "INFERENCE_NUM_THREADS": threads or len(os.sched_getaffinity(0)),
                "PERFORMANCE_HINT": "LATENCY",
            },
        )
        self._request = self._compiled.create_infer_request()

    def infer(self, images: UInt8Array) -> UInt8Array:
        """uint8 [N, H, W, 3] to uint8 [N, C, H, W]; the result is the engine's own memory until the next call."""
        source = openvino.Tensor(np.ascontiguousarray(images), shared_memory=True)
        self._request.infer({0: source})
        result: UInt8Array = self._request.get_output_tensor(0).data
        return result
