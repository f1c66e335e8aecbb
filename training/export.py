"""The served graph: UINT8 photograph grid in, UINT8 probability out, everything between inside one ONNX file."""

import warnings
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import torch
from segserve.contract import MODEL_INPUT, PROBABILITY
from torch import Tensor, nn

from training.batches import IMAGENET_MEAN, IMAGENET_STD
from training.checkpoint import load_checkpoint
from training.config import TrainConfig
from training.errors import RunError
from training.network import SegmentationNetwork, upsample
from training.served_graph import TEMPERATURE_KEY

OPSET = 18


class ServedNetwork(nn.Module):
    """uint8 [N, grid, grid, 3] RGB to uint8 [N, classes, grid, grid], probability x 255.

    ``temperature`` divides the logits before the sigmoid, so that probabilities are calibrated (Guo et al., On
    Calibration of Modern Neural Networks, ICML 2017), which eight bits need.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, network: SegmentationNetwork, *, temperature: float, classes: int) -> None:
        super().__init__()
        self.network = network
        self.temperature = temperature
        self.classes = classes
        self.register_buffer("mean", torch.tensor(IMAGENET_MEAN).view(1, 3, 1, 1) * 255)
        self.register_buffer("std", torch.tensor(IMAGENET_STD).view(1, 3, 1, 1) * 255)

    def forward(self, images: Tensor) -> Tensor:
        """The served computation."""
        normalised = (images.permute(0, 3, 1, 2).float() - self.mean) / self.std
        logits = upsample(self.network(normalised)[:, : self.classes])
        return torch.round(torch.sigmoid(logits / self.temperature) * 255).to(torch.uint8)


def export(checkpoint: Path, config: TrainConfig, *, output: Path, temperature: float, classes: int = 1) -> None:
    """Write the served ONNX of a checkpoint's averaged weights, its batch dimension free, and check that it runs.

    The file's metadata names run, step and temperature. Raises RunError when the checkpoint does not fit ``config``.
    """
    state = load_checkpoint(checkpoint)
    network = SegmentationNetwork(config.network)
    try:
        network.load_state_dict(state["average"])
    except (KeyError, RuntimeError) as error:
        raise RunError(f"{checkpoint} is not a checkpoint of {config.name}") from error
    network.head = _first_channels(network.head, classes)
    model = ServedNetwork(network, temperature=temperature, classes=classes).eval()
    grid = config.data.grid
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
    facts = {TEMPERATURE_KEY: repr(temperature), "run": config.name, "step": str(state["step"])}
    onnx.helper.set_model_props(graph, facts)
    onnx.checker.check_model(graph, full_check=True)
    onnx.save(graph, output)
    session = onnxruntime.InferenceSession(str(output), providers=["CPUExecutionProvider"])
    (probability,) = session.run([PROBABILITY], {MODEL_INPUT: np.zeros((2, grid, grid, 3), np.uint8)})
    if probability.shape != (2, classes, grid, grid) or probability.dtype != np.uint8:
        raise RunError(f"the exported graph answers {probability.dtype} {probability.shape}")


def _first_channels(head: nn.Conv2d, classes: int) -> nn.Conv2d:
    """The head without the channels that nobody reads, so that the file holds only what is served."""
    served = nn.Conv2d(head.in_channels, classes, kernel_size=3, padding=1)
    bias = head.bias
    if bias is None:
        raise RunError("the network's head has no bias")
    served.weight.data, served.bias.data = head.weight.data[:classes], bias.data[:classes]  # type: ignore[union-attr]
    return served
