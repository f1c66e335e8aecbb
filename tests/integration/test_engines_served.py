"""Composed graphs and built engines behind a real Triton."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import tritonclient.grpc as triton_grpc
from segserve.contract import IMAGE, PROBABILITY, PROBABILITY_SUFFIX

from build_engines.cli import PASSED, main
from build_engines.compose import Averaging, Composition, compose
from build_engines.importer import ImportRequest, import_pipeline
from build_engines.pipeline import Pipeline, load_pipeline
from build_engines.views import View
from segserve_server.embedded import EmbeddedServer
from segserve_server.embedded.errors import EmbeddedServerError
from segserve_server.imaging.pipeline import preprocess
from segserve_server.imaging.settings import ClassSettings
from tests.unit.build_engines.networks import logits_network, run, save

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = sorted((ROOT / "examples").glob("*.jpg"))
GRID = 128
MEMBERS = [(f"member{seed}.onnx", logits_network(seed=seed, grid=GRID, classes=2, gain=30)) for seed in (1, 2)]
COMPOSITIONS = {
    "eye_mean": Composition(views=(View.FLIP_HORIZONTAL,)),
    "eye_vote": Composition(views=(View.FLIP_HORIZONTAL,), averaging=Averaging.VOTE),
}


def _import(name: str, composition: Composition, repository: Path, folder: Path) -> Pipeline:
    """A pipeline of the composed members, computed in FP32 when served."""
    import_pipeline(
        ImportRequest(
            onnx=save(compose(MEMBERS, composition), folder / f"{name}.onnx"),
            name=name,
            classes=(ClassSettings("one", "#ff0000", 0.5, 2.0), ClassSettings("two", "#00ff00", 0.5)),
            composition=None,
            grid=GRID,
            crop="full_frame",
            clahe_clip_limit=2.0,
            template=load_pipeline(ROOT / "model_repository", "fundus_hemorrhage"),
            repository=repository,
        )
    )
    _set_precision(repository / f"{name}_segment", "f32")
    return load_pipeline(repository, name)


def _set_precision(segment: Path, precision: str) -> None:
    config = segment / "configs" / "cpu.pbtxt"
    text = config.read_text()
    assert '"auto"' in text
    config.write_text(text.replace('"auto"', f'"{precision}"'))


@pytest.fixture(scope="module")
def pipelines(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Pipeline]:
    """One pipeline per composition, in one repository."""
    folder = tmp_path_factory.mktemp("composed")
    return {name: _import(name, one, folder / "repository", folder) for name, one in COMPOSITIONS.items()}


@pytest.fixture(scope="module")
def server(pipelines: dict[str, Pipeline]) -> Iterator[EmbeddedServer]:
    """That repository, served."""
    with EmbeddedServer(pipelines["eye_mean"].repository, variant="cpu", log=print) as running:
        yield running


def _served_probability(server: EmbeddedServer, name: str, photograph: bytes) -> npt.NDArray[np.uint8]:
    with triton_grpc.InferenceServerClient(server.grpc_url.removeprefix("grpc://")) as client:
        image = triton_grpc.InferInput(IMAGE, [1, 1], "BYTES")
        image.set_data_from_numpy(np.array([[photograph]], np.object_))
        wanted = triton_grpc.InferRequestedOutput(PROBABILITY)
        result = client.infer(f"{name}{PROBABILITY_SUFFIX}", [image], outputs=[wanted])
        probability: npt.NDArray[np.uint8] = result.as_numpy(PROBABILITY)[0]
        return probability


def _probabilities(pixels: npt.NDArray[np.uint8], composition: Composition) -> list[npt.NDArray[np.float64]]:
    """Each member on the image and on its mirror image, turned back: networks run outside the server."""
    normalisation = composition.normalisation
    image = (pixels / 255 - np.array(normalisation.mean)) / np.array(normalisation.std)
    found = []
    for _, model in MEMBERS:
        for mirrored in (False, True):
            view = image[:, ::-1] if mirrored else image
            logits = run(model, np.ascontiguousarray(view.transpose(2, 0, 1)[np.newaxis], np.float32))[0].astype(float)
            found.append(1 / (1 + np.exp(-(logits[:, :, ::-1] if mirrored else logits))))
    return found


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_two_members_with_a_mirrored_view_equal_the_mean_outside_within_one_level(
    server: EmbeddedServer, pipelines: dict[str, Pipeline], path: Path
) -> None:
    pixels = preprocess(path.read_bytes(), pipelines["eye_mean"].preprocess.settings).pixels
    expected = np.round(np.mean(_probabilities(pixels, COMPOSITIONS["eye_mean"]), axis=0) * 255)
    served = _served_probability(server, "eye_mean", path.read_bytes()).astype(int)
    assert served.shape == (2, GRID, GRID)
    assert np.abs(served - expected).max() <= 1
    assert served.std() > 20


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_their_vote_is_exactly_the_majority_outside(
    server: EmbeddedServer, pipelines: dict[str, Pipeline], path: Path
) -> None:
    pixels = preprocess(path.read_bytes(), pipelines["eye_vote"].preprocess.settings).pixels
    parts = _probabilities(pixels, COMPOSITIONS["eye_vote"])
    votes = sum((part >= 0.5).astype(int) for part in parts)
    expected = np.where(votes > len(parts) / 2, 255, 0)
    served = _served_probability(server, "eye_vote", path.read_bytes())
    np.testing.assert_array_equal(served, expected)
    assert set(np.unique(served)) == {0, 255}


@pytest.fixture
def int8_pipeline(tmp_path: Path) -> Pipeline:
    """A pipeline that is served from its built INT8 engine."""
    pipeline = _import("eye", COMPOSITIONS["eye_mean"], tmp_path / "repository", tmp_path)
    config = pipeline.segment.folder / "configs" / "cpu.pbtxt"
    config.write_text(config.read_text().replace('"f32"', '"int8"'))
    command = ["build", "eye", "--target", "openvino", "--precision", "int8", "--repository", str(pipeline.repository)]
    gates = ["--gate-mean-dice", "0", "--gate-worst-dice", "0"]  # a random network is nothing but noise
    assert main([*command, *gates, "--report", str(tmp_path / "report")]) == PASSED
    return pipeline


def test_triton_serves_the_built_int8_engine(int8_pipeline: Pipeline) -> None:
    content = EXAMPLES[0].read_bytes()
    pixels = preprocess(content, int8_pipeline.preprocess.settings).pixels
    exact = np.mean(_probabilities(pixels, COMPOSITIONS["eye_mean"]), axis=0) * 255
    with EmbeddedServer(int8_pipeline.repository, variant="cpu", log=print) as running:
        served = _served_probability(running, "eye", content)
    difference = np.abs(served - exact)
    assert difference.max() > 1.01  # it is not the FP32 graph that answers
    assert difference.mean() < 8


def test_triton_does_not_start_with_an_engine_that_does_not_fit(int8_pipeline: Pipeline) -> None:
    shutil.copyfile(
        int8_pipeline.version_folder / "model.py", int8_pipeline.version_folder / "model.openvino-int8.blob"
    )
    lines: list[str] = []
    with (
        pytest.raises(EmbeddedServerError),
        EmbeddedServer(int8_pipeline.repository, variant="cpu", log=lines.append),
    ):
        pass
    said = "\n".join(lines)
    assert "model.openvino-int8.blob does not fit" in said
    assert "python -m build_engines build eye --target openvino --precision int8" in said
