"""A network fresh from segmentation-models-pytorch, imported, served by a real Triton and asked through the SDK."""

import warnings
from pathlib import Path

import numpy as np
import onnxruntime
import torch
from segserve import Client

import training.torchvision_operators  # noqa: F401  (before anything imports torchvision)
from build_engines.cli import PASSED, main
from segserve_server.embedded import EmbeddedServer

ROOT = Path(__file__).resolve().parents[2]
GRID = 128
CLASSES = ("carpals", "metacarpals", "proximal", "middle", "distal")


def _export(path: Path) -> None:
    """As a training script would: float NCHW in, logits out, batch dynamic."""
    import segmentation_models_pytorch as smp

    torch.manual_seed(0)
    network = smp.Unet("resnet18", encoder_weights=None, classes=len(CLASSES)).eval()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the tracing exporter warns of its own deprecation
        torch.onnx.export(
            network,
            (torch.zeros(1, 3, GRID, GRID),),
            str(path),
            dynamo=False,
            opset_version=18,
            input_names=["x"],
            output_names=["y"],
            dynamic_axes={"x": {0: "batch"}, "y": {0: "batch"}},
        )


def test_five_classes_are_imported_served_and_segmented(tmp_path: Path) -> None:
    exported, classes, repository = tmp_path / "hand.onnx", tmp_path / "classes.toml", tmp_path / "models"
    _export(exported)
    classes.write_text("\n".join(f'[[classes]]\nname = "{name}"\nthreshold = 0.55' for name in CLASSES))
    command = ["import", str(exported), "--name", "hand_bone", "--classes", str(classes), "--grid", str(GRID)]
    assert main([*command, "--activation", "sigmoid", "--repository", str(repository)]) == PASSED
    photograph = ROOT / "examples" / "many_hemorrhages.jpg"
    with (
        EmbeddedServer(repository, variant="cpu", log=print) as server,
        Client(server.grpc_url, model="hand_bone", timeout_s=30) as client,
    ):
        result = client.segment(photograph)
        probability = client.probability(photograph).array
    assert tuple(result.report.classes) == CLASSES
    assert probability.shape == (len(CLASSES), GRID, GRID)
    for name in CLASSES:
        found = result.report.classes[name]
        assert result.masks[name].shape == (result.report.image.height, result.report.image.width)
        assert result.masks[name].sum() == found.area_px
    graph = repository / "hand_bone_segment" / "1" / "model.onnx"
    session = onnxruntime.InferenceSession(str(graph), providers=["CPUExecutionProvider"])
    logits = onnxruntime.InferenceSession(str(exported), providers=["CPUExecutionProvider"])
    pixels = np.random.default_rng(0).integers(0, 256, (1, GRID, GRID, 3), dtype=np.uint8)
    image = (pixels / 255 - np.array([0.485, 0.456, 0.406])) / np.array([0.229, 0.224, 0.225])
    expected = 1 / (1 + np.exp(-logits.run(None, {"x": image.transpose(0, 3, 1, 2).astype(np.float32)})[0]))
    served = session.run(None, {"MODEL_INPUT": pixels})[0]
    assert np.abs(served / 255 - expected).max() < 1.01 / 255
