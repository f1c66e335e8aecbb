"""What goes into the image: flags, entrypoint, probe, preparation of models, Dockerfiles."""

import http.server
import re
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

import pytest

from segserve_server.embedded.runtime import find_runtime
from tests.deploy.callers import RAW
from tests.deploy.processes import LOOPBACK, find_tool, run, wait_for
from tests.deploy.proxy import DEPLOY
from tests.deploy.repository import lay_tiny
from tests.deploy.triton import IMAGE, ROOT, Triton

FLAGS = IMAGE / "triton.flags"


def printed(version: str) -> list[str]:
    """The command that the entrypoint would become with a server of that version."""
    environment = {"TRITON_SERVER_VERSION": version, "SEGSERVE_VARIANT": ""}
    return run(IMAGE / "entrypoint.py", "--print", environment=environment).splitlines()


def flag_names(lines: list[str]) -> set[str]:
    return {line.partition("=")[0] for line in lines if line.startswith("--")}


def test_flags_newer_than_a_server_are_left_out_for_it() -> None:
    newest = flag_names(printed("2.75.0"))
    assert newest - flag_names(printed("2.67.0")) == {"--allow-client-shm"}
    assert newest - flag_names(printed("2.51.0")) == {"--allow-client-shm", "--http-max-input-size"}


def test_the_embedded_server_knows_every_flag_that_it_is_given() -> None:
    runtime = find_runtime()
    usage = subprocess.run(
        [runtime.server, "--help"], env=runtime.environment, capture_output=True, text=True, check=False
    ).stderr
    known = set(re.findall(r"^  (--[a-z-]+)", usage, re.MULTILINE))
    assert "--model-repository" in known
    assert flag_names(printed("2.51.0")) <= known
    assert not flag_names([line for line in FLAGS.read_text().splitlines() if "# since" in line]) & known


SECURE = """--model-control-mode=none --disable-auto-complete-config --exit-on-error=true --strict-readiness=true
--allow-client-shm=false --allow-sagemaker=false --allow-vertex-ai=false --http-max-input-size=35651584"""


def test_the_secure_flags_are_there_and_triton_listens_on_loopback_unless_told() -> None:
    command = printed("2.75.0")
    assert set(SECURE.split()) <= set(command)
    assert {f"--{name}-address=127.0.0.1" for name in ("http", "grpc", "metrics")} <= set(command)


def test_the_administrators_key_is_made_anew_at_each_start() -> None:
    first, second = (next(line for line in printed("2.75.0") if "admin-key=" in line) for _ in range(2))
    assert re.search(r"admin-key=[0-9a-f]{32}$", first)
    assert first != second


@pytest.mark.parametrize("version", ["", "unknown"])
def test_without_a_version_the_entrypoint_says_what_to_set(version: str) -> None:
    with pytest.raises(AssertionError, match="TRITON_SERVER_VERSION is"):
        printed(version)


def test_a_red_line_of_the_doctor_keeps_the_server_from_starting(tmp_path: Path) -> None:
    environment = find_runtime().environment | {
        "SEGSERVE_REPOSITORY": str(tmp_path / "missing"),
        "SEGSERVE_VARIANT": "cpu",
        "TRITON_SERVER_VERSION": "2.51.0",
    }
    with pytest.raises(AssertionError, match=r"(?s)repository.*the doctor found"):
        run(IMAGE / "entrypoint.py", environment=environment)


@pytest.mark.parametrize(
    "path",
    ["/v2/repository/index", "/v2/logging", "/v2/trace/setting", "/v2/systemsharedmemory/status", "/v2/models/stats"],
)
def test_whoever_gets_past_the_proxy_still_needs_the_key(triton: Triton, path: str) -> None:
    method = "POST" if path.startswith("/v2/repository") else "GET"
    request = urllib.request.Request(f"http://{LOOPBACK}:{triton.ports.http}{path}", method=method)
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(request, timeout=10)
    with refused.value as error:
        assert error.code == 403


