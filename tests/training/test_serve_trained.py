"""What a few steps of training exported is served by a real Triton, and answers as the offline pipeline does.

The same weights come out of a run that was killed and went on (test_train.py).
"""

from pathlib import Path

import numpy as np
from segserve import Client

from build_engines.cli import PASSED, main
from segserve_server.embedded import EmbeddedServer
from segserve_server.engines.openvino import OpenVinoEngine
from segserve_server.imaging.pipeline import postprocess
from segserve_server.repository.settings import load_postprocess_settings, load_preprocess_settings
from training.idrid import list_annotated
from training.predictions import predict


def test_trained_weights_are_served(weights: Path, data: Path, tmp_path: Path) -> None:
    classes, repository = tmp_path / "classes.toml", tmp_path / "models"
    classes.write_text('[[classes]]\nname = "hemorrhage"\nthreshold = 0.3\n')
    command = ["import", str(weights), "--name", "tiny", "--classes", str(classes), "--grid", "128"]
    assert main([*command, "--repository", str(repository)]) == PASSED
    photographs = list_annotated(data)[:2]
    with (
        EmbeddedServer(repository, variant="cpu", log=print) as server,
        Client(server.grpc_url, model="tiny", timeout_s=30) as client,
    ):
        served = [client.segment(photograph.image) for photograph in photographs]
    preprocessing = load_preprocess_settings(repository / "tiny_preprocess/1/settings.toml").settings
    postprocessing = load_postprocess_settings(repository / "tiny_postprocess/1/settings.toml").settings
    engine = OpenVinoEngine(repository / "tiny_segment/1/model.onnx")
    for result, prediction in zip(served, predict(photographs, engine, preprocessing), strict=True):
        mask = postprocess(prediction.probability, prediction.geometry, postprocessing)[0].mask()
        assert np.array_equal(result.masks["hemorrhage"], mask)
