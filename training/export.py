"""The served graph: UINT8 photograph grid in, UINT8 probability out, everything between inside one ONNX file."""

import warnings
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import torch
from segserve.contract import MODEL_INPUT, PROBABILITY
from torch import Tensor, nn
from torch.nn import functional

from segserve_server.engines.margins import HEIGHTS_KEY
from training.batches import IMAGENET_MEAN, IMAGENET_STD
from training.config import COARSE, ServedConfig, TrainConfig
from training.errors import RunError
from training.network import SegmentationNetwork, load_trained, weigh_second_look
from training.served_graph import COARSE_KEY, NEGATIVE_SLOPE_KEY, TEMPERATURE_KEY, sees_neighbours_only

OPSET = 18
_BLACK = 4.0  # of 255: what CLAHE leaves of a photograph's black margin
_SMALL = 2048  # values: any bias, no weights worth sharing


class ServedNetwork(nn.Module):
    """uint8 [N, grid, grid, 3] RGB to uint8 [N, classes, grid, grid], probability x 255.

    ``temperature`` divides the logits before the sigmoid, so that probabilities are calibrated (Guo et al., On
    Calibration of Modern Neural Networks, ICML 2017), which eight bits need. ``served``: the second look.
    """

    mean: Tensor
    std: Tensor
    mixtures: Tensor
    mean_of_block: Tensor
    black: Tensor

    def __init__(
        self, network: SegmentationNetwork, *, temperature: float, classes: int, grid: int, served: ServedConfig
    ) -> None:
        super().__init__()
        self.grid = grid
        self.network = network
        self.temperature = temperature
        self.served = served
        self.classes = classes
        self.register_buffer("mean", torch.tensor(IMAGENET_MEAN).view(1, 3, 1, 1) * 255)
        self.register_buffer("std", torch.tensor(IMAGENET_STD).view(1, 3, 1, 1) * 255)
        before, after = torch.tensor([0.25, 0.75, 0.0]), torch.tensor([0.0, 0.75, 0.25])
        mixtures = torch.stack([torch.outer(down, across) for down in (before, after) for across in (before, after)])
        self.register_buffer("mixtures", mixtures.unsqueeze(1).repeat(classes, 1, 1, 1))
        self.register_buffer("mean_of_block", torch.eye(3).view(3, 3, 1, 1).repeat(1, 1, COARSE, COARSE) / COARSE**2)
        self.register_buffer("black", (_BLACK - self.mean) / self.std)

    def forward(self, images: Tensor) -> Tensor:
        """The served computation."""
        normalised = (images.float().permute(0, 3, 1, 2) - self.mean) / self.std
        logits = self.network(normalised)
        if self.served.coarse:
            coarse = weigh_second_look(self._look_at_quarter(normalised), self.served)
            logits = logits + self._upsample(self._upsample(coarse))
        return torch.round(torch.sigmoid(self._upsample(logits / self.temperature)) * 255).to(torch.uint8)

    def _look_at_quarter(self, normalised: Tensor) -> Tensor:
        """The second look's logits. It sees the whole grid: dark rows that an engine left out are put back.

        What it sees at its border counts for much, and at a quarter of the resolution rows are cheap.
        """
        seen = functional.conv2d(normalised, self.mean_of_block, -self.black.flatten(), stride=COARSE)
        missing = (self.grid // COARSE - seen.shape[2]) // 2
        logits: Tensor = self.network(functional.pad(seen, (0, 0, missing, missing)) + self.black)
        return logits[:, :, missing // 2 : logits.shape[2] - missing // 2]

    def _upsample(self, logits: Tensor) -> Tensor:
        """``network.upsample`` as a fixed convolution: each pixel becomes four mixtures of its neighbours.

        Engines run that faster than a resize: a tenth of the whole network's time on a CPU.
        """
        padded = functional.pad(logits, (1, 1, 1, 1), mode="replicate")
        return functional.pixel_shuffle(functional.conv2d(padded, self.mixtures, groups=self.classes), 2)


def export(
    checkpoint: Path,
    config: TrainConfig,
    *,
    output: Path,
    temperature: float,
    classes: int = 1,
    half: bool = False,
) -> None:
    """Write the served ONNX of a checkpoint's averaged weights, its batch dimension free, and check that it runs.

    ``half``: store the weights in half precision, half the file; engines still compute as they like.
    The file's metadata names run, step and temperature, and the smaller height that the graph works on, too.
    Raises RunError when the checkpoint does not fit ``config``, or rows are to be left out that the network depends on.
    """
    network, step = load_trained(checkpoint, config)
    network.head = _first_channels(network.head, classes)
    grid = config.data.grid
    model = ServedNetwork(network, temperature=temperature, classes=classes, grid=grid, served=config.served).eval()
    output.parent.mkdir(parents=True, exist_ok=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the tracing exporter warns of its own deprecation
        torch.onnx.export(
            model,
            (torch.zeros((1, grid, grid, 3), dtype=torch.uint8),),
            str(output),
            dynamo=False,
            opset_version=OPSET,
            input_names=[MODEL_INPUT],
            output_names=[PROBABILITY],
            dynamic_axes={MODEL_INPUT: {0: "batch"}, PROBABILITY: {0: "batch"}},
        )
    graph = onnx.load(output)
    facts = {TEMPERATURE_KEY: repr(temperature), COARSE_KEY: repr(config.served.coarse)}
    facts |= {NEGATIVE_SLOPE_KEY: repr(config.served.coarse_negative_slope)}
    facts |= {"run": config.name, "step": str(step)}
    if config.served.short_height:
        if not sees_neighbours_only(graph):
            raise RunError(
                "served.short_height: this network's pixels depend on the whole grid, no row can be left out"
            )
        facts[HEIGHTS_KEY] = str(config.served.short_height)
    onnx.helper.set_model_props(graph, facts)
    _separate_constants(graph)
    if half:
        _store_in_half_precision(graph)
    onnx.checker.check_model(graph, full_check=True)
    onnx.save(graph, output)
    session = onnxruntime.InferenceSession(str(output), providers=["CPUExecutionProvider"])
    (probability,) = session.run([PROBABILITY], {MODEL_INPUT: np.zeros((2, grid, grid, 3), np.uint8)})
    if probability.shape != (2, classes, grid, grid) or probability.dtype != np.uint8:
        raise RunError(f"the exported graph answers {probability.dtype} {probability.shape}")


def _separate_constants(graph: onnx.ModelProto) -> None:
    """Give each reader of a small shared constant a copy of its own; the weights of both looks stay shared.

    OpenVINO fuses activations into convolutions only where the bias has one reader: without this the second look costs
    a third of the first instead of a tenth. Precisions are chosen by node, so that a shared constant would fit one of
    its readers only. The exporter passes some of what is shared through Identity nodes, which go.
    """
    stored = {tensor.name: tensor for tensor in graph.graph.initializer}
    renamed = {n.output[0]: n.input[0] for n in graph.graph.node if n.op_type == "Identity" and n.input[0] in stored}
    nodes = [node for node in graph.graph.node if node.output[0] not in renamed]
    read: set[str] = set()
    for number, node in enumerate(nodes):
        for index, alias in enumerate(node.input):
            name = renamed.get(alias, alias)
            if name in read and np.prod(stored[name].dims) <= _SMALL:
                graph.graph.initializer.add().CopyFrom(stored[name])
                name = graph.graph.initializer[-1].name = f"{name}_{number}"
            elif name in stored:
                read.add(name)
            node.input[index] = name
    del graph.graph.node[:]
    graph.graph.node.extend(nodes)


def _store_in_half_precision(graph: onnx.ModelProto) -> None:
    """Convolution weights as float16, each with a cast to float32 that engines fold away."""
    weights = {node.input[1] for node in graph.graph.node if node.op_type == "Conv"}
    casts = []
    for tensor in graph.graph.initializer:
        if tensor.name not in weights or tensor.data_type != onnx.TensorProto.FLOAT:
            continue
        name, values = tensor.name, onnx.numpy_helper.to_array(tensor).astype(np.float16)
        tensor.CopyFrom(onnx.numpy_helper.from_array(values, f"{name}_half"))
        casts.append(onnx.helper.make_node("Cast", [f"{name}_half"], [name], to=onnx.TensorProto.FLOAT))
    nodes = [*casts, *graph.graph.node]
    del graph.graph.node[:]
    graph.graph.node.extend(nodes)


def _first_channels(head: nn.Conv2d, classes: int) -> nn.Conv2d:
    """The head without the channels that nobody reads, so that the file holds only what is served."""
    served = nn.Conv2d(head.in_channels, classes, kernel_size=3, padding=1)
    bias = head.bias
    if bias is None:
        raise RunError("the network's head has no bias")
    served.weight.data, served.bias.data = head.weight.data[:classes], bias.data[:classes]  # type: ignore[union-attr]
    return served
