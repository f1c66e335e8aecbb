"""INT8 graphs for the targets that read ONNX: quantise-dequantise pairs around the convolutions."""

import tempfile
from collections.abc import Sequence
from pathlib import Path

import onnx
from onnxruntime.quantization import (  # type: ignore[import-untyped]
    CalibrationDataReader,
    QuantFormat,
    QuantType,
    quantize_static,
)
from onnxruntime.quantization.quant_utils import add_pre_process_metadata  # type: ignore[import-untyped]

from build_engines.targets.engine import UInt8Array

_LAYERS = ["Conv", "ConvTranspose", "MatMul", "Gemm"]


class _Reader(CalibrationDataReader):  # type: ignore[misc]
    def __init__(self, name: str, images: Sequence[UInt8Array]) -> None:
        self._feeds = iter([{name: image} for image in images])

    def get_next(self) -> dict[str, UInt8Array] | None:
        return next(self._feeds, None)


def to_int8(model: onnx.ModelProto, images: Sequence[UInt8Array]) -> onnx.ModelProto:
    """Signed, symmetric, per channel for weights, biases left alone: what TensorRT takes, and ONNX Runtime too.

    ``model``: folded, UINT8 in and out. ``images``: uint8 [1, grid, grid, 3] each, seen once for the value ranges.
    """
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    add_pre_process_metadata(copy)  # it is folded and has its shapes: no advice to do so
    with tempfile.TemporaryDirectory() as folder:
        result = Path(folder) / "int8.onnx"
        quantize_static(
            copy,
            str(result),
            _Reader(model.graph.input[0].name, images),
            quant_format=QuantFormat.QDQ,
            activation_type=QuantType.QInt8,
            weight_type=QuantType.QInt8,
            per_channel=True,
            op_types_to_quantize=_LAYERS,
            extra_options={"ActivationSymmetric": True, "QuantizeBias": False},
        )
        return onnx.load(str(result))
