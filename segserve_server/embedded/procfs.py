"""What /proc says of processes: who they are, whose children, dead or alive. Linux only, like tritonserver."""

import contextlib
import os
import signal
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

PROC = Path("/proc")

#: tritonserver starts one of these per instance of a Python-backend model; the kernel cuts names to 15 characters.
STUB_NAME = "triton_python_backend_stub"

_KILLED_WITHIN_S = 2.0


@dataclass(frozen=True)
class Process:
    """One entry of /proc.

    Attributes:
        pid, parent: process ids.
        name: the kernel's name of the program, at most 15 characters.
        state: one letter; "Z" is a zombie, ended but not yet waited for by its parent.
        started: clock ticks since boot.
        arguments: its command line; empty for a zombie.
    """

    pid: int
    parent: int
    name: str
    state: str
    started: int
    arguments: tuple[str, ...]

    @property
    def is_dead(self) -> bool:
        """Whether it has ended, waited for or not."""
        return self.state in "ZX"

    @property
    def is_stub(self) -> bool:
        """Whether it is a model process of the Python backend."""
        return self.name == STUB_NAME[:15]

    @property
    def command_line(self) -> str:
        """The arguments, joined by spaces; for searching."""
        return " ".join(self.arguments)


def read_process(pid: int) -> Process | None:
    """The process `pid`, or None if there is none."""
    try:
        stat = (PROC / str(pid) / "stat").read_text(errors="replace")
        arguments = (PROC / str(pid) / "cmdline").read_bytes()
    except (FileNotFoundError, ProcessLookupError, PermissionError):
        return None
    # proc(5): `pid (name) state ppid ...`, the start time is field 22. The name may hold blanks and parentheses.
    name, _, rest = stat.partition("(")[2].rpartition(")")
    fields = rest.split()
    return Process(
        pid=pid,
        parent=int(fields[1]),
        name=name,
        state=fields[0],
        started=int(fields[19]),
        arguments=tuple(arguments.decode(errors="replace").split("\0")[:-1]),
    )


def processes() -> Iterator[Process]:
    """Every process that this user can see."""
    for entry in PROC.iterdir():
        if entry.name.isdigit():
            process = read_process(int(entry.name))
            if process is not None:
                yield process


def children(parent: int) -> list[Process]:
    """The children of `parent`, zombies included."""
    return [process for process in processes() if process.parent == parent]


def start_time(pid: int) -> int | None:
    """When `pid` started, in clock ticks since boot; None if it does not run (a zombie does not)."""
    process = read_process(pid)
    return None if process is None or process.is_dead else process.started


def pid_namespace() -> int:
    """The inode of this process's process-id namespace: two containers may both have a process 7."""
    return (PROC / "self" / "ns" / "pid").stat().st_ino


def kill_all(pids: Iterable[int]) -> None:
    """SIGKILL each of `pids`, and return when they have ended (or after a while, were one stuck in the kernel).

    Until a process has ended it holds its files: a model process holds the ports that its tritonserver opened.
    """
    doomed = list(pids)
    for pid in doomed:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(pid, signal.SIGKILL)
    deadline = time.monotonic() + _KILLED_WITHIN_S
    while any(start_time(pid) is not None for pid in doomed) and time.monotonic() < deadline:
        time.sleep(0.01)