def test_the_probe_says_what_is_not_ready(triton: Triton, tmp_path: Path) -> None:
    def look(**changes: str) -> "subprocess.CompletedProcess[str]":
        environment = triton.environment | {"SEGSERVE_PID": str(triton.pid)} | changes
        command = [str(IMAGE / "probe.py")]
        return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)

    assert (look().returncode, look().stderr) == (0, "")
    more = lay_tiny(tmp_path / "more", version=1)
    (more / "echo_front").rename(more / "not_loaded")
    refused = look(SEGSERVE_REPOSITORY=str(more))
    assert (refused.returncode, refused.stderr) == (1, "probe: /v2/models/not_loaded/ready answers 400\n")
    absent = look(SEGSERVE_HTTP_PORT="9")
    assert absent.returncode == 1
    assert "/v2/health/live answers nothing" in absent.stderr


class _Collector(http.server.BaseHTTPRequestHandler):
    """Takes traces as an OTLP collector does."""

    received: ClassVar[list[tuple[str, bytes]]] = []

    def do_POST(self) -> None:
        self.received.append((self.path, self.rfile.read(int(self.headers["Content-Length"]))))
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Stay silent."""


@pytest.fixture
def collector() -> Iterator[tuple[str, list[tuple[str, bytes]]]]:
    """Where to send traces, and the ones that arrived."""
    _Collector.received.clear()
    with http.server.ThreadingHTTPServer((LOOPBACK, 0), _Collector) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://{LOOPBACK}:{server.server_port}/v1/traces", _Collector.received
        server.shutdown()


def test_traces_reach_a_collector_and_hold_no_images(
    tmp_path: Path, collector: tuple[str, list[tuple[str, bytes]]]
) -> None:
    url, received = collector
    options = {"SEGSERVE_OTLP_URL": url, "SEGSERVE_TRACE_RATE": "1"}
    repository = lay_tiny(tmp_path / "models", version=1)
    with Triton(repository, log=tmp_path / "log", options=options) as triton:
        request = urllib.request.Request(
            f"http://{LOOPBACK}:{triton.ports.http}/v2/models/echo/infer", data=b"PATIENT" * 100, headers=RAW
        )
        with urllib.request.urlopen(request, timeout=10) as response:
            assert response.status == 200
        wait_for(lambda: any(b"echo_back" in body for _, body in received), "a trace of both steps", timeout_s=20)
    assert {path for path, _ in received} == {"/v1/traces"}
    assert not any(b"PATIENT" in body for _, body in received)


def test_models_are_prepared_once_and_kept(tmp_path: Path) -> None:
    shipped = tmp_path / "shipped"
    (shipped / "examples").mkdir(parents=True)
    for name in ("model_repository", "build_engines", "segserve_server", "examples/few_hemorrhages.jpg"):
        (shipped / name).symlink_to(ROOT / name)
    environment = {
        "PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin",
        "SEGSERVE_SHIPPED": str(shipped),
        "SEGSERVE_REPOSITORY": str(tmp_path / "models" / "7"),
        # What a machine without a GPU can build.
        "SEGSERVE_TARGET": "onnxruntime",
        "SEGSERVE_PRECISION": "fp32",
    }
    first = run(IMAGE / "prepare_models.sh", environment=environment, timeout_s=120)
    assert "Dice 1.0000" in first
    again = run(IMAGE / "prepare_models.sh", environment=environment, timeout_s=120)
    assert "nothing rebuilt" in again
    models = {path.name for path in (tmp_path / "models" / "7").iterdir()}
    assert models == {path.name for path in (ROOT / "model_repository").iterdir() if path.is_dir()}


@pytest.mark.parametrize("name", ["Dockerfile", "mtail.Dockerfile"])
def test_hadolint_finds_nothing_in(name: str) -> None:
    run(find_tool("hadolint"), DEPLOY / name)


def test_shellcheck_finds_nothing() -> None:
    run(find_tool("shellcheck"), *sorted(DEPLOY.rglob("*.sh")))


def test_what_the_dockerfile_copies_is_there_and_not_ignored() -> None:
    text = (DEPLOY / "Dockerfile").read_text()
    copied = [part for line in re.findall(r"^COPY (.*)$", text, re.MULTILINE) for part in line.split()[:-1]]
    sources = [part for part in copied if not part.startswith("--")]
    kept = {line[1:] for line in (DEPLOY / "Dockerfile.dockerignore").read_text().splitlines() if line.startswith("!")}
    for source in sources:
        assert (ROOT / source).exists(), source
        # A pattern keeps a path that it names, or a folder of it, or by its star.
        assert any(source == keep or source.startswith(f"{keep}/") or Path(source).match(keep) for keep in kept), source
