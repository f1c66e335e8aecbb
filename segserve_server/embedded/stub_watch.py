"""Notices model processes that died.

tritonserver 2.51 does not: it leaves the dead stub a zombie, stays ready, and answers every request to that model with
an error. So the supervisor looks at tritonserver's children in /proc.
"""

from dataclasses import dataclass, field
from pathlib import Path

from segserve_server.embedded.procfs import Process


@dataclass(frozen=True)
class Stub:
    """A model process that was seen alive.

    Attributes:
        pid: its process id.
        model_file: the `model.py` that it runs, in `<repository>/<model>/<version>/`.
    """

    pid: int
    model_file: Path

    @property
    def model(self) -> str:
        """The name of the model that it serves."""
        return self.model_file.parent.parent.name


#: A process id may be used again; together with the start time it is one process only.
_Identity = tuple[int, int]


@dataclass
class StubWatch:
    """The model processes of one run of tritonserver.

    A zombie has no command line, so which model it served is known only of those seen alive before.
    """

    _alive: dict[_Identity, Stub] = field(default_factory=dict)
    _settled: set[_Identity] = field(default_factory=set)

    @property
    def pids(self) -> list[int]:
        """The processes that were alive when last looked at, and still should be."""
        return [pid for pid, started in self._alive if (pid, started) not in self._settled]

    def look(self, stubs: list[Process]) -> None:
        """Take note of the living among `stubs`, tritonserver's present children."""
        for process in stubs:
            if not process.is_dead and len(process.arguments) > 1:
                self._alive.setdefault(_identity(process), Stub(process.pid, Path(process.arguments[1])))

    def settle(self, model: str) -> None:
        """Stop minding the processes of `model` seen so far: others are about to take their place."""
        self._settled |= {identity for identity, stub in self._alive.items() if stub.model == model}

    def died(self, stubs: list[Process]) -> list[Stub | None]:
        """The model processes that ended since the last call, given tritonserver's present children `stubs`.

        None stands for one that was never seen alive.
        """
        living = {_identity(process) for process in stubs if not process.is_dead}
        dead = {_identity(process) for process in stubs if process.is_dead} | (self._alive.keys() - living)
        unsettled = dead - self._settled
        self._settled |= unsettled
        return [self._alive.get(identity) for identity in sorted(unsettled)]


def _identity(process: Process) -> _Identity:
    return (process.pid, process.started)
