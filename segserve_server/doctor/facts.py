"""What the doctor looks at, gathered first and judged afterwards: so tests can judge machines that nobody has."""

from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from segserve_server.embedded.flags import Version
from segserve_server.embedded.ports import Ports
from segserve_server.engines.machine import Machine
from segserve_server.repository.problem import Problem


class ServerKind(Enum):
    """Where tritonserver comes from."""

    CONTAINER = "NVIDIA's container"
    EMBEDDED = "the nvidia-pytriton wheel"


@dataclass(frozen=True, slots=True)
class Server:
    """The tritonserver that would serve: where it comes from, and its version (major, minor)."""

    kind: ServerKind
    version: Version


@dataclass(frozen=True, slots=True)
class GpuMemory:
    """Memory of the first GPU, in MiB."""

    total_mib: int
    free_mib: int


@dataclass(frozen=True, slots=True)
class Host:
    """The machine apart from what engines depend on.

    Attributes:
        architecture: as uname says, "x86_64".
        glibc: version of the C library, None where there is another.
        python: version of this interpreter, "3.11.7".
        libpython: its shared library, None if there is none.
        cores: processor cores that this process may use.
        gpu_memory: None without a GPU.
        shared_memory_free: bytes free in /dev/shm, None if it does not exist.
    """

    architecture: str
    glibc: str | None
    python: str
    libpython: Path | None
    cores: int
    gpu_memory: GpuMemory | None
    shared_memory_free: int | None


@dataclass(frozen=True, slots=True)
class Repository:
    """The model repository as the variant would be served.

    Attributes:
        path: where it is.
        variant: the name in `configs/<variant>.pbtxt`; empty for `config.pbtxt`.
        problems: what `segserve-server check` says.
        files: weights and engines in version folders, relative to the repository.
        needs_gpu: whether a model of it runs on a GPU only.
        needs_openvino: whether a model of it is run by OpenVINO.
    """

    path: Path
    variant: str
    problems: tuple[Problem, ...]
    files: tuple[str, ...]
    needs_gpu: bool
    needs_openvino: bool


@dataclass(frozen=True, slots=True)
class Facts:
    """Everything that is judged.

    Attributes:
        host: the machine.
        machine: what engines depend on.
        server: the tritonserver that would serve, None if there is none.
        server_problem: why there is none, with what to do; empty if there is one.
        repository: what would be served.
        ports: where.
        taken: names of those ports that another program listens on.
    """

    host: Host
    machine: Machine
    server: Server | None
    server_problem: str
    repository: Repository
    ports: Ports
    taken: frozenset[str]
