"""The served graph from what training frameworks export: normalisation, views, averaging and activation inside."""

import enum
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import onnx
import onnx.compose
import onnx.version_converter
from onnx import TensorProto, helper
from segserve.contract import MODEL_INPUT, PROBABILITY

from build_engines.errors import GraphError
from build_engines.graph import RGB, Signature, read_signature
from build_engines.layout import fold
from build_engines.nodes import GraphWriter
from build_engines.operators import opset_of
from build_engines.views import View, add_view

_IR_VERSION = 10  # the newest that TensorRT 10.12 and ONNX Runtime 1.18 read
_LEVELS = 255.0


class Activation(enum.Enum):
    """From logits to probabilities: SIGMOID lets classes overlap, SOFTMAX shares each pixel among all channels."""

    SIGMOID = "sigmoid"
    SOFTMAX = "softmax"


class Averaging(enum.Enum):
    """Of members and views: MEAN of probabilities, or VOTE, where more than half must reach the vote threshold."""

    MEAN = "mean"
    VOTE = "vote"


@dataclass(frozen=True, slots=True)
class Normalisation:
    """(x / 255 - mean) / std per channel, x in 0 to 255; the default is ImageNet's, as torchvision documents it."""

    mean: tuple[float, ...] = (0.485, 0.456, 0.406)
    std: tuple[float, ...] = (0.229, 0.224, 0.225)

    def __post_init__(self) -> None:
        if len(self.mean) != RGB or len(self.std) != RGB or min(self.std) <= 0:
            raise GraphError(
                f"normalisation needs three means and three positive deviations, not {self.mean}, {self.std}"
            )


@dataclass(frozen=True, slots=True)
class Composition:
    """What happens around the members.

    ``temperature`` divides the logits. ``views``: the identity is always one of them. ``floor``: a mean probability
    under it becomes 0. ``vote_threshold``: the probability from which a member's view votes. ``background``: the
    channel that is no class and is left out.
    """

    activation: Activation = Activation.SIGMOID
    normalisation: Normalisation = Normalisation()
    temperature: float = 1.0
    views: tuple[View, ...] = ()
    averaging: Averaging = Averaging.MEAN
    floor: float = 0.0
    vote_threshold: float = 0.5
    background: int | None = None

    def __post_init__(self) -> None:
        if not 0 < self.temperature < float("inf"):
            raise GraphError(f"temperature must be a positive number, not {self.temperature}")
        if not 0 <= self.floor < 1:
            raise GraphError(f"floor must be in [0, 1), not {self.floor}")
        if not 0 < self.vote_threshold < 1:
            raise GraphError(f"vote threshold must be between 0 and 1, not {self.vote_threshold}")
        if self.averaging is Averaging.VOTE and self.floor:
            raise GraphError("a vote has no floor: give one of them")

    @property
    def all_views(self) -> tuple[View, ...]:
        """The identity first, each view once."""
        return tuple(dict.fromkeys((View.IDENTITY, *self.views)))


def compose(members: Sequence[tuple[str, onnx.ModelProto]], composition: Composition) -> onnx.ModelProto:
    """UINT8 [N, grid, grid, 3] to UINT8 [N, classes, grid, grid], probability x 255.

    ``members``: names and checked graphs, float32 [N, 3, grid, grid] to logits. All views of an image go through a
    member as one larger batch. Raises GraphError, also for members that do not agree with each other.
    """
    if not members:
        raise GraphError("there is no member to compose: give at least one ONNX")
    signatures = [read_signature(model, name) for name, model in members]
    _require_agreement(members, signatures, composition)
    first = signatures[0]
    opset = max(opset_of(model) for _, model in members)
    writer = GraphWriter()
    batch = _add_input(writer, composition, first.grid)
    votes = []
    for number, ((name, model), signature) in enumerate(zip(members, signatures, strict=True)):
        logits = _add_member(writer, _at_opset(model, opset, name), signature, number, batch)
        votes += _add_probabilities(writer, logits, composition, first)
    probability = _add_average(writer, votes, composition)
    classes = first.channels
    if composition.background is not None:
        kept = [channel for channel in range(first.channels) if channel != composition.background]
        probability, classes = writer.add("Gather", [probability, writer.integers(kept)], axis=1), len(kept)
    scaled = writer.add("Round", [writer.add("Mul", [probability, writer.number(_LEVELS)])])
    writer.add("Cast", [scaled], output=PROBABILITY, to=TensorProto.UINT8)
    graph = helper.make_graph(
        writer.nodes,
        "served",
        [helper.make_tensor_value_info(MODEL_INPUT, TensorProto.UINT8, ["batch", first.grid, first.grid, RGB])],
        [helper.make_tensor_value_info(PROBABILITY, TensorProto.UINT8, ["batch", classes, first.grid, first.grid])],
        writer.initializers,
    )
    served = helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=_IR_VERSION, producer_name="segserve"
    )
    return fold(served, "the composed graph")


