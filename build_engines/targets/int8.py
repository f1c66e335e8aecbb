"""INT8 by post-training quantisation on photographs, with NNCF, for OpenVINO and for ONNX graphs alike."""

import os
from collections.abc import Callable, Sequence
from typing import Any

import onnx

from build_engines.targets.engine import UInt8Array


def quantise(
    graph: Any,
    images: Sequence[UInt8Array],
    layers: Sequence[str],
    feed: Callable[[UInt8Array], Any] | None = None,
    *,
    saturates: bool = False,
) -> Any:
    """The graph with its convolutions in INT8, of the type it had.

    ``images``: uint8 [1, grid, grid, 3] each, for the value ranges. ``layers``: names of the convolutions in order;
    the first and the last stay in floating point, since they decide most of what is lost (docs/engines.md). ``feed``:
    from an image to what the graph takes, if that is not the image. ``saturates``: it is for a processor that adds
    products of bytes in 16 bits, which overflow: weights then use half of their range.
    """
    os.environ.setdefault("NNCF_CI", "1")  # NNCF reports its use to its makers otherwise; a hospital's machine must not
    import nncf  # type: ignore[import-untyped]

    nncf.set_log_level(40)
    overflow = nncf.OverflowFix.ENABLE if saturates else None
    return nncf.quantize(
        graph,
        nncf.Dataset(list(images), feed) if feed else nncf.Dataset(list(images)),
        preset=nncf.QuantizationPreset.MIXED,
        subset_size=len(images),
        ignored_scope=nncf.IgnoredScope(names=sorted({*layers[:1], *layers[-1:]})),
        advanced_parameters=nncf.AdvancedQuantizationParameters(overflow_fix=overflow),
    )


def to_int8(model: onnx.ModelProto, images: Sequence[UInt8Array]) -> onnx.ModelProto:
    """The graph with quantise-dequantise pairs around its convolutions. ``model``: folded, UINT8 in and out."""
    named = onnx.ModelProto()
    named.CopyFrom(model)
    for number, node in enumerate(named.graph.node):
        node.name = f"n{number}_{node.op_type}"
    layers = [node.name for node in named.graph.node if node.op_type in ("Conv", "ConvTranspose")]
    source = named.graph.input[0].name
    quantised: onnx.ModelProto = quantise(named, images, layers, lambda image: {source: image})
    return quantised
