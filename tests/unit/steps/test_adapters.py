"""The three ``model.py`` adapters over a typed fake of Triton's module: tensors, batches and errors."""

import hashlib
import importlib.util
import json
import shutil
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import numpy.typing as npt
import pytest
import triton_python_backend_utils as pb_utils
from segserve.contract import find_incident, geometry_schema, report_schema

from segserve_server.repository.problem import RepositoryError
from tests.support.images import encode, fundus

REPOSITORY = Path(__file__).parents[3] / "model_repository"


def load_step(name: str, *, repository: Path = REPOSITORY) -> Any:
    """A step's TritonPythonModel, initialised as Triton does."""
    path = repository / name / "1" / "model.py"
    spec = importlib.util.spec_from_file_location(f"{name}_model", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    model = module.TritonPythonModel()
    where = {"model_repository": str(repository / name), "model_version": "1"}
    model.initialize(where | {"model_name": name, "model_config": "{}"})
    return model


def images(*encoded: bytes) -> pb_utils.InferenceRequest:
    column = np.array([[e] for e in encoded], np.object_)
    return pb_utils.InferenceRequest([pb_utils.Tensor("IMAGE", column)])


def outputs(response: pb_utils.InferenceResponse) -> dict[str, npt.NDArray[Any]]:
    assert not response.has_error(), response.error()
    return {tensor.name(): tensor.as_numpy() for tensor in response.output_tensors()}


def error(response: pb_utils.InferenceResponse) -> tuple[int, str]:
    problem = response.error()
    assert problem is not None
    return problem.code(), problem.message()


@pytest.fixture(scope="module")
def preprocess_step() -> Any:
    return load_step("fundus_hemorrhage_preprocess")


@pytest.fixture(scope="module")
def postprocess_step() -> Any:
    return load_step("fundus_hemorrhage_postprocess")


def test_preprocess_gives_model_input_and_geometry(preprocess_step: Any) -> None:
    encoded = encode(fundus(300, 200), "JPEG")
    (response,) = preprocess_step.execute([images(encoded)])
    out = outputs(response)
    assert out["MODEL_INPUT"].shape == (1, 1024, 1024, 3)
    assert out["MODEL_INPUT"].dtype == np.uint8
    geometry = json.loads(out["GEOMETRY"][0, 0])
    jsonschema.validate(geometry, geometry_schema())
    assert geometry["image"]["sha256"] == hashlib.sha256(encoded).hexdigest()


def test_a_request_of_several_images_is_answered_in_order(preprocess_step: Any) -> None:
    (response,) = preprocess_step.execute([images(encode(fundus(60, 40), "PNG"), encode(fundus(40, 60), "PNG"))])
    out = outputs(response)
    assert out["MODEL_INPUT"].shape == (2, 1024, 1024, 3)
    assert [json.loads(g)["image"]["width"] for g in out["GEOMETRY"][:, 0]] == [60, 40]


def test_good_requests_survive_a_bad_one_in_their_batch(preprocess_step: Any) -> None:
    good = images(encode(fundus(64, 64), "PNG"))
    responses = preprocess_step.execute([good, images(b"not a picture"), good])
    assert outputs(responses[0])["MODEL_INPUT"].shape == outputs(responses[2])["MODEL_INPUT"].shape
    code, message = error(responses[1])
    assert code == pb_utils.TritonError.INVALID_ARG
    assert "not a readable" in message


def test_a_cancelled_request_is_not_worked_on(preprocess_step: Any) -> None:
    cancelled = pb_utils.InferenceRequest(images(b"anything").inputs(), cancelled=True)
    (response,) = preprocess_step.execute([cancelled])
    assert error(response)[0] == pb_utils.TritonError.CANCELLED


def test_a_fault_of_our_own_has_an_incident_id_in_answer_and_log(
    preprocess_step: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(preprocess_step, "_file", None)
    pb_utils.Logger.errors.clear()
    (response,) = preprocess_step.execute([images(encode(fundus(64, 64), "PNG"))])
    code, message = error(response)
    assert code == pb_utils.TritonError.INTERNAL
    incident = find_incident(message)
    assert incident is not None
    assert "Traceback" not in message
    assert "/" not in message
    (logged,) = pb_utils.Logger.errors
    assert incident in logged
    assert "AttributeError" in logged


def test_postprocess_gives_a_report_of_the_contract_and_matching_masks(
    preprocess_step: Any, postprocess_step: Any
) -> None:
    geometry = outputs(preprocess_step.execute([images(encode(fundus(500, 400), "PNG"))])[0])["GEOMETRY"]
    probability = np.zeros((1, 1, 1024, 1024), np.uint8)
    probability[0, 0, 500:520, 480:530] = 250
    request = pb_utils.InferenceRequest(
        [pb_utils.Tensor("PROBABILITY", probability), pb_utils.Tensor("GEOMETRY", geometry)]
    )
    (response,) = postprocess_step.execute([request])
    out = outputs(response)
    report = json.loads(out["REPORT"][0, 0])
    jsonschema.validate(report, report_schema())
    (described,) = report["classes"]
    assert described["name"] == "hemorrhage"
    assert described["lesion_count"] == 1
    assert described["lesions"][0]["max_probability"] == pytest.approx(250 / 255, abs=1e-4)
    assert out["MASK"].shape == (1, 1)
    assert out["MASK"][0, 0].startswith(b"\x89PNG")


def test_long_lesion_lists_are_cut_and_say_so(preprocess_step: Any, postprocess_step: Any) -> None:
    geometry = outputs(preprocess_step.execute([images(encode(fundus(1024, 1024), "PNG"))])[0])["GEOMETRY"]
    probability = np.zeros((1, 1, 1024, 1024), np.uint8)
    for row in range(20, 1000, 26):
        for column in range(20, 1000, 26):
            probability[0, 0, row : row + 13, column : column + 13] = 255  # larger than the shipped minimum area
    request = pb_utils.InferenceRequest(
        [pb_utils.Tensor("PROBABILITY", probability), pb_utils.Tensor("GEOMETRY", geometry)]
    )
    (described,) = json.loads(outputs(postprocess_step.execute([request])[0])["REPORT"][0, 0])["classes"]
    assert described["lesion_count"] == 38 * 38
    assert len(described["lesions"]) == 1000
    assert described["lesions_truncated"] is True
    assert described["area_px"] > sum(lesion["area_px"] for lesion in described["lesions"])


def test_postprocess_refuses_to_load_beside_other_weights(tmp_path: Path) -> None:
    for name in ("fundus_hemorrhage_postprocess", "fundus_hemorrhage_segment"):
        (tmp_path / name / "1").mkdir(parents=True)
    for file in ("model.py", "settings.toml"):
        shutil.copy(REPOSITORY / "fundus_hemorrhage_postprocess/1" / file, tmp_path / "fundus_hemorrhage_postprocess/1")
    (tmp_path / "fundus_hemorrhage_segment/1/model.onnx").write_bytes(b"other")
    with pytest.raises(RepositoryError, match="settings were made for"):
        load_step("fundus_hemorrhage_postprocess", repository=tmp_path)


def test_the_settings_hash_changes_with_either_file(preprocess_step: Any, postprocess_step: Any) -> None:
    geometry = outputs(preprocess_step.execute([images(encode(fundus(64, 64), "PNG"))])[0])["GEOMETRY"]
    other = json.loads(geometry[0, 0])
    other["preprocess_settings_sha256"] = "0" * 64
    hashes = set()
    for encoded in (geometry[0, 0], json.dumps(other).encode()):
        request = pb_utils.InferenceRequest(
            [
                pb_utils.Tensor("PROBABILITY", np.zeros((1, 1, 1024, 1024), np.uint8)),
                pb_utils.Tensor("GEOMETRY", np.array([[encoded]], np.object_)),
            ]
        )
        report = json.loads(outputs(postprocess_step.execute([request])[0])["REPORT"][0, 0])
        hashes.add(report["model"]["settings_sha256"])
    assert len(hashes) == 2


def test_an_adapter_stays_an_adapter() -> None:
    for path in REPOSITORY.glob("*/1/model.py"):
        assert len(path.read_text("utf-8").splitlines()) <= 50
        assert "numpy" not in path.read_text("utf-8")
