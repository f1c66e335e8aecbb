"""The /dev/shm regions of a server: how they are named, how much room they need, who may remove them.

The Python backend hands tensors to model processes through files in /dev/shm. A server that ends in an orderly way
removes its own; one that crashes cannot. So the name of each region says who owns it: the supervisor's process id and
start time (a process id alone is used again), and the process-id namespace it means. A later start removes exactly the
regions whose owner is no more, and nobody else's.
"""

import contextlib
import os
import re
import secrets
from dataclasses import dataclass
from pathlib import Path

from segserve_server.embedded import procfs
from segserve_server.embedded.errors import SharedMemoryError

SHARED_MEMORY = Path("/dev/shm")

#: Bytes. A region per model process that grows to the largest batch it has seen; Docker's 64 MB are too few for one.
REQUIRED_BYTES = 256 << 20

#: Environment variable that tells model processes how names in /dev/shm begin which are removed when their server ends.
PREFIX_VARIABLE = "SEGSERVE_SHARED_MEMORY_PREFIX"

_PREFIX = re.compile(r"\bsegserve-(?P<namespace>\d+)-(?P<pid>\d+)-(?P<started>\d+)-[0-9a-f]{8}-")


@dataclass(frozen=True)
class Owner:
    """The supervisor that a region belongs to.

    Attributes:
        namespace: inode of its process-id namespace.
        pid: process id in that namespace.
        started: its start time in clock ticks since boot.
    """

    namespace: int
    pid: int
    started: int

    @classmethod
    def myself(cls) -> "Owner":
        """The process that calls."""
        pid = os.getpid()
        started = procfs.start_time(pid)
        if started is None:
            raise SharedMemoryError("/proc is not readable, and the embedded server needs it: mount it")
        return cls(namespace=procfs.pid_namespace(), pid=pid, started=started)

    def is_gone(self) -> bool:
        """Whether this owner is known to have ended; False for one in another namespace, which cannot be seen."""
        return self.namespace == procfs.pid_namespace() and procfs.start_time(self.pid) != self.started


def new_prefix() -> str:
    """A prefix for the regions of one server of this process, used by no other."""
    owner = Owner.myself()
    return f"segserve-{owner.namespace}-{owner.pid}-{owner.started}-{secrets.token_hex(4)}-"


def find_owner(text: str) -> Owner | None:
    """The owner that a region's name, or a command line which holds one, tells of; None if it tells of none."""
    match = _PREFIX.search(text)
    return None if match is None else Owner(int(match["namespace"]), int(match["pid"]), int(match["started"]))


def regions(prefix: str, directory: Path = SHARED_MEMORY) -> list[Path]:
    """The regions whose names begin with `prefix`."""
    return sorted(path for path in directory.iterdir() if path.name.startswith(prefix))


def remove_regions(prefix: str, directory: Path = SHARED_MEMORY) -> list[Path]:
    """Remove the regions whose names begin with `prefix`; returns those that were removed."""
    removed = []
    for path in regions(prefix, directory):
        # Gone meanwhile, or another user's with a forged name: neither is ours to worry about.
        with contextlib.suppress(FileNotFoundError, PermissionError):
            path.unlink()
            removed.append(path)
    return removed


def clear_leftovers(directory: Path = SHARED_MEMORY) -> list[Path]:
    """Kill the processes and remove the regions of servers whose supervisor is no more; returns those regions."""
    procfs.kill_all(process.pid for process in procfs.processes() if _is_leftover(process.command_line))
    removed = []
    for path in sorted(directory.iterdir()):
        if _is_leftover(path.name):
            removed += remove_regions(path.name, directory)
    return removed


def require_room(directory: Path = SHARED_MEMORY, required_bytes: int = REQUIRED_BYTES) -> None:
    """Raise SharedMemoryError if `directory` is absent or has less than `required_bytes` free."""
    if not directory.is_dir():
        raise SharedMemoryError(f"{directory} does not exist: mount a tmpfs of at least {_mib(required_bytes)} there")
    free = free_bytes(directory)
    if free < required_bytes:
        raise SharedMemoryError(
            f"{directory} has {_mib(free)} free and the server needs {_mib(required_bytes)}: "
            "in Docker give --shm-size=1g, elsewhere mount -o remount,size=1g /dev/shm"
        )


def free_bytes(directory: Path = SHARED_MEMORY) -> int:
    """Bytes free in `directory` for this user."""
    status = os.statvfs(directory)
    return status.f_bavail * status.f_frsize


def _is_leftover(text: str) -> bool:
    owner = find_owner(text)
    return owner is not None and owner.is_gone()


def _mib(size: int) -> str:
    return f"{size >> 20} MiB"
