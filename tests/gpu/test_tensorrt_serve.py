"""The container's own Triton serves a plan, and its answers are those of the FP32 reference."""

import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from segserve import Client, SegserveError

from build_engines.cli import PASSED, main
from build_engines.pipeline import load_pipeline
from build_engines.targets.engine import OnnxRuntimeEngine
from segserve_server.embedded.ports import free_ports
from segserve_server.imaging.pipeline import preprocess

NAME = "fundus_hemorrhage"
EXAMPLES = sorted((Path(__file__).resolve().parents[2] / "examples").glob("*.jpg"))
_START_S = 300.0


@pytest.fixture(scope="module")
def url(repository: Path, tritonserver: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A server with an FP16 plan; its gRPC address."""
    report = tmp_path_factory.mktemp("report")
    command = ["build", NAME, "--target", "tensorrt", "--precision", "fp16", "--repository", str(repository)]
    assert main([*command, "--report", str(report)]) == PASSED
    ports = free_ports()
    log = report / "tritonserver.log"
    with log.open("wb") as sink:
        process = subprocess.Popen(
            [
                tritonserver,
                f"--model-repository={repository}",
                "--model-control-mode=none",
                "--disable-auto-complete-config",
                "--exit-on-error=true",
                f"--http-port={ports.http}",
                f"--grpc-port={ports.grpc}",
                f"--metrics-port={ports.metrics}",
            ],
            stdout=sink,
            stderr=subprocess.STDOUT,
        )
    address = f"grpc://127.0.0.1:{ports.grpc}"
    try:
        _wait_until_ready(process, address, log)
        yield address
    finally:
        process.terminate()
        process.wait(60)


def _wait_until_ready(process: "subprocess.Popen[bytes]", address: str, log: Path) -> None:
    end = time.monotonic() + _START_S
    while time.monotonic() < end:
        if process.poll() is not None:
            break
        try:
            with Client(address, model=NAME, timeout_s=5) as client:
                client.segment(EXAMPLES[0])
        except SegserveError:
            time.sleep(1)
        else:
            return
    raise AssertionError(f"tritonserver did not get ready: {log.read_text()[-4000:]}")


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_served_probabilities_are_those_of_fp32(url: str, repository: Path, path: Path) -> None:
    pipeline = load_pipeline(repository, NAME)
    pixels = preprocess(path.read_bytes(), pipeline.preprocess.settings).pixels
    expected = OnnxRuntimeEngine(pipeline.onnx).infer(pixels[np.newaxis])[0] / 255
    with Client(url, model=NAME, timeout_s=60) as client:
        served = client.probability(path).array
    assert served.shape == expected.shape
    assert np.abs(served - expected).mean() < 0.005


def test_many_photographs_at_once_are_all_answered(url: str) -> None:
    with Client(url, model=NAME, timeout_s=60) as client:
        alone = {path.name: client.segment(path).report.classes["hemorrhage"].area_px for path in EXAMPLES}
        together = list(client.segment_many(EXAMPLES * 8, concurrency=16))
    assert len(together) == 8 * len(EXAMPLES)
    for path, item in zip(EXAMPLES * 8, together, strict=True):
        assert item.result is not None
        area = item.result.report.classes["hemorrhage"].area_px
        assert area == pytest.approx(alone[path.name], rel=0.02, abs=200)