def _require_agreement(
    members: Sequence[tuple[str, onnx.ModelProto]], signatures: Sequence[Signature], composition: Composition
) -> None:
    first, first_name = signatures[0], members[0][0]
    for (name, model), signature in zip(members, signatures, strict=True):
        if signature.served:
            raise GraphError(f"{name} is a served graph already (UINT8 in and out); members are float images to logits")
        if (signature.grid, signature.channels) != (first.grid, first.channels):
            raise GraphError(
                f"{name} gives {signature.channels} channels on a grid of {signature.grid}, {first_name} "
                f"{first.channels} on {first.grid}: members must agree"
            )
        last = next(node for node in model.graph.node if signature.output in node.output)
        if last.op_type in ("Sigmoid", "Softmax"):
            raise GraphError(
                f"{name} ends in {last.op_type}: export the logits, the activation is added after the temperature"
            )
    background = composition.background
    if background is not None and not 0 <= background < first.channels:
        raise GraphError(f"background channel {background} is not one of 0 to {first.channels - 1}")
    if first.channels - (background is not None) < 1:
        raise GraphError("no class is left once the background is taken out")
    if composition.activation is Activation.SOFTMAX and first.channels < 2:
        raise GraphError("softmax over one channel is 1 everywhere: use the sigmoid")


def _at_opset(model: onnx.ModelProto, opset: int, name: str) -> onnx.ModelProto:
    if opset_of(model) == opset:
        return model
    try:
        converted: onnx.ModelProto = onnx.version_converter.convert_version(model, opset)
    except Exception as error:  # whatever the converter's C++ side throws
        raise GraphError(f"{name} cannot be raised to opset {opset}: export all members with the same opset") from error
    return converted


def _add_input(writer: GraphWriter, composition: Composition, grid: int) -> str:
    """Cast, layout, normalisation, then all views along the batch: [V * N, 3, grid, grid]."""
    pixels = writer.add("Cast", [MODEL_INPUT], to=TensorProto.FLOAT)
    image = writer.add("Transpose", [pixels], perm=[0, 3, 1, 2])
    mean, std = (
        writer.constant(np.asarray(values, np.float32).reshape(1, RGB, 1, 1) * np.float32(_LEVELS))
        for values in (composition.normalisation.mean, composition.normalisation.std)
    )
    image = writer.add("Div", [writer.add("Sub", [image, mean]), std])
    views = [add_view(writer, image, view, grid) for view in composition.all_views]
    return views[0] if len(views) == 1 else writer.add("Concat", views, axis=0)


def _add_member(writer: GraphWriter, model: onnx.ModelProto, signature: Signature, number: int, batch: str) -> str:
    prefixed = onnx.compose.add_prefix(model, f"member{number}_")
    source = f"member{number}_{signature.input}"
    for node in prefixed.graph.node:
        for position, name in enumerate(node.input):
            if name == source:
                node.input[position] = batch
    writer.insert(prefixed.graph)
    return f"member{number}_{signature.output}"


def _add_probabilities(writer: GraphWriter, logits: str, composition: Composition, signature: Signature) -> list[str]:
    """One probability [N, C, grid, grid] per view, turned back."""
    if composition.temperature != 1:
        logits = writer.add("Div", [logits, writer.number(composition.temperature)])
    if composition.activation is Activation.SIGMOID:
        probability = writer.add("Sigmoid", [logits])
    else:
        probability = writer.add("Softmax", [logits], axis=1)
    views = composition.all_views
    if len(views) == 1:
        return [probability]
    shape = writer.integers([len(views), -1, signature.channels, signature.grid, signature.grid])
    split = writer.add("Reshape", [probability, shape])
    found = []
    for position, view in enumerate(views):
        one = writer.add("Gather", [split, writer.constant(np.asarray(position, np.int64))], axis=0)
        found.append(add_view(writer, one, view.inverse, signature.grid))
    return found


def _add_average(writer: GraphWriter, votes: Sequence[str], composition: Composition) -> str:
    if composition.averaging is Averaging.VOTE:
        threshold = writer.number(composition.vote_threshold)
        yes = [
            writer.add("Cast", [writer.add("GreaterOrEqual", [vote, threshold])], to=TensorProto.FLOAT)
            for vote in votes
        ]
        majority = writer.add("Greater", [_add_sum(writer, yes), writer.number(len(votes) / 2)])
        return writer.add("Cast", [majority], to=TensorProto.FLOAT)
    mean = _add_sum(writer, votes)
    if len(votes) > 1:
        mean = writer.add("Div", [mean, writer.number(len(votes))])
    if composition.floor:
        above = writer.add("GreaterOrEqual", [mean, writer.number(composition.floor)])
        mean = writer.add("Where", [above, mean, writer.number(0)])
    return mean


def _add_sum(writer: GraphWriter, terms: Sequence[str]) -> str:
    return terms[0] if len(terms) == 1 else writer.add("Sum", list(terms))
