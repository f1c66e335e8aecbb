"""What the parity check needs of an engine, and the reference it compares with."""

from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime

from build_engines.heights import all_heights, free_height
from segserve_server.engines.margins import infer_lit_rows

UInt8Array = npt.NDArray[np.uint8]


class Engine(Protocol):
    """Runs a served graph."""

    def infer(self, images: UInt8Array) -> UInt8Array:
        """uint8 [N, H, W, 3] to uint8 [N, C, H, W], probability x 255."""
        ...


class OnnxRuntimeEngine:
    """A served graph in ONNX Runtime on the CPU; of the unchanged ONNX it is the FP32 reference."""

    def __init__(self, model: Path | bytes) -> None:
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3  # errors only; warnings here are about speed
        source = str(model) if isinstance(model, Path) else model
        self._session = onnxruntime.InferenceSession(source, options, providers=["CPUExecutionProvider"])
        self._input = self._session.get_inputs()[0].name

    def infer(self, images: UInt8Array) -> UInt8Array:
        """uint8 [N, H, W, 3] to uint8 [N, C, H, W], probability x 255."""
        result: UInt8Array = self._session.run(None, {self._input: images})[0]
        return result


class LitRowsReference:
    """The FP32 reference of engines that leave dark rows out where the ONNX offers smaller heights, as OpenVINO's do.

    What leaving them out changes is part of what is served, and of the model's figures; parity is about arithmetic.
    """

    def __init__(self, model: Path) -> None:
        graph = onnx.load(model)
        self._heights = all_heights(graph)
        self._any_height = OnnxRuntimeEngine(free_height(graph).SerializeToString())

    def infer(self, images: UInt8Array) -> UInt8Array:
        """uint8 [N, H, W, 3] to uint8 [N, C, H, W], probability x 255."""
        return infer_lit_rows(images, self._heights, self._any_height.infer)
