# ruff: noqa: E501  (one picture a line reads better)
"""The wire contract on a real Triton, by every protocol, without the SDK."""

import io
import json
import threading
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import numpy.typing as npt
import pytest
import tritonclient.grpc as triton_grpc
from PIL import Image
from segserve.contract import EnsembleParameters, geometry_schema, report_schema

from segserve_server.embedded import EmbeddedServer
from segserve_server.engines.openvino import OpenVinoEngine
from segserve_server.imaging.pipeline import postprocess, preprocess
from segserve_server.repository.settings import load_postprocess_settings, load_preprocess_settings
from tests.integration.transports import MODEL, TRANSPORTS, Refusal, over_grpc, over_raw_http
from tests.support.bad_images import BAD_IMAGES
from tests.support.images import encode, fundus, with_orientation

EXAMPLES = sorted((Path(__file__).parents[2] / "examples").glob("*.jpg"))


def cmyk() -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(fundus(200, 150)).convert("CMYK").save(buffer, "JPEG")
    return buffer.getvalue()


def noise_png(width: int, height: int) -> bytes:
    """An incompressible photograph-like PNG."""
    pixels = fundus(width, height)
    noise = np.random.default_rng(0).integers(0, 80, pixels.shape, dtype=np.uint8)
    pixels += noise * (pixels > 0)
    return encode(pixels, "PNG")


ODD_IMAGES: dict[str, tuple[bytes, tuple[int, int], list[str]]] = {
    "1 x 1": (encode(np.full((1, 1, 3), 90, np.uint8), "PNG"), (1, 1), ["field_of_view_not_found", "resolution_below_model_grid"]),
    "12000 x 9000": (encode(np.full((9000, 12000), 80, np.uint8), "PNG"), (12000, 9000), ["field_of_view_not_found"]),
    "all black": (encode(np.zeros((1200, 1200, 3), np.uint8), "PNG"), (1200, 1200), ["field_of_view_not_found"]),
    "all white": (encode(np.full((1200, 1200, 3), 255, np.uint8), "PNG"), (1200, 1200), ["field_of_view_not_found"]),
    "grey": (encode(fundus(300, 200)[..., 0], "JPEG"), (300, 200), ["resolution_below_model_grid"]),
    "RGBA": (encode(np.dstack([fundus(300, 200), np.full((200, 300), 255, np.uint8)]), "PNG"), (300, 200), ["resolution_below_model_grid"]),
    "16 bit": (encode(fundus(300, 200)[..., 0].astype(np.uint16) * 257, "PNG"), (300, 200), ["resolution_below_model_grid"]),
    "CMYK": (cmyk(), (200, 150), ["resolution_below_model_grid"]),
    "EXIF-rotated": (with_orientation(fundus(300, 200), 6), (200, 300), ["resolution_below_model_grid"]),
    "extreme aspect ratio": (encode(np.full((3, 30_000), 80, np.uint8), "PNG"), (30_000, 3), ["field_of_view_not_found"]),
    "8 MB": (noise_png(2600, 2400), (2600, 2400), []),
}  # fmt: skip


@pytest.fixture(params=TRANSPORTS)
def transport(request: pytest.FixtureRequest) -> Any:
    return TRANSPORTS[request.param]


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_examples_give_a_report_of_the_contract_and_masks_of_the_photographs_size(
    server: EmbeddedServer, transport: Any, path: Path
) -> None:
    encoded = path.read_bytes()
    answer = transport(server, encoded)
    jsonschema.validate(answer.report, report_schema())
    with Image.open(path) as photograph:
        assert (answer.report["image"]["width"], answer.report["image"]["height"]) == photograph.size
    mask = answer.mask()
    assert mask.shape == (answer.report["image"]["height"], answer.report["image"]["width"])
    (described,) = answer.report["classes"]
    assert described["area_px"] == int(mask.sum())


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_every_protocol_gives_the_same_bytes(server: EmbeddedServer, path: Path) -> None:
    answers = [transport(server, path.read_bytes()) for transport in TRANSPORTS.values()]
    assert answers[0] == answers[1] == answers[2]


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_served_masks_are_those_of_the_same_steps_in_one_process(server: EmbeddedServer, path: Path) -> None:
    """What evaluation and training see is what a client gets: same bytes, same masks."""
    folder = server.repository
    preprocessing = load_preprocess_settings(folder / f"{MODEL}_preprocess/1/settings.toml").settings
    postprocessing = load_postprocess_settings(folder / f"{MODEL}_postprocess/1/settings.toml").settings
    seen = preprocess(path.read_bytes(), preprocessing)
    engine = OpenVinoEngine(folder / f"{MODEL}_segment/1/model.onnx")
    (found,) = postprocess(engine.infer(seen.pixels[np.newaxis])[0], seen.geometry, postprocessing)
    answer = over_grpc(server, path.read_bytes())
    assert answer.masks == [found.mask_png()]
    assert answer.report["classes"][0]["lesion_count"] == len(found.lesions)


@pytest.mark.parametrize("name", ODD_IMAGES)
def test_odd_images_get_a_result_and_the_fitting_warnings(server: EmbeddedServer, transport: Any, name: str) -> None:
    encoded, size, warnings = ODD_IMAGES[name]
    answer = transport(server, encoded)
    jsonschema.validate(answer.report, report_schema())
    assert (answer.report["image"]["width"], answer.report["image"]["height"]) == size
    assert answer.report["warnings"] == warnings
    assert answer.mask().shape == size[::-1]


