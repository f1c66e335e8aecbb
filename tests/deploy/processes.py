"""Programs that a test starts: found or the test fails, logged to a file, ended with the test."""

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

LOOPBACK = "127.0.0.1"


def find_program(name: str) -> str:
    """The path of a program; AssertionError that says how to install it. A missing program fails a test."""
    path = shutil.which(name) or shutil.which(name, path="/usr/sbin:/usr/local/sbin")
    assert path, f"{name} is not installed: run deploy/install-test-tools.sh"
    return path


def find_tool(name: str) -> str:
    """A program that comes with the tests' Python environment (requirements/deploy.txt), else of the system."""
    beside = Path(sys.executable).parent / name
    return str(beside) if beside.exists() else find_program(name)


def free_port(kind: socket.SocketKind = socket.SOCK_STREAM) -> int:
    """A port on the loopback address that nobody listens on just now."""
    with socket.socket(socket.AF_INET, kind) as probe:
        probe.bind((LOOPBACK, 0))
        return int(probe.getsockname()[1])


def listens(port: int) -> bool:
    """Whether something accepts TCP connections on the loopback address."""
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex((LOOPBACK, port)) == 0


def run(*command: str | Path, environment: Mapping[str, str] | None = None, timeout_s: float = 60) -> str:
    """Run a program to its end and give its output; AssertionError with the output if it fails."""
    done = subprocess.run(
        [str(part) for part in command],
        env={**os.environ, **(environment or {})},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=timeout_s,
        check=False,
    )
    assert done.returncode == 0, f"{command[0]} failed ({done.returncode}):\n{done.stdout}"
    return done.stdout


def wait_for(
    condition: Callable[[], bool], what: str, *, timeout_s: float = 30.0, log: Callable[[], str] | None = None
) -> None:
    """Return once ``condition`` holds; AssertionError naming ``what`` and quoting ``log`` if it does not."""
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, f"not within {timeout_s:.0f} s: {what}\n{log() if log else ''}"
        time.sleep(0.1)


class Running:
    """A program in a process group of its own, from construction to ``stop`` (or the end of ``with``)."""

    def __init__(self, command: Sequence[str], *, log: Path, environment: Mapping[str, str] | None = None) -> None:
        self._log = log
        with log.open("wb") as output:
            self.process = subprocess.Popen(
                command,
                env={**os.environ, **(environment or {})},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                process_group=0,
            )

    @property
    def pid(self) -> int:
        """Its process id."""
        return self.process.pid

    def read_log(self) -> str:
        """What it has printed so far."""
        return self._log.read_text(errors="replace")

    def wait_until(self, condition: Callable[[], bool], what: str, *, timeout_s: float = 30.0) -> None:
        """``wait_for`` that stops early, with the log, when the program has ended."""
        wait_for(lambda: self.process.poll() is not None or condition(), what, timeout_s=timeout_s, log=self.read_log)
        assert self.process.poll() is None, f"{what}: it ended\n{self.read_log()}"

    def stop(self, *, grace_s: float = 5.0) -> None:
        """End it: SIGTERM, and SIGKILL to the whole group for what is left after the grace period."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(grace_s)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
