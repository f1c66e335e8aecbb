"""The thread that owns tritonserver: starts it, watches it, brings it back, stops it."""

import threading
import time
from dataclasses import dataclass, field
from enum import Enum

from segserve_server.embedded.admin import Admin
from segserve_server.embedded.errors import EmbeddedServerError, ServerFailedError
from segserve_server.embedded.flags import ServerSettings
from segserve_server.embedded.ports import require_free
from segserve_server.embedded.runtime import TritonRuntime
from segserve_server.embedded.server_log import describe_exit, explain_end
from segserve_server.embedded.stub_watch import Stub, StubWatch
from segserve_server.embedded.triton_process import LogSink, TritonProcess

#: Seconds between two looks at the processes: a dead one is noticed within this time.
_LOOK_EVERY_S = 0.25

#: Every so many looks new processes are looked for, too, which takes a look at all processes of the machine. Triton
#: starts new ones only when it or a model is started, so the looks between do with those that are known.
_LOOK_AT_ALL_EVERY = 8

#: Seconds that a reloaded model gets before the whole server is started again.
_RELOAD_S = 20.0

#: Starts in a row that may fail while recovering before giving up.
_RECOVERY_STARTS = 3


class State(Enum):
    """What the server is doing."""

    STARTING = "starting"
    READY = "ready"
    RECOVERING = "recovering"
    STOPPED = "stopped"
    FAILED = "failed"


@dataclass(frozen=True)
class StopSignal:
    """How a supervisor is told to stop; set from any thread, at any time, also before the start.

    Attributes:
        requested: let requests in flight finish, then stop.
        hurry: do not wait for them any longer.
    """

    requested: threading.Event = field(default_factory=threading.Event)
    hurry: threading.Event = field(default_factory=threading.Event)


