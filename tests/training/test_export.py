"""The served graph computes what the network and its second look say, whatever was done to make it fast."""

import dataclasses
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnx
import pytest
import torch
from torch.nn import functional

from segserve_server.engines.openvino import OpenVinoEngine, Precision
from training.batches import to_network_input
from training.config import ServedConfig, TrainConfig
from training.errors import RunError
from training.export import export
from training.network import load_trained, upsample
from training.served_graph import sees_neighbours_only

IMAGE = np.random.default_rng(5).integers(0, 256, size=(1, 128, 128, 3), dtype=np.uint8)


def _expected(
    config: TrainConfig, checkpoint: Path, *, temperature: float, image: npt.NDArray[np.uint8] = IMAGE
) -> npt.NDArray[np.float32]:
    """Probability x 255, [H, W] of the uint8 [1, H, W, 3], by the plain operations."""
    network, _ = load_trained(checkpoint, config)
    images = to_network_input(image)
    with torch.inference_mode():
        logits = network(images)[:, :1]
        if config.served.coarse:
            left_out = (config.data.grid - image.shape[1]) // 2
            black = to_network_input(np.full((1, left_out, *image.shape[2:]), 4, np.uint8))
            coarse = network(functional.avg_pool2d(torch.cat([black, images, black], dim=2), 4))[:, :1]
            coarse = coarse[:, :, left_out // 8 : coarse.shape[2] - left_out // 8]
            weighed = torch.where(coarse > 0, coarse, config.served.coarse_negative_slope * coarse)
            logits = logits + config.served.coarse * upsample(upsample(weighed))
        probability = torch.sigmoid(upsample(logits) / temperature)[0, 0] * 255
    found: npt.NDArray[np.float32] = probability.numpy()
    return found


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


def test_dark_rows_may_be_left_out_and_the_second_look_does_not_miss_them(
    config: TrainConfig, finished_run: Path, tmp_path: Path
) -> None:
    rows = slice(64, 192)
    served = dataclasses.replace(config.served, short_height=128)
    short = dataclasses.replace(config, data=dataclasses.replace(config.data, grid=256), served=served)
    export(finished_run / "checkpoint.pt", short, output=tmp_path / "short.onnx", temperature=1.5)
    photograph = np.full((1, 256, 256, 3), 4, np.uint8)  # as dark as CLAHE leaves black
    photograph[:, 80:180] = IMAGE[0, :100].repeat(2, axis=1)
    found = OpenVinoEngine(tmp_path / "short.onnx", precision=Precision.F32).infer(photograph)[0, 0].astype(int)
    assert not found[:64].any()
    assert not found[192:].any()
    expected = _expected(short, finished_run / "checkpoint.pt", temperature=1.5, image=photograph[:, rows])
    assert np.abs(found[rows] - expected).max() < 0.6


def test_a_network_that_looks_everywhere_is_told_from_one_that_does_not(weights: Path) -> None:
    graph = onnx.load(weights)
    assert sees_neighbours_only(graph)
    graph.graph.node.append(onnx.helper.make_node("GlobalAveragePool", ["features"], ["everywhere"]))
    assert not sees_neighbours_only(graph)


def test_rows_that_a_network_depends_on_are_not_left_out(
    config: TrainConfig, finished_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("training.export.sees_neighbours_only", lambda _graph: False)
    served = dataclasses.replace(config.served, short_height=128)
    short = dataclasses.replace(config, data=dataclasses.replace(config.data, grid=256), served=served)
    with pytest.raises(RunError, match="short_height: this network's pixels depend on the whole grid"):
        export(finished_run / "checkpoint.pt", short, output=tmp_path / "short.onnx", temperature=1.5)
