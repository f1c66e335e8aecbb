"""Start and stop of a real tritonserver, over a repository that takes a second to load."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import grpc
import pytest
from tritonclient.grpc import service_pb2, service_pb2_grpc

from segserve_server.embedded import (
    EmbeddedServer,
    EmbeddedServerError,
    Ports,
    PortTakenError,
    ServerFailedError,
    SharedMemoryError,
    State,
    procfs,
    server,
    shared_memory,
)
from segserve_server.embedded.flags import EMBEDDED_VERSION, ServerSettings, command_line
from segserve_server.embedded.runtime import find_runtime
from tests.integration.http_requests import becomes_true, echo, post

SUPERVISOR = """
import sys, time
from pathlib import Path
from segserve_server.embedded import EmbeddedServer
with EmbeddedServer(Path(sys.argv[1])) as server:
    print(server.pid, flush=True)
    time.sleep(600)
"""


@pytest.fixture
def running(echo_repository: Path) -> Iterator[EmbeddedServer]:
    with EmbeddedServer(echo_repository) as started:
        yield started
        started.hurry()  # the orderly way takes seconds; it has tests of its own


def leftovers(text: str) -> list[str]:
    """Regions and processes that name `text`, a region prefix or a part of one."""
    regions = [path.name for path in shared_memory.SHARED_MEMORY.iterdir() if text in path.name]
    return regions + [process.command_line for process in procfs.processes() if text in process.command_line]


def mine() -> str:
    """The part of region prefixes that tells of this process."""
    owner = shared_memory.Owner.myself()
    return f"segserve-{owner.namespace}-{owner.pid}-{owner.started}-"


def test_a_started_server_answers_over_http_and_grpc_and_gives_metrics(running: EmbeddedServer) -> None:
    assert running.state is State.READY
    assert echo(running, "hello") == "OLLEH"
    with grpc.insecure_channel(running.grpc_url.removeprefix("grpc://")) as channel:
        stub = service_pb2_grpc.GRPCInferenceServiceStub(channel)
        assert stub.ModelReady(service_pb2.ModelReadyRequest(name="echo")).ready
    with pytest.raises(EmbeddedServerError, match="started before"):
        running.start()


def test_model_processes_import_what_this_environment_has_installed(running: EmbeddedServer) -> None:
    # The first step imports segserve_server, which is an editable install under development.
    assert running.stub_pids("echo_upper")
    assert echo(running, "a") == "A"


def test_a_stopped_server_leaves_no_process_and_no_region(echo_repository: Path) -> None:
    with EmbeddedServer(echo_repository) as running:
        pid = running.pid
        assert echo(running, "hello") == "OLLEH"
        assert len(leftovers(mine())) > 1

    assert running.state is State.STOPPED
    assert procfs.start_time(pid) is None
    assert leftovers(mine()) == []


def test_a_stop_leaves_nothing_after_a_model_process_died_with_a_request(echo_repository: Path) -> None:
    with EmbeddedServer(echo_repository) as running:
        os.kill(running.stub_pids("echo_upper")[0], signal.SIGKILL)
        echo(running, "hello")

    assert leftovers(mine()) == []


def test_requests_in_flight_finish_when_the_server_is_stopped(echo_repository: Path) -> None:
    with ThreadPoolExecutor() as pool:
        with EmbeddedServer(echo_repository) as running:
            answer = pool.submit(echo, running, "sleep 2")
            time.sleep(0.5)
        assert answer.result() == "2 PEELS"


def test_requests_that_outlast_the_grace_period_do_not_keep_the_server(echo_repository: Path) -> None:
    with ThreadPoolExecutor() as pool:
        with EmbeddedServer(echo_repository, grace_s=1) as running:
            answer = pool.submit(echo, running, "sleep 20")
            time.sleep(0.5)
            pid = running.pid
        assert procfs.start_time(pid) is None
        assert answer.result() is None
        assert leftovers(mine()) == []


def test_a_hurried_stop_does_not_wait_for_requests(echo_repository: Path) -> None:
    with ThreadPoolExecutor() as pool:
        with EmbeddedServer(echo_repository, grace_s=20) as running:
            answer = pool.submit(echo, running, "sleep 15")
            time.sleep(0.5)
            running.hurry()
            running.stop()
        assert answer.result() is None


def test_a_second_server_on_the_same_ports_is_refused_and_the_first_goes_on(running: EmbeddedServer) -> None:
    with pytest.raises(PortTakenError, match=f"port {running.ports.http} is taken"):
        EmbeddedServer(running.repository, ports=running.ports).start()

    assert echo(running, "hello") == "OLLEH"


def test_two_servers_run_side_by_side_and_the_end_of_one_leaves_the_other(running: EmbeddedServer) -> None:
    with EmbeddedServer(running.repository) as second:
        assert echo(second, "second") == "DNOCES"

    assert echo(running, "first") == "TSRIF"


def test_ports_can_be_used_again_at_once(echo_repository: Path) -> None:
    with EmbeddedServer(echo_repository) as first:
        assert echo(first, "hello") == "OLLEH"

    with EmbeddedServer(echo_repository, ports=first.ports) as second:
        assert echo(second, "again") == "NIAGA"


def test_a_killed_supervisor_takes_its_server_along_and_the_next_start_clears_its_regions(
    echo_repository: Path,
) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", SUPERVISOR, str(echo_repository)], stdout=subprocess.PIPE, text=True
    ) as supervisor:
        assert supervisor.stdout is not None
        pid = int(supervisor.stdout.readline())
        supervisor.kill()
    theirs = f"-{supervisor.pid}-"

    assert becomes_true(lambda: procfs.start_time(pid) is None)
    with EmbeddedServer(echo_repository) as running:
        assert leftovers(f"segserve-{procfs.pid_namespace()}{theirs}") == []
        assert echo(running, "hello") == "OLLEH"


def test_a_model_process_that_outlives_its_crashed_server_is_ended_by_the_next_start(echo_repository: Path) -> None:
    # The kernel sends SIGHUP to stopped processes whose group has lost its parent; it would end the stub.
    program = f"import signal; signal.signal(signal.SIGHUP, signal.SIG_IGN)\n{SUPERVISOR}"
    with subprocess.Popen(
        [sys.executable, "-c", program, str(echo_repository)], stdout=subprocess.PIPE, text=True
    ) as supervisor:
        assert supervisor.stdout is not None
        pid = int(supervisor.stdout.readline())
        stuck = next(child.pid for child in procfs.children(pid) if child.is_stub)
        os.kill(stuck, signal.SIGSTOP)  # so that it cannot notice that its server is gone
        supervisor.kill()

    assert becomes_true(lambda: procfs.start_time(pid) is None)
    assert procfs.start_time(stuck) is not None
    with EmbeddedServer(echo_repository) as running:
        assert procfs.start_time(stuck) is None
        running.hurry()


def test_a_server_can_be_stopped_while_it_starts(echo_repository: Path) -> None:
    starting = EmbeddedServer(echo_repository)
    starting.request_stop()
    starting.start()

    assert starting.state is State.STOPPED
    assert starting.wait(timeout_s=0)
    assert leftovers(mine()) == []


def test_the_log_is_streamed_line_by_line(echo_repository: Path) -> None:
    lines: list[str] = []
    with EmbeddedServer(echo_repository, log=lines.append):
        assert any("Started HTTPService" in line for line in lines)

    assert not any("\n" in line for line in lines)


def test_a_log_that_nobody_reads_any_more_does_not_stop_the_server(echo_repository: Path) -> None:
    def broken(line: str) -> None:
        raise BrokenPipeError(line)

    with EmbeddedServer(echo_repository, log=broken) as running:
        assert echo(running, "hello") == "OLLEH"
        running.hurry()


@pytest.mark.parametrize("action", ["index", "models/echo/load", "models/echo/unload"])
def test_the_model_repository_api_needs_the_supervisor_s_key(running: EmbeddedServer, action: str) -> None:
    status, _ = post(running, f"/v2/repository/{action}", "{}", {"Content-Type": "text/plain"})

    assert status == 403
    assert echo(running, "hello") == "OLLEH"


def test_the_statistics_tell_which_models_there_are(running: EmbeddedServer) -> None:
    with grpc.insecure_channel(running.grpc_url.removeprefix("grpc://")) as channel:
        stub = service_pb2_grpc.GRPCInferenceServiceStub(channel)
        statistics = stub.ModelStatistics(service_pb2.ModelStatisticsRequest())

    assert [model.name for model in statistics.model_stats] == list(running.models)


def test_a_model_that_does_not_load_is_named_with_its_reason(tmp_path: Path) -> None:
    version = tmp_path / "broken" / "1"
    version.mkdir(parents=True)
    (version / "model.py").write_text("import a_module_that_nobody_has\n")
    config = 'name: "broken"\nbackend: "python"\noutput [ { name: "OUT" data_type: TYPE_INT32 dims: [ 1 ] } ]\n'
    (version.parent / "config.pbtxt").write_text(config)

    with pytest.raises(ServerFailedError, match=r"failed to load 'broken' .*a_module_that_nobody_has") as raised:
        EmbeddedServer(tmp_path).start()

    assert "\n" not in str(raised.value)
    assert leftovers(mine()) == []


def test_a_port_taken_between_the_check_and_the_start_is_said(
    running: EmbeddedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "require_free", lambda ports: None)
    monkeypatch.setattr("segserve_server.embedded.supervisor.require_free", lambda ports: None)

    with pytest.raises(ServerFailedError, match="already in use"):
        EmbeddedServer(running.repository, ports=running.ports).start()

    assert echo(running, "hello") == "OLLEH"


def test_too_small_shared_memory_is_refused_before_anything_starts(
    echo_repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shared_memory, "free_bytes", lambda directory: 64 << 20)

    with pytest.raises(SharedMemoryError, match="has 64 MiB free and the server needs 256 MiB"):
        EmbeddedServer(echo_repository).start()


def test_the_server_knows_every_flag_of_the_table() -> None:
    runtime = find_runtime()
    usage = subprocess.run(
        [str(runtime.server), "--help"], env=runtime.environment, capture_output=True, text=True, check=False
    )
    settings = ServerSettings(Path("/m"), "cpu", Ports(), Path("/b"), "prefix-", "key", 5)

    known = {word for word in (usage.stdout + usage.stderr).split() if word.startswith("--")}

    assert {flag.split("=")[0] for flag in command_line(settings, EMBEDDED_VERSION)} <= known


def test_the_supervisor_s_bugs_do_not_look_like_an_orderly_stop(
    echo_repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with EmbeddedServer(echo_repository) as running:
        monkeypatch.setattr(procfs, "children", lambda parent: json.loads("no json"))
        with pytest.raises(ServerFailedError, match="the supervisor failed"):
            running.wait(timeout_s=30)
        monkeypatch.undo()

    assert running.state is State.FAILED


def test_no_thread_of_a_stopped_server_is_left(echo_repository: Path) -> None:
    before = threading.active_count()
    with EmbeddedServer(echo_repository) as running:
        assert echo(running, "hello") == "OLLEH"

    assert threading.active_count() == before
