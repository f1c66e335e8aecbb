"""What gets in: inference, metadata, model configuration and health, of bounded size; nothing that hurts Triton."""

import gzip
import json
import re
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tritonclient.grpc as grpcclient
from tritonclient.utils import InferenceServerException

from tests.deploy.callers import INFER, ask, grpc_client, grpc_infer, infer
from tests.deploy.proxy import Callers, Proxy
from tests.deploy.triton import Triton

MIB = 1 << 20


@pytest.fixture(autouse=True)
def _triton_survives(triton: Triton) -> Iterator[None]:
    """Whatever a test sends, the same tritonserver is in service afterwards."""
    yield
    assert triton.process.poll() is None, triton.read_log()
    assert triton.probe().returncode == 0, triton.probe().stderr


@pytest.mark.parametrize(
    "path",
    ["/v2", "/v2/health/live", "/v2/health/ready", "/v2/models/echo", "/v2/models/echo/versions/1/ready",
     "/v2/models/echo/config"],
)  # fmt: skip
def test_metadata_configuration_and_health_are_served(proxy: Proxy, callers: Callers, path: str) -> None:
    assert ask(proxy, callers, path).status == 200


FORBIDDEN = [
    ("POST", "/v2/repository/index"),
    ("POST", "/v2/repository/models/echo/load"),
    ("POST", "/v2/repository/models/echo/unload"),
    ("GET", "/v2/systemsharedmemory/status"),
    ("POST", "/v2/systemsharedmemory/region/x/register"),
    ("POST", "/v2/cudasharedmemory/region/x/register"),
    ("GET", "/v2/logging"),
    ("POST", "/v2/logging"),
    ("GET", "/v2/trace/setting"),
    ("POST", "/v2/models/echo/trace/setting"),
    ("GET", "/v2/models/stats"),
    ("GET", "/v2/models/echo/stats"),
    ("POST", "/v2/models/echo/generate"),
    ("GET", "/metrics"),
    ("GET", "/proxy/connections"),
    ("GET", "/"),
    # Ways around: dots, escapes, double slashes, a name with more in it.
    ("POST", "/v2/models/echo/../../repository/index"),
    ("POST", "/v2/models/echo/%2e%2e/%2e%2e/repository/index"),
    ("POST", "/v2/models/x%2f..%2f..%2frepository/index"),
    ("POST", "//v2//repository//index"),
    ("POST", "/v2/models/a%0d%0ab/infer"),
    ("POST", "/v2/models/a;b/infer"),
    ("POST", "/v2/models/echo/infer/"),
    ("POST", "/V2/REPOSITORY/INDEX"),
]


@pytest.mark.parametrize(("method", "path"), FORBIDDEN)
def test_everything_else_is_forbidden(proxy: Proxy, callers: Callers, method: str, path: str) -> None:
    answer = ask(proxy, callers, path, method=method, body=b"{}" if method == "POST" else None)
    assert (answer.status, "not served" in answer.error) == (403, True)


def test_triton_gets_the_plain_address_only(proxy: Proxy, callers: Callers) -> None:
    assert ask(proxy, callers, "/v2/repository/../models//echo/./config?name=someone").status == 200


@pytest.mark.parametrize(
    ("method", "path"), [("GET", INFER), ("DELETE", INFER), ("POST", "/v2/models/echo"), ("PUT", "/v2/health/ready")]
)
def test_a_wrong_method_is_named(proxy: Proxy, callers: Callers, method: str, path: str) -> None:
    assert ask(proxy, callers, path, method=method).status == 405


GRPC_CALLS = {
    "repository index": lambda client: client.get_model_repository_index(),
    "load": lambda client: client.load_model("echo"),
    "unload": lambda client: client.unload_model("echo"),
    "system shared memory": lambda client: client.register_system_shared_memory("x", "/x", 1),
    "shared memory status": lambda client: client.get_cuda_shared_memory_status(),
    "logging": lambda client: client.update_log_settings({"log_verbose_level": 1}),
    "trace": lambda client: client.update_trace_settings(settings={"trace_level": ["TENSORS"]}),
    "statistics": lambda client: client.get_inference_statistics("echo"),
}


@pytest.mark.parametrize("call", GRPC_CALLS.values(), ids=GRPC_CALLS.keys())
def test_other_grpc_methods_are_denied(proxy: Proxy, callers: Callers, call: Any) -> None:
    with grpc_client(proxy, callers) as client, pytest.raises(InferenceServerException, match="not served") as error:
        call(client)
    assert error.value.status() == "StatusCode.PERMISSION_DENIED"


def test_grpc_streams_are_denied(proxy: Proxy, callers: Callers) -> None:
    errors: list[Any] = []
    with grpc_client(proxy, callers) as client:
        client.start_stream(callback=lambda result, error: errors.append(error))
        tensor = grpcclient.InferInput("TEXT", [1, 1], "BYTES")
        tensor.set_data_from_numpy(np.array([[b"x"]], dtype=object))
        client.async_stream_infer("echo", [tensor])
        client.stop_stream()
    assert ["not served" in str(error) for error in errors] == [True]


def test_grpc_metadata_configuration_and_health_are_served(proxy: Proxy, callers: Callers) -> None:
    with grpc_client(proxy, callers) as client:
        assert client.is_server_live()
        assert client.is_server_ready()
        assert client.is_model_ready("echo")
        assert client.get_server_metadata(as_json=True)["name"] == "triton"
        assert client.get_model_metadata("echo", as_json=True)["name"] == "echo"
        assert client.get_model_config("echo", as_json=True)["config"]["platform"] == "ensemble"


