"""Model processes and tritonserver itself are killed, and service comes back: over the shipped repository."""

import os
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from segserve_server.embedded import EmbeddedServer, ServerFailedError, State
from tests.integration.conftest import ROOT
from tests.integration.http_requests import becomes_true, echo, post, segment


@pytest.fixture(scope="module")
def image() -> bytes:
    return (ROOT / "examples" / "few_hemorrhages.jpg").read_bytes()


@pytest.fixture(scope="module")
def mortal() -> Iterator[EmbeddedServer]:
    """A server of the shipped repository that tests may kill parts of."""
    with EmbeddedServer(ROOT / "model_repository", variant="cpu", log=print) as running:
        yield running
        running.hurry()


def is_back(server: EmbeddedServer, image: bytes) -> bool:
    """Whether a request to each instance succeeds: with two, a dead one fails every other request."""
    return server.state is State.READY and all(segment(server, image) == 200 for _ in range(4))


@pytest.mark.parametrize("step", ["preprocess", "segment", "postprocess"])
def test_service_comes_back_when_a_model_process_is_killed(mortal: EmbeddedServer, image: bytes, step: str) -> None:
    model = f"fundus_hemorrhage_{step}"
    tritonserver, victims = mortal.pid, mortal.stub_pids(model)

    os.kill(victims[0], signal.SIGKILL)

    assert becomes_true(lambda: not set(victims) & set(mortal.stub_pids(model)))
    assert becomes_true(lambda: is_back(mortal, image))
    assert len(mortal.stub_pids(model)) == len(victims)
    assert mortal.pid == tritonserver, "a reload is enough, the other models go on"


def test_service_comes_back_when_the_models_of_all_steps_are_killed_at_once(
    mortal: EmbeddedServer, image: bytes
) -> None:
    for model in mortal.models:
        for pid in mortal.stub_pids(model):
            os.kill(pid, signal.SIGKILL)

    assert becomes_true(lambda: mortal.state is State.RECOVERING)
    assert becomes_true(lambda: is_back(mortal, image))


def test_service_comes_back_when_tritonserver_is_killed(mortal: EmbeddedServer, image: bytes) -> None:
    tritonserver = mortal.pid

    os.kill(tritonserver, signal.SIGKILL)

    assert becomes_true(lambda: segment(mortal, image) is None)
    assert becomes_true(lambda: is_back(mortal, image))
    assert mortal.pid != tritonserver


def test_a_body_that_kills_tritonserver_does_not_end_the_service(mortal: EmbeddedServer, image: bytes) -> None:
    tritonserver = mortal.pid
    post(
        mortal,
        "/v2/models/fundus_hemorrhage/infer",
        bytes(8 << 20),
        {"Content-Type": "application/x-www-form-urlencoded"},
    )

    assert becomes_true(lambda: is_back(mortal, image) and mortal.pid != tritonserver)


def test_a_model_process_comes_back_from_a_repository_that_cannot_be_written(
    echo_repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(path: Path) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Path, "touch", refuse)
    with EmbeddedServer(echo_repository) as running:
        tritonserver, victim = running.pid, running.stub_pids("echo_upper")[0]
        for _ in range(2):  # Triton takes the first load for a change anyway, the second not
            os.kill(victim, signal.SIGKILL)
            assert becomes_true(lambda: echo(running, "hello") == "OLLEH")
            (victim,) = running.stub_pids("echo_upper")
        assert running.pid == tritonserver
        running.hurry()


def test_a_server_that_cannot_start_again_gives_up_with_the_reason(tmp_path: Path, echo_repository: Path) -> None:
    repository = shutil.copytree(echo_repository, tmp_path / "repository")
    with EmbeddedServer(repository) as running:
        (repository / "echo_upper" / "1" / "model.py").write_text("raise RuntimeError('broken meanwhile')\n")
        os.kill(running.pid, signal.SIGKILL)
        with pytest.raises(ServerFailedError, match=r"failed to load 'echo_upper'.*broken meanwhile"):
            running.wait(timeout_s=60)

    assert running.state is State.FAILED
