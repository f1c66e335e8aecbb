"""The served graph computes what the network and its second look say, whatever was done to make it fast."""

import dataclasses
from pathlib import Path

import numpy as np
import onnx
import torch
from torch.nn import functional

from segserve_server.engines.openvino import OpenVinoEngine, Precision
from training.batches import to_network_input
from training.config import ServedConfig, TrainConfig
from training.export import export
from training.network import load_trained, upsample

IMAGE = np.random.default_rng(5).integers(0, 256, size=(1, 128, 128, 3), dtype=np.uint8)


def _expected(config: TrainConfig, checkpoint: Path, *, temperature: float) -> np.ndarray:  # type: ignore[type-arg]
    """Probability x 255, [128, 128], by the plain operations."""
    network, _ = load_trained(checkpoint, config)
    images = to_network_input(IMAGE)
    with torch.inference_mode():
        logits = network(images)[:, :1]
        if config.served.coarse:
            coarse = network(functional.avg_pool2d(images, 4))[:, :1]
            weighed = torch.where(coarse > 0, coarse, config.served.coarse_negative_slope * coarse)
            logits = logits + config.served.coarse * upsample(upsample(weighed))
        probability = torch.sigmoid(upsample(logits) / temperature)[0, 0] * 255
    return probability.numpy()


def test_the_graph_is_the_network_with_its_second_look(
    config: TrainConfig, finished_run: Path, weights: Path, tmp_path: Path
) -> None:
    checkpoint, single = finished_run / "checkpoint.pt", tmp_path / "single.onnx"
    without = dataclasses.replace(config, served=ServedConfig(coarse=0.0))
    export(checkpoint, without, output=single, temperature=1.5)
    answers = {}
    for wanted, path in ((config, weights), (without, single)):
        answers[path] = OpenVinoEngine(path, precision=Precision.F32).infer(IMAGE)[0, 0].astype(np.float64)
        assert np.abs(answers[path] - _expected(wanted, checkpoint, temperature=1.5)).max() < 0.6
    assert not np.array_equal(*answers.values())


def test_both_looks_share_their_weights_but_no_bias_before_an_activation(weights: Path) -> None:
    graph = onnx.load(weights).graph
    assert not [node for node in graph.node if node.op_type == "Identity"]
    convolutions = [node for node in graph.node if node.op_type == "Conv"]
    followed = {name for node in graph.node if node.op_type in ("Clip", "Relu") for name in node.input}
    biases = [node.input[2] for node in convolutions if node.output[0] in followed]
    assert len(biases) > 50
    assert len(biases) == len(set(biases))
    kernels = [node.input[1] for node in convolutions]
    assert len(set(kernels)) < 0.6 * len(kernels)
