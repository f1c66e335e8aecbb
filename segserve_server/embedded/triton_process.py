"""One run of tritonserver: start it, read its log, stop it."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable
from pathlib import Path

from segserve_server.embedded import launch, procfs, shared_memory
from segserve_server.embedded.flags import ServerSettings, command_line
from segserve_server.embedded.runtime import TritonRuntime

#: Receives each line of the server's log, without its line end, on a thread of its own.
LogSink = Callable[[str], None]

_LOG_LINES_KEPT = 400

#: Seconds that a server without model processes gets to end. It has nothing left to finish by then, but one whose
#: model process died earlier waits for that process until its whole exit timeout is over.
_LAST_WORDS_S = 1.0


class TritonProcess:
    """A tritonserver that was started and is ours to stop.

    It dies with the thread that made it, so that thread must be the one that stops it. See `launch`.
    """

    def __init__(self, runtime: TritonRuntime, settings: ServerSettings, *, log: LogSink) -> None:
        self._settings = settings
        self._log = log
        self.last_lines: deque[str] = deque(maxlen=_LOG_LINES_KEPT)
        launcher = [sys.executable, "-I", "-S", str(Path(launch.__file__)), str(os.getpid()), str(runtime.server)]
        self._process = subprocess.Popen(
            [*launcher, *command_line(settings, runtime.version)],
            env=runtime.environment | {shared_memory.PREFIX_VARIABLE: settings.region_prefix},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            # A process group of its own: Ctrl-C in the terminal reaches the supervisor alone, which stops it in order.
            process_group=0,
        )
        self._reader = threading.Thread(target=self._read_log, name="tritonserver-log", daemon=True)
        self._reader.start()

    @property
    def pid(self) -> int:
        """The process id of tritonserver."""
        return self._process.pid

    def poll(self) -> int | None:
        """None while it runs, else its exit code, negative for the signal that ended it."""
        return self._process.poll()

    def stubs(self, pids: Iterable[int] | None = None) -> list[procfs.Process]:
        """Its model processes, dead ones that it has not waited for included; all, or those among `pids`."""
        found = procfs.children(self.pid) if pids is None else filter(None, map(procfs.read_process, pids))
        return [process for process in found if process.parent == self.pid and process.is_stub]

    def stop(self, *, hurry: threading.Event) -> None:
        """Ask it to stop, let requests in flight finish, kill it after the grace period; leave nothing behind.

        Setting `hurry` ends the grace period.
        """
        if self.poll() is None:
            self._process.send_signal(signal.SIGTERM)
            # The server counts its own grace period, in whole seconds, and then gives up by itself.
            deadline = time.monotonic() + self._settings.grace_s + _LAST_WORDS_S
            while self.poll() is None and time.monotonic() < deadline and not hurry.wait(0.05):
                if all(stub.is_dead for stub in self.stubs()):
                    deadline = min(deadline, time.monotonic() + _LAST_WORDS_S)
        self.kill()

    def kill(self) -> None:
        """End it and its model processes at once, and remove their shared memory."""
        if self.poll() is None:
            self._process.kill()
        self._process.wait()
        procfs.kill_all(process.pid for process in procfs.processes() if self._is_mine(process))
        self._reader.join(timeout=_LAST_WORDS_S)
        shared_memory.remove_regions(self._settings.region_prefix)

    def _is_mine(self, process: procfs.Process) -> bool:
        return self._settings.region_prefix in process.command_line

    def _read_log(self) -> None:
        assert self._process.stdout is not None
        with self._process.stdout as lines:
            for line in lines:
                self.last_lines.append(line.rstrip("\n"))
                self._log(line.rstrip("\n"))
