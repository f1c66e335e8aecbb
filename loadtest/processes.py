"""CPU time and memory of a process and all its descendants."""

import contextlib
import threading
from types import TracebackType

import psutil

_MEGABYTE = 1_000_000


def _tree(pid: int) -> list[psutil.Process]:
    try:
        root = psutil.Process(pid)
        return [root, *root.children(recursive=True)]
    except psutil.Error:
        return []


def cpu_seconds(pid: int) -> float:
    """User and system time that a process and its living descendants have used so far."""
    total = 0.0
    for process in _tree(pid):
        with contextlib.suppress(psutil.Error):
            times = process.cpu_times()
            total += times.user + times.system
    return total


def memory_mb(pid: int) -> float:
    """Memory of a process and its descendants in MB (10^6 bytes), /dev/shm included, shared pages counted once.

    The proportional set size: a page that n processes map counts 1/n for each.
    """
    total = 0
    for process in _tree(pid):
        with contextlib.suppress(psutil.Error):
            total += process.memory_full_info().pss
    return total / _MEGABYTE


class PeakMemory:
    """Watches ``memory_mb`` while it is entered; ``peak_mb`` is the largest value seen."""

    def __init__(self, pid: int, *, period_s: float = 0.5) -> None:
        self.peak_mb = 0.0
        self._pid = pid
        self._period_s = period_s
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> "PeakMemory":
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._done.set()
        self._thread.join()

    def _watch(self) -> None:
        while True:
            self.peak_mb = max(self.peak_mb, memory_mb(self._pid))
            if self._done.wait(self._period_s):
                return
