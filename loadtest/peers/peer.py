"""The peers: how each is started, in an environment of its own, and stopped."""

import contextlib
import hashlib
import http.client
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from loadtest.errors import LoadTestError
from loadtest.paths import ROOT

ENVIRONMENTS = ROOT / ".cache" / "peers"
_FOLDER = Path(__file__).parent
_START_S = 120.0
_STOP_S = 15.0


@dataclass(frozen=True, slots=True)
class Peer:
    """A server of another kind.

    Attributes:
        name: in the table.
        folder: its application and lock, below ``loadtest/peers``.
        command: arguments after its interpreter, for a port.
        sender: how it takes a photograph (``loadtest.bench.senders``).
    """

    name: str
    folder: str
    command: Callable[[int], list[str]]
    sender: str = "body"


def _fastapi(port: int) -> list[str]:
    workers = len(os.sched_getaffinity(0))
    application = "loadtest.peers.fastapi_server.app:app"
    return ["-m", "uvicorn", application, "--port", str(port), "--workers", str(workers), "--no-access-log"]


def _litserve(port: int) -> list[str]:
    return ["-m", "loadtest.peers.litserve_server.app", str(port)]


def _bentoml(port: int) -> list[str]:
    service = "loadtest.peers.bentoml_server.app:Segmenter"
    return ["-m", "bentoml", "serve", service, "--host", "127.0.0.1", "--port", str(port), "--working-dir", str(ROOT)]


PEERS = (
    Peer("FastAPI + uvicorn", "fastapi_server", _fastapi),
    Peer("LitServe", "litserve_server", _litserve, sender="form"),
    Peer("BentoML", "bentoml_server", _bentoml),
)


@dataclass(frozen=True, slots=True)
class RunningPeer:
    """Where it listens and which process it is."""

    url: str
    pid: int


def prepare(peer: Peer) -> Path:
    """The interpreter of the peer's environment, made from its lock where it is not there yet. Raises LoadTestError."""
    lock = _FOLDER / peer.folder / "requirements.txt"
    folder = ENVIRONMENTS / peer.folder
    python, stamp = folder / "bin" / "python", folder / "lock.sha256"
    digest = hashlib.sha256(lock.read_bytes()).hexdigest()
    if stamp.is_file() and stamp.read_text() == digest:
        return python
    try:
        subprocess.run([sys.executable, "-m", "venv", "--clear", str(folder)], check=True)
        pip = [str(python), "-m", "pip", "--disable-pip-version-check", "install", "--quiet"]
        subprocess.run([*pip, "--require-hashes", "-r", str(lock)], check=True)
    except subprocess.CalledProcessError as error:
        raise LoadTestError(f"{peer.name}: its environment could not be made in {folder}: {error}") from error
    stamp.write_text(digest)
    return python


@contextlib.contextmanager
def serve(peer: Peer) -> Iterator[RunningPeer]:
    """Run it until the context ends; ready when it answers HTTP. Raises LoadTestError with the end of its log."""
    python, port = prepare(peer), _free_port()
    log = ENVIRONMENTS / f"{peer.folder}.log"
    paths = os.pathsep.join([str(ROOT), str(ROOT / "client" / "src")])
    environment = {**os.environ, "PYTHONPATH": paths, "BENTOML_DO_NOT_TRACK": "1"}
    with log.open("w") as output:
        process = subprocess.Popen(
            [str(python), *peer.command(port)],
            env=environment,
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        _wait_until_ready(peer, process, port, log)
        yield RunningPeer(f"http://127.0.0.1:{port}/segment", process.pid)
    finally:
        _stop(process)


def _wait_until_ready(peer: Peer, process: "subprocess.Popen[bytes]", port: int, log: Path) -> None:
    deadline = time.monotonic() + _START_S
    while time.monotonic() < deadline:
        if process.poll() is not None:
            break
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
        try:
            connection.request("GET", "/")
            connection.getresponse().read()
            return
        except (OSError, http.client.HTTPException):
            time.sleep(0.3)
        finally:
            connection.close()
    raise LoadTestError(f"{peer.name} did not start: {log.read_text(errors='replace')[-1500:].strip()}")


def _stop(process: "subprocess.Popen[bytes]") -> None:
    """End the whole process group: some of them leave workers behind when only the parent is told."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, number)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(_STOP_S)
    process.wait()


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])
