"""What the parity check needs of an engine, and the reference it compares with."""

from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt
import onnxruntime

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
