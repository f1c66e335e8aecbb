"""A small pipeline, imported into a repository of its own."""

from pathlib import Path

import cv2
import pytest

from build_engines.compose import Composition
from build_engines.importer import ImportRequest, import_pipeline
from build_engines.pipeline import Pipeline, load_pipeline
from segserve_server.imaging.settings import ClassSettings
from tests.unit.build_engines.networks import logits_network, save

ROOT = Path(__file__).resolve().parents[3]
EXAMPLES = ROOT / "examples"


@pytest.fixture(scope="session")
def template() -> Pipeline:
    """The shipped pipeline."""
    return load_pipeline(ROOT / "model_repository", "fundus_hemorrhage")


@pytest.fixture(scope="session")
def photographs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of the example photographs at an eighth of their width: enough for a grid of 128."""
    folder = tmp_path_factory.mktemp("photographs")
    for path in EXAMPLES.glob("*.jpg"):
        small = cv2.imread(str(path), cv2.IMREAD_REDUCED_COLOR_8)
        cv2.imwrite(str(folder / path.name), small)
    return folder


@pytest.fixture
def pipeline(tmp_path: Path, template: Pipeline) -> Pipeline:
    """``eye``: two classes on a grid of 128, in a repository that a test may change."""
    network = save(logits_network(seed=3, grid=128, classes=2), tmp_path / "network.onnx")
    request = ImportRequest(
        onnx=network,
        name="eye",
        classes=(ClassSettings("one", "#ff0000", 0.5, 2.0), ClassSettings("two", "#00ff00", 0.5)),
        composition=Composition(),
        grid=None,
        crop="field_of_view",
        clahe_clip_limit=None,
        template=template,
        repository=tmp_path / "repository",
    )
    import_pipeline(request)
    return load_pipeline(request.repository, "eye")
