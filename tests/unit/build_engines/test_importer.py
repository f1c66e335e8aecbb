"""New pipelines are derived from the shipped one and pass its check."""

import dataclasses
from pathlib import Path
from typing import Any

import pytest
from google.protobuf import text_format
from tritonclient.grpc import model_config_pb2

from build_engines.compose import Activation, Composition
from build_engines.errors import BuildError
from build_engines.importer import ImportRequest, import_pipeline
from build_engines.pipeline import Pipeline, load_pipeline, load_served_graph
from segserve_server.imaging.settings import ClassSettings
from segserve_server.repository.check import check_repository
from segserve_server.repository.models import variants_of
from tests.unit.build_engines.networks import GRID, logits_network, save, served_network

BONES = tuple(ClassSettings(f"bone_{i}", f"#0000{i:02x}", 0.4, 3.0) for i in range(5))


@pytest.fixture
def request_of_bones(tmp_path: Path, template: Pipeline) -> ImportRequest:
    """Five classes behind a softmax with a background."""
    return ImportRequest(
        onnx=save(logits_network(classes=6), tmp_path / "bones.onnx"),
        name="hand_bone",
        classes=BONES,
        composition=Composition(activation=Activation.SOFTMAX, background=0),
        grid=GRID,
        crop="full_frame",
        clahe_clip_limit=None,
        template=template,
        repository=tmp_path / "repository",
    )


def test_five_folders_pass_the_check_of_the_repository(request_of_bones: ImportRequest) -> None:
    folders = import_pipeline(request_of_bones)
    assert [folder.name for folder in folders] == [
        "hand_bone",
        "hand_bone_probability",
        "hand_bone_preprocess",
        "hand_bone_segment",
        "hand_bone_postprocess",
    ]
    assert check_repository(request_of_bones.repository, "cpu") == []
    pipeline = load_pipeline(request_of_bones.repository, "hand_bone")
    assert pipeline.postprocess.settings.classes == BONES
    assert (pipeline.preprocess.settings.grid, pipeline.preprocess.settings.crop) == (GRID, "full_frame")
    assert not pipeline.preprocess.settings.clahe.enabled
    load_served_graph(pipeline)


def _configurations(folder: Path) -> dict[str, model_config_pb2.ModelConfig]:
    return {
        str(path.relative_to(folder)): text_format.Parse(path.read_text(), model_config_pb2.ModelConfig())
        for path in variants_of(folder)
    }


def test_importing_the_shipped_weights_gives_the_shipped_files_again(tmp_path: Path, template: Pipeline) -> None:
    clahe = template.preprocess.settings.clahe
    request = ImportRequest(
        onnx=template.onnx,
        name=template.name,
        classes=template.postprocess.settings.classes,
        composition=None,
        grid=1024,
        crop=template.preprocess.settings.crop,
        clahe_clip_limit=clahe.clip_limit,
        template=template,
        repository=tmp_path,
    )
    for folder in import_pipeline(request):
        shipped = template.repository / folder.name
        assert _configurations(folder) == _configurations(shipped)
        for path in (*shipped.glob("*/*.py"), *shipped.glob("*/*.md")):
            assert (folder / path.relative_to(shipped)).read_bytes() == path.read_bytes()
    again = load_pipeline(tmp_path, template.name)
    assert again.preprocess.settings == template.preprocess.settings
    assert again.postprocess.settings == template.postprocess.settings
    photograph = Path(f"{template.name}_preprocess") / "warmup" / "photograph"
    assert (tmp_path / photograph).read_bytes() == (template.repository / photograph).read_bytes()


def test_a_served_graph_is_taken_as_it_is_under_the_names_of_the_contract(request_of_bones: ImportRequest) -> None:
    model = served_network(classes=5)
    for node in model.graph.node:
        for tensors in (node.input, node.output):
            for position, name in enumerate(tensors):
                tensors[position] = {"MODEL_INPUT": "pixels", "PROBABILITY": "segmentation"}.get(name, name)
    model.graph.input[0].name, model.graph.output[0].name = "pixels", "segmentation"
    path = save(model, request_of_bones.onnx.with_name("served.onnx"))
    import_pipeline(dataclasses.replace(request_of_bones, onnx=path, composition=None))
    _, signature = load_served_graph(load_pipeline(request_of_bones.repository, "hand_bone"))
    assert (signature.input, signature.output) == ("MODEL_INPUT", "PROBABILITY")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"grid": 128}, r"--grid says 128, but bones\.onnx works on 64 x 64"),
        ({"classes": BONES[:4]}, "gives 5 channels and 4 classes are named"),
        ({"composition": Composition(activation=Activation.SOFTMAX)}, "gives 6 channels and 5 classes"),
        ({"composition": None}, "say --activation"),
        ({"name": "Hand Bone"}, "must be lower-case snake_case"),
        ({"name": "../bone"}, "must be lower-case snake_case"),
        ({"crop": "middle"}, "crop must be"),
        ({"clahe_clip_limit": -1.0}, "clip_limit"),
        ({"classes": (*BONES[:4], BONES[0])}, "class names must differ"),
    ],
)
def test_contradictions_are_refused_and_leave_nothing(
    request_of_bones: ImportRequest, change: dict[str, Any], message: str
) -> None:
    with pytest.raises(BuildError, match=message):
        import_pipeline(dataclasses.replace(request_of_bones, **change))
    assert not request_of_bones.repository.exists() or list(request_of_bones.repository.iterdir()) == []


def test_a_served_graph_takes_no_activation(request_of_bones: ImportRequest) -> None:
    path = save(served_network(classes=5), request_of_bones.onnx.with_name("served.onnx"))
    with pytest.raises(BuildError, match="UINT8 in and out already"):
        import_pipeline(dataclasses.replace(request_of_bones, onnx=path))


def test_a_name_that_is_taken_is_refused_and_its_folders_stay(request_of_bones: ImportRequest) -> None:
    taken = request_of_bones.repository / "hand_bone_segment" / "1"
    taken.mkdir(parents=True)
    (taken / "model.onnx").write_bytes(b"someone's weights")
    with pytest.raises(BuildError, match="already holds hand_bone_segment"):
        import_pipeline(request_of_bones)
    assert [path.name for path in request_of_bones.repository.iterdir()] == ["hand_bone_segment"]
    assert (taken / "model.onnx").read_bytes() == b"someone's weights"
