"""Small networks as ONNX, made without a training framework: two convolutions and an upsampling."""

from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

from build_engines.compose import Activation, Composition, compose

GRID = 64
_HIDDEN = 8


def logits_network(
    *,
    seed: int = 0,
    grid: int = GRID,
    classes: int = 1,
    channels: int = 3,
    opset: int = 18,
    batch: str | int = "batch",
    rows: str | int | None = None,
    gain: float = 6.0,
) -> onnx.ModelProto:
    """Float32 [N, channels, grid, grid] to float32 logits [N, classes, grid, grid], random but for its shape.

    It works at half the resolution and scales up, so that it has a Resize like a real U-Net. ``gain`` spreads the
    logits: the larger, the fewer probabilities near a half.
    """
    rng = np.random.default_rng(seed)
    first = rng.normal(0, 0.3, (_HIDDEN, channels, 3, 3)).astype(np.float32)
    second = (rng.normal(0, 0.3, (classes, _HIDDEN, 3, 3)) * gain).astype(np.float32)
    bias = np.full(classes, -0.1 * gain, np.float32)
    weights = {"first": first, "second": second, "bias": bias, "scales": np.array([1, 1, 2, 2], np.float32)}
    nodes = [
        helper.make_node("Conv", ["image", "first"], ["a"], "conv1", strides=[2, 2], pads=[1, 1, 1, 1]),
        helper.make_node("Relu", ["a"], ["b"], "relu"),
        helper.make_node("Conv", ["b", "second", "bias"], ["c"], "conv2", pads=[1, 1, 1, 1]),
        helper.make_node("Resize", ["c", "", "scales"], ["logits"], "up", mode="linear"),
    ]
    side = grid if rows is None else rows
    graph = helper.make_graph(
        nodes,
        "network",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, [batch, channels, side, grid])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, [batch, classes, side, grid])],
        [numpy_helper.from_array(values, name) for name, values in weights.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)
    return model


def served_network(*, seed: int = 0, grid: int = GRID, classes: int = 1) -> onnx.ModelProto:
    """The same, UINT8 in and out."""
    member = logits_network(seed=seed, grid=grid, classes=classes)
    return compose([("network.onnx", member)], Composition(activation=Activation.SIGMOID))


def save(model: onnx.ModelProto, path: Path) -> Path:
    """Write a model; its path."""
    onnx.save(model, str(path))
    return path


def images(count: int = 2, *, grid: int = GRID, seed: int = 0) -> npt.NDArray[np.uint8]:
    """uint8 [count, grid, grid, 3]: smooth random colours."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 256, (count, grid // 8, grid // 8, 3), dtype=np.uint8)
    return coarse.repeat(8, axis=1).repeat(8, axis=2)


def run(model: onnx.ModelProto, values: npt.NDArray[np.generic]) -> npt.NDArray[np.generic]:
    """The output of a model with one input, by ONNX Runtime."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    result: npt.NDArray[np.generic] = session.run(None, {session.get_inputs()[0].name: values})[0]
    return result