def test_orientation_and_stored_size_are_reported(server: EmbeddedServer) -> None:
    image = over_grpc(server, ODD_IMAGES["EXIF-rotated"][0]).report["image"]
    assert (image["orientation"], image["stored_width"], image["stored_height"]) == (6, 300, 200)


@pytest.mark.parametrize("name", BAD_IMAGES)
def test_bad_bytes_are_refused_and_the_server_goes_on(server: EmbeddedServer, transport: Any, name: str) -> None:
    encoded, reason = BAD_IMAGES[name]
    with pytest.raises(Refusal) as caught:
        transport(server, encoded)
    refusal = caught.value
    assert refusal.status == "INVALID_ARGUMENT"
    if not (transport is over_raw_http and not encoded):  # Triton itself refuses an empty body, in its own words
        assert reason.strip(".") in refusal.message
    assert "Traceback" not in refusal.message
    assert ".py" not in refusal.message
    assert transport(server, encode(fundus(64, 64), "PNG")).report["schema_version"] == "1.0"


def test_an_unknown_model_is_refused(server: EmbeddedServer) -> None:
    for transport in (over_grpc, over_raw_http):
        with pytest.raises(Refusal) as caught:
            transport(server, b"x", model="fundus_drusen")
        assert caught.value.status in ("NOT_FOUND", "INVALID_ARGUMENT")


def test_good_requests_beside_bad_ones_succeed(server: EmbeddedServer) -> None:
    """Thirty-two at once, every third one bad."""
    good = encode(fundus(256, 256), "JPEG")
    expected = over_grpc(server, good)

    def send(number: int) -> Any:
        try:
            return over_grpc(server, b"not a picture" if number % 3 == 0 else good)
        except Refusal as refusal:
            return refusal.status

    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(send, range(32)))
    for number, answer in enumerate(answers):
        assert answer == ("INVALID_ARGUMENT" if number % 3 == 0 else expected)


def request_of(*encoded: bytes) -> list[Any]:
    tensor = triton_grpc.InferInput("IMAGE", [len(encoded), 1], "BYTES")
    tensor.set_data_from_numpy(np.array([[e] for e in encoded], np.object_))
    return [tensor]


def test_a_request_of_several_images_is_answered_in_order(server: EmbeddedServer) -> None:
    with triton_grpc.InferenceServerClient(server.grpc_url.removeprefix("grpc://")) as client:
        result = client.infer(MODEL, request_of(encode(fundus(90, 60), "PNG"), encode(fundus(60, 90), "PNG")))
    reports = [json.loads(report) for report in result.as_numpy("REPORT")[:, 0]]
    assert [report["image"]["width"] for report in reports] == [90, 60]
    assert result.as_numpy("MASK").shape == (2, 1)


def test_one_bad_image_fails_its_whole_request(server: EmbeddedServer) -> None:
    with (
        triton_grpc.InferenceServerClient(server.grpc_url.removeprefix("grpc://")) as client,
        pytest.raises(Exception, match="not a readable"),
    ):
        client.infer(MODEL, request_of(encode(fundus(90, 60), "PNG"), b"text"))


def probability(server: EmbeddedServer, encoded: bytes) -> tuple[npt.NDArray[np.uint8], dict[str, Any]]:
    with triton_grpc.InferenceServerClient(server.grpc_url.removeprefix("grpc://")) as client:
        result = client.infer(f"{MODEL}_probability", request_of(encoded))
    return result.as_numpy("PROBABILITY"), json.loads(result.as_numpy("GEOMETRY")[0, 0])


def test_the_probability_ensemble_gives_probabilities_and_their_geometry(server: EmbeddedServer) -> None:
    values, geometry = probability(server, EXAMPLES[0].read_bytes())
    assert values.shape == (1, 1, 1024, 1024)
    assert values.dtype == np.uint8
    jsonschema.validate(geometry, geometry_schema())
    report = over_grpc(server, EXAMPLES[0].read_bytes()).report
    assert geometry["affine"] == report["geometry"]
    assert geometry["image"] == report["image"]
    (described,) = report["classes"]
    if described["lesions"]:
        peak = max(lesion["max_probability"] for lesion in described["lesions"])
        assert peak <= values.max() / 255 + 1e-4


def test_parameters_of_the_ensembles_can_be_asked_for(server: EmbeddedServer) -> None:
    for name in (MODEL, f"{MODEL}_probability"):
        with urllib.request.urlopen(f"{server.http_url}/v2/models/{name}/config", timeout=30) as response:
            parameters = json.load(response)["parameters"]
        strings = {key: value["string_value"] for key, value in parameters.items()}
        assert EnsembleParameters.from_strings(strings).classes == ("hemorrhage",)


def test_a_full_queue_refuses_at_once_with_unavailable_and_recovers(server: EmbeddedServer) -> None:
    """More requests than the entrance's queue holds: some are refused as UNAVAILABLE, every other one is answered."""
    encoded = EXAMPLES[0].read_bytes()
    statuses: list[str] = []
    lock = threading.Lock()

    def send(_: int) -> None:
        try:
            over_grpc(server, encoded)
            status = "OK"
        except Refusal as refusal:
            status = refusal.status
        with lock:
            statuses.append(status)

    with ThreadPoolExecutor(110) as pool:
        list(pool.map(send, range(110)))
    assert len(statuses) == 110
    assert set(statuses) == {"OK", "UNAVAILABLE"}
    assert over_grpc(server, encoded).report["schema_version"] == "1.0"