def test_a_32_mib_image_passes_on_both_protocols(proxy: Proxy, callers: Callers) -> None:
    image = bytes(32 * MIB)
    assert infer(proxy, callers, image).text == f"{len(image)} bytes from version 1"
    with grpc_client(proxy, callers) as client:
        assert grpc_infer(client, image) == f"{len(image)} bytes from version 1"


def test_an_oversized_body_is_refused_before_it_is_read(proxy: Proxy, callers: Callers) -> None:
    answer = infer(proxy, callers, bytes(40 * MIB))
    assert (answer.status, "33 MiB" in answer.error) == (413, True)


def test_an_oversized_body_of_unknown_length_is_refused(proxy: Proxy, callers: Callers) -> None:
    answer = infer(proxy, callers, (bytes(MIB) for _ in range(40)))
    assert answer.status == 413


def test_an_oversized_grpc_message_is_an_invalid_argument_and_the_connection_lives(
    proxy: Proxy, callers: Callers
) -> None:
    with grpc_client(proxy, callers) as client:
        with pytest.raises(InferenceServerException, match="33 MiB") as error:
            grpc_infer(client, bytes(40 * MIB))
        assert error.value.status() == "StatusCode.INVALID_ARGUMENT"
        assert grpc_infer(client) == "5 bytes from version 1"


def test_an_8_mb_web_form_does_not_kill_triton(proxy: Proxy, callers: Callers) -> None:
    answer = infer(proxy, callers, bytes(8_000_000), headers={"Content-Type": "application/x-www-form-urlencoded"})
    assert answer.text == "8000000 bytes from version 1"


def test_a_form_body_at_a_metadata_address_does_not_reach_triton(proxy: Proxy, callers: Callers) -> None:
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    assert ask(proxy, callers, "/v2/health/ready", body=bytes(8_000_000), headers=form).status == 413


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "GZIP", "identity, gzip", "br"])
def test_a_compressed_body_is_refused(proxy: Proxy, callers: Callers, encoding: str) -> None:
    bomb = gzip.compress(bytes(100 * MIB))
    answer = infer(proxy, callers, bomb, headers={"Content-Encoding": encoding})
    assert (answer.status, "compressed" in answer.error) == (415, True)


def test_a_compressed_grpc_message_is_refused(proxy: Proxy, callers: Callers) -> None:
    with grpc_client(proxy, callers) as client, pytest.raises(InferenceServerException, match="compressed") as error:
        grpc_infer(client, bytes(30 * MIB), compression_algorithm="gzip")
    assert error.value.status() == "StatusCode.UNIMPLEMENTED"


def test_tritons_own_errors_come_through(proxy: Proxy, callers: Callers) -> None:
    answer = infer(proxy, callers, b"bad")
    assert (answer.status, "bad text" in answer.error) == (400, True)


def test_each_answer_has_a_request_id_that_the_caller_did_not_choose(proxy: Proxy, callers: Callers) -> None:
    chosen = {"X-Request-Id": "patient-4711"}
    answers = [infer(proxy, callers, headers=chosen), infer(proxy, callers, headers=chosen)]
    answers.append(ask(proxy, callers, "/v2/repository/index", method="POST", headers=chosen))
    ids = {answer.headers["x-request-id"] for answer in answers}
    assert len(ids) == 3
    assert all(re.fullmatch("[0-9a-f]{32}", text) for text in ids)


def test_the_log_tells_who_and_how_it_ended_and_nothing_of_the_request(proxy: Proxy, callers: Callers) -> None:
    before = len(proxy.access_log.read_text())
    request_id = infer(proxy, callers, b"PATIENT-BODY", headers={"X-Patient": "PATIENT-HEADER"}).headers["x-request-id"]
    ask(proxy, callers, "/v2/PATIENT-PATH?name=PATIENT-QUERY")
    infer(proxy, callers, bytes(40 * MIB))
    log = proxy.access_log.read_text()[before:]
    entry = next(entry for entry in map(json.loads, log.splitlines()) if entry["request_id"] == request_id)
    assert (entry["caller"], entry["route"], entry["outcome"]) == ("CN=first,O=segserve", "infer", "ok")
    everything = log + proxy.read_log()
    assert "PATIENT" not in everything
    assert callers.token not in everything


def test_bodies_are_never_written_to_a_file(proxy: Proxy, callers: Callers, tmp_path: Path) -> None:
    run_folder = proxy.configuration.parent / "run"
    infer(proxy, callers, bytes(32 * MIB))
    # nginx counts its temporary files up from 0000000001: a folder level is made with the first one.
    assert [path for path in run_folder.rglob("*") if path.is_file() and path.name != "nginx.pid"] == []
    assert list((run_folder / "body").iterdir()) == []


def test_what_the_status_listener_shows(proxy: Proxy, callers: Callers) -> None:
    def status(path: str, method: str = "GET") -> int:
        request = urllib.request.Request(proxy.status_url + path, method=method)
        try:
            with urllib.request.urlopen(request, timeout=10) as response:
                return int(response.status)
        except urllib.error.HTTPError as error:
            with error:
                return error.code

    shown = ["/metrics", "/proxy/live", "/proxy/connections", "/v2/health/ready", "/v2/models/echo/ready"]
    assert {path: status(path) for path in shown} == dict.fromkeys(shown, 200)
    hidden = [INFER, "/v2/models/echo", "/v2/models/echo/config", "/v2/repository/index", "/"]
    assert {path: status(path) for path in hidden} == dict.fromkeys(hidden, 403)
    assert status("/metrics", "POST") == 403
