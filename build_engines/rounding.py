"""BF16 weights, and biases that make up for what rounding them shifts."""

from collections.abc import Sequence

import ml_dtypes
import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

from build_engines.targets.engine import UInt8Array

_LAYERS = ("Conv", "ConvTranspose")
_MEAN = "_mean_for_rounding"

FloatArray = npt.NDArray[np.float32]


def round_weights(model: onnx.ModelProto, images: Sequence[UInt8Array]) -> onnx.ModelProto:
    """A copy whose convolutions have weights that BF16 holds exactly, with the same mean output as before.

    ``model``: folded, UINT8 in and out, weights in FP32; its types stay. ``images``: uint8 [1, grid, grid, 3] each. A
    rounded layer's output is off by (W - round(W)) * x; the mean of that over the images is added to its bias, padding
    neglected. Source: the bias correction of Nagel et al., Data-Free Quantization through Weight Equalization and
    Bias Correction, ICCV 2019, section 4.2, here with measured means.
    """
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    graph = copy.graph
    weights = {tensor.name: tensor for tensor in graph.initializer}
    layers = [node for node in graph.node if node.op_type in _LAYERS and node.input[1] in weights]
    means = _channel_means(model, sorted({node.input[0] for node in layers}), images)
    for number, node in enumerate(layers):
        exact = numpy_helper.to_array(weights[node.input[1]])
        rounded = exact.astype(ml_dtypes.bfloat16).astype(np.float32)
        shift = _mean_output(node, exact - rounded, means[node.input[0]])
        names = [f"{kind}_bf16_{number}" for kind in ("weight", "bias")]
        before = numpy_helper.to_array(weights[node.input[2]]) if len(node.input) > 2 else np.float32(0)
        for name, values in zip(names, (rounded, (before + shift).astype(np.float32)), strict=True):
            graph.initializer.append(numpy_helper.from_array(values, name))
        del node.input[1:]
        node.input.extend(names)
    used = {source for node in graph.node for source in node.input}
    for tensor in [tensor for tensor in graph.initializer if tensor.name not in used]:
        graph.initializer.remove(tensor)
    return copy


def _channel_means(
    model: onnx.ModelProto, tensors: Sequence[str], images: Sequence[UInt8Array]
) -> dict[str, FloatArray]:
    """Mean of each channel of each tensor over all images."""
    probe = onnx.ModelProto()
    probe.CopyFrom(model)
    for name in tensors:
        probe.graph.node.append(helper.make_node("GlobalAveragePool", [name], [name + _MEAN]))
        probe.graph.output.append(helper.make_tensor_value_info(name + _MEAN, TensorProto.FLOAT, None))
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(probe.SerializeToString(), options, providers=["CPUExecutionProvider"])
    wanted = [name + _MEAN for name in tensors]
    source = session.get_inputs()[0].name
    sums = [np.zeros((), np.float32)] * len(tensors)
    for image in images:
        found = session.run(wanted, {source: image})
        sums = [total + one[0, :, 0, 0] for total, one in zip(sums, found, strict=True)]
    return {name: total / len(images) for name, total in zip(tensors, sums, strict=True)}


def _mean_output(node: onnx.NodeProto, weights: FloatArray, means: FloatArray) -> FloatArray:
    """Mean output per channel of a convolution with these weights, for inputs of these channel means."""
    groups = next((attribute.i for attribute in node.attribute if attribute.name == "group"), 1)
    strides = next((attribute.ints for attribute in node.attribute if attribute.name == "strides"), [1, 1])
    taps = weights.sum(axis=(2, 3))
    by_group = means.reshape(groups, -1)
    if node.op_type == "Conv":  # [outputs, inputs of the group, ...]
        mean: FloatArray = np.einsum("goi,gi->go", taps.reshape(groups, -1, taps.shape[1]), by_group)
    else:  # [inputs, outputs of the group, ...]; strides spread the taps, so that an output sees only a share of them
        mean = np.einsum("gio,gi->go", taps.reshape(groups, -1, taps.shape[1]), by_group) / (strides[0] * strides[1])
    return mean.reshape(-1).astype(np.float32)
