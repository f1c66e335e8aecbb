"""A real Triton on this machine, as a context manager."""

import contextlib
import secrets
from pathlib import Path
from types import TracebackType

from segserve_server.embedded import procfs, shared_memory
from segserve_server.embedded.errors import EmbeddedServerError, RepositoryError
from segserve_server.embedded.flags import ServerSettings
from segserve_server.embedded.ports import LOOPBACK, Ports, free_ports, require_free
from segserve_server.embedded.runtime import find_runtime
from segserve_server.embedded.supervisor import State, StopSignal, Supervisor
from segserve_server.embedded.triton_process import LogSink


def find_models(repository: Path) -> tuple[str, ...]:
    """The names of the models in `repository`, sorted; RepositoryError if there are none."""
    if not repository.is_dir():
        raise RepositoryError(f"there is no model repository at {repository}: name another with --repository")
    names = tuple(sorted(path.parent.name for path in repository.glob("*/config.pbtxt")))
    if not names:
        raise RepositoryError(f"{repository} holds no model: each is a folder with a config.pbtxt")
    return names


class EmbeddedServer:
    """Serves a model repository on the loopback address from `start` (or `with`) to `stop`.

    A model process or a tritonserver that dies meanwhile is brought back. For development, tests and demos: the
    embedded tritonserver is older than known security fixes.

    Args:
        repository: a model repository; every model in it is loaded.
        variant: the name in `configs/<variant>.pbtxt` that models which have it are served with.
        ports: where to listen; three free ports if None.
        log: receives each line of the server's log; None drops them (the last ones are quoted in errors anyway).
        start_timeout_s: seconds until the server and every model must be ready.
        grace_s: seconds that requests in flight have to finish once the server is asked to stop. tritonserver waits
            for idle keep-alive connections too, so that a client which holds one makes the stop take this long.
    """

    def __init__(
        self,
        repository: Path,
        *,
        variant: str = "cpu",
        ports: Ports | None = None,
        log: LogSink | None = None,
        start_timeout_s: float = 180.0,
        grace_s: int = 5,
    ) -> None:
        self.repository = repository.absolute()
        self.models = find_models(self.repository)
        self.ports = ports or free_ports()
        self._variant = variant
        self._log = _tolerant(log) if log else _drop
        self._start_timeout_s = start_timeout_s
        self._grace_s = grace_s
        self._stop = StopSignal()
        self._supervisor: Supervisor | None = None

    @property
    def http_url(self) -> str:
        """Where HTTP is served, with its scheme."""
        return f"http://{LOOPBACK}:{self.ports.http}"

    @property
    def grpc_url(self) -> str:
        """Where gRPC is served, with the scheme that the SDK takes."""
        return f"grpc://{LOOPBACK}:{self.ports.grpc}"

    @property
    def metrics_url(self) -> str:
        """Where Prometheus metrics are served."""
        return f"http://{LOOPBACK}:{self.ports.metrics}/metrics"

    @property
    def state(self) -> State:
        """What the server is doing now."""
        return self._supervisor.state if self._supervisor else State.STOPPED

    @property
    def pid(self) -> int:
        """The process id of the present tritonserver; another one after it had to be started again."""
        process = self._supervisor.process if self._supervisor else None
        if process is None:
            raise EmbeddedServerError("the server is not running: start it first")
        return process.pid

    def stub_pids(self, model: str) -> list[int]:
        """The process ids of the living model processes of `model`."""
        return [
            child.pid
            for child in procfs.children(self.pid)
            if child.is_stub and f"/{model}/" in child.command_line and not child.is_dead
        ]

    def start(self) -> None:
        """Start, and return when the server and every model are ready, or when it has been asked to stop meanwhile.

        A server starts once; make another for a second time.

        Raises:
            RuntimeMissingError, PortTakenError, SharedMemoryError: this machine cannot run the server now.
            ServerFailedError: tritonserver ended or did not get ready.
        """
        if self._supervisor is not None:
            raise EmbeddedServerError("this server has been started before: make another one")
        runtime = find_runtime()
        shared_memory.clear_leftovers()
        shared_memory.require_room()
        require_free(self.ports)
        settings = ServerSettings(
            repository=self.repository,
            variant=self._variant,
            ports=self.ports,
            backend_directory=runtime.backend_directory,
            region_prefix=shared_memory.new_prefix(),
            admin_key=secrets.token_hex(16),
            grace_s=self._grace_s,
        )
        self._supervisor = Supervisor(
            runtime,
            settings,
            models=self.models,
            stop=self._stop,
            log=self._log,
            start_timeout_s=self._start_timeout_s,
        )
        try:
            self._supervisor.start()
        except BaseException:
            # Ctrl-C while it loads must not leave a server behind.
            self.hurry()
            self._supervisor.join()
            raise

    def stop(self) -> None:
        """Stop it, after requests in flight have finished or the grace period is over; nothing of it is left then."""
        self.request_stop()
        if self._supervisor is not None:
            self._supervisor.join()

    def request_stop(self) -> None:
        """Ask it to stop, and return without waiting; not for signal handlers."""
        self._stop.requested.set()

    def hurry(self) -> None:
        """Ask for the end at once, whatever is in flight, and return without waiting; not for signal handlers."""
        self._stop.hurry.set()
        self._stop.requested.set()

    def wait(self, timeout_s: float | None = None) -> bool:
        """Wait until the server has been stopped; True if it was, raises ServerFailedError if it gave up."""
        return self._supervisor is None or self._supervisor.wait(timeout_s)

    def __enter__(self) -> "EmbeddedServer":
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


def _tolerant(log: LogSink) -> LogSink:
    """`log`, but a reader that has gone away does not stop the server: its log must be read or it blocks."""

    def take(line: str) -> None:
        with contextlib.suppress(OSError, ValueError):
            log(line)

    return take


def _drop(line: str) -> None:
    """Take a line of log and do nothing with it."""
