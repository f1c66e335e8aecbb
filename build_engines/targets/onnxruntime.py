"""The ONNX Runtime target: a graph-optimised ONNX for Triton's own ONNX Runtime backend, on a CPU or with CUDA."""

import tempfile
from pathlib import Path

import onnx
import onnxruntime


def build_onnxruntime(model: onnx.ModelProto) -> bytes:
    """The optimised graph.

    Basic level only: what lies above fuses operators for one kind of processor, and Triton does that when it loads.
    """
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
    options.log_severity_level = 3
    with tempfile.TemporaryDirectory() as folder:
        result = Path(folder) / "optimised.onnx"
        options.optimized_model_filepath = str(result)
        onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
        return result.read_bytes()
