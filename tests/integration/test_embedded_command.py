"""`segserve-server serve` as a program: what it prints, and how it ends."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from segserve_server.embedded import free_ports, procfs, shared_memory
from tests.integration.conftest import ROOT

PROGRAM = Path(sys.executable).parent / "segserve-server"


def _hear_hangups() -> None:
    """As in a terminal, also where the tests themselves run under nohup."""
    signal.signal(signal.SIGHUP, signal.SIG_DFL)


@pytest.fixture
def serving(tmp_path: Path) -> Iterator[tuple[subprocess.Popen[str], str, Path]]:
    """The program once it is ready, the line in which it said so, and the file that takes its log."""
    ports = [argument for name, port in free_ports().named() for argument in (f"--{name}-port", str(port))]
    log = tmp_path / "log"
    with (
        log.open("w") as errors,
        subprocess.Popen(
            [str(PROGRAM), "serve", "--repository", str(ROOT / "model_repository"), *ports],
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            preexec_fn=_hear_hangups,
        ) as program,
    ):
        assert program.stdout is not None
        try:
            yield program, program.stdout.readline(), log
        finally:
            program.kill()


def left_of(pid: int) -> list[str]:
    """Processes and regions of the supervisor `pid`."""
    owned = f"segserve-{procfs.pid_namespace()}-{pid}-"
    regions = [path.name for path in shared_memory.SHARED_MEMORY.iterdir() if path.name.startswith(owned)]
    return regions + [process.command_line for process in procfs.processes() if owned in process.command_line]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_serve_says_where_it_is_ready_and_a_signal_ends_it_in_order(
    serving: tuple[subprocess.Popen[str], str, Path], number: signal.Signals
) -> None:
    program, ready, log = serving
    assert ready.startswith("ready: grpc://127.0.0.1:"), log.read_text()

    program.send_signal(number)

    assert program.wait(timeout=60) == 0
    assert left_of(program.pid) == []
    assert "Started GRPCInferenceService" in log.read_text()
    assert "CUDA driver" not in log.read_text(), "alarming and meaningless without a GPU"


def test_a_second_signal_ends_it_at_once_and_leaves_nothing(
    serving: tuple[subprocess.Popen[str], str, Path],
) -> None:
    program, _, log = serving

    program.send_signal(signal.SIGINT)
    program.send_signal(signal.SIGTERM)

    assert program.wait(timeout=60) == 0, log.read_text()
    assert left_of(program.pid) == []


def test_ctrl_c_in_a_terminal_reaches_the_supervisor_alone(
    serving: tuple[subprocess.Popen[str], str, Path],
) -> None:
    program, _, _ = serving

    (tritonserver,) = procfs.children(program.pid)

    assert os.getpgid(tritonserver.pid) != os.getpgid(program.pid)
    assert {os.getpgid(stub.pid) for stub in procfs.children(tritonserver.pid)} == {os.getpgid(tritonserver.pid)}