class Supervisor:
    """Keeps one tritonserver running from `start` until its `StopSignal`.

    All processes are started by its one thread, which therefore also ends them (see `launch`).
    """

    def __init__(
        self,
        runtime: TritonRuntime,
        settings: ServerSettings,
        *,
        models: tuple[str, ...],
        stop: StopSignal,
        log: LogSink,
        start_timeout_s: float,
    ) -> None:
        self._runtime = runtime
        self._settings = settings
        self._models = models
        self._log = log
        self._start_timeout_s = start_timeout_s
        self._admin = Admin(settings)
        self._state = State.STARTING
        self._failure: EmbeddedServerError | None = None
        self._started = threading.Event()
        self._stop = stop
        self._process: TritonProcess | None = None
        self._watch = StubWatch()
        self._looks = 0
        self._thread = threading.Thread(target=self._run, name="segserve-supervisor", daemon=True)

    @property
    def state(self) -> State:
        """What the server is doing now."""
        return self._state

    @property
    def process(self) -> TritonProcess | None:
        """The present run of tritonserver, or None."""
        return self._process

    def start(self) -> None:
        """Start tritonserver and return when it and each model are ready; raises what prevented it.

        If it is told to stop meanwhile, it returns with the state STOPPED.
        """
        self._thread.start()
        self._started.wait()
        self._raise_failure()

    def join(self) -> None:
        """Return when nothing of the server is left."""
        self._thread.join()

    def wait(self, timeout_s: float | None = None) -> bool:
        """Wait until the server has been stopped; True if it was, raises ServerFailedError if it gave up."""
        self._thread.join(timeout_s)
        if self._thread.is_alive():
            return False
        self._raise_failure()
        return True

    def _raise_failure(self) -> None:
        if self._failure is not None:
            raise self._failure

    def _run(self) -> None:
        try:
            self._start_first()
            self._state = State.READY
            self._started.set()
            while not self._stop.requested.wait(_LOOK_EVERY_S):
                self._look()
        except _StopRequestedError:
            pass
        except EmbeddedServerError as error:
            self._failure = error
        except Exception as error:
            # A bug here must not look like an orderly stop to whoever waits for the server.
            self._failure = ServerFailedError(f"the supervisor failed and has stopped the server: {error!r}")
        finally:
            self._end_process(at_once=self._failure is not None)
            self._state = State.FAILED if self._failure else State.STOPPED
            self._started.set()

    def _look(self) -> None:
        """One look at the processes, and whatever recovery it calls for."""
        assert self._process is not None
        exit_code = self._process.poll()
        if exit_code is not None:
            self._say(f"tritonserver ended ({describe_exit(exit_code)}); starting it again")
            self._restart()
            return
        stubs = self._process.stubs(None if self._looks % _LOOK_AT_ALL_EVERY == 0 else self._watch.pids)
        self._looks += 1
        self._watch.look(stubs)
        died = self._watch.died(stubs)
        if died:
            self._looks = 0
            self._recover(died)

    def _recover(self, died: list[Stub | None]) -> None:
        self._state = State.RECOVERING
        models = {stub.model: stub for stub in died if stub is not None}
        known = None not in died
        self._say(f"model process died: {', '.join(sorted(models)) or 'one not seen before'}; bringing it back")
        if known and all(self._reload(stub) for stub in models.values()):
            self._say("back in service")
            self._state = State.READY
        else:
            self._say("a reload did not help; starting tritonserver again")
            self._restart()

    def _reload(self, stub: Stub) -> bool:
        """Give the model of `stub` new processes; True once it takes requests."""
        assert self._process is not None
        deadline = time.monotonic() + _RELOAD_S
        try:
            # Triton reloads only what has changed. The old instance then serves until the new one is ready, so that
            # a living sibling of the dead process goes on answering.
            stub.model_file.touch()
        except OSError:
            self._admin.unload(stub.model, timeout_s=_RELOAD_S)
        self._watch.settle(stub.model)
        if not self._admin.load(stub.model, timeout_s=_RELOAD_S):
            return False
        return self._await_ready(deadline)

    def _restart(self) -> None:
        self._state = State.RECOVERING
        for attempt in range(1, _RECOVERY_STARTS + 1):
            self._end_process(at_once=True)
            try:
                self._start_process()
            except EmbeddedServerError as error:
                if attempt == _RECOVERY_STARTS:
                    raise
                self._say(f"start {attempt} of {_RECOVERY_STARTS} failed: {error}")
            else:
                self._say("back in service")
                self._state = State.READY
                return

    def _start_first(self) -> None:
        """Start; once more where a signal ended it, which 2.51 was seen to do (SIGABRT) on an overloaded machine."""
        try:
            self._start_process()
        except ServerFailedError as error:
            exit_code = self._process.poll() if self._process else None
            if exit_code is None or exit_code >= 0:
                raise
            self._say(f"{error}; starting it once more")
            self._end_process(at_once=True)
            self._start_process()

    def _start_process(self) -> None:
        require_free(self._settings.ports)
        self._watch = StubWatch()
        self._process = TritonProcess(self._runtime, self._settings, log=self._log)
        if self._await_ready(time.monotonic() + self._start_timeout_s):
            self._watch.look(self._process.stubs())
            return
        raise ServerFailedError(
            explain_end(self._process.poll(), self._process.last_lines, timeout_s=self._start_timeout_s)
        )

    def _await_ready(self, deadline: float) -> bool:
        """Whether the server and each model got ready before `deadline` (of the monotonic clock)."""
        assert self._process is not None
        while time.monotonic() < deadline and self._process.poll() is None:
            if self._admin.is_ready(self._models):
                return True
            if self._stop.requested.wait(0.05):
                raise _StopRequestedError
        return False

    def _end_process(self, *, at_once: bool = False) -> None:
        if self._process is None:
            return
        if at_once:
            self._process.kill()
        else:
            self._process.stop(hurry=self._stop.hurry)
        self._process = None

    def _say(self, text: str) -> None:
        self._log(f"segserve-server: {text}")


class _StopRequestedError(Exception):
    """The server was asked to stop before it was ready."""
