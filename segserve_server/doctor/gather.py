"""Gathers the facts of this machine. What is not there is None, never an error."""

import os
import platform
import shutil
import subprocess
from pathlib import Path

from tritonclient.grpc import model_config_pb2

from segserve_server.doctor.facts import Facts, GpuMemory, Host, Repository, Server, ServerKind
from segserve_server.doctor.releases import parse_version
from segserve_server.embedded import shared_memory
from segserve_server.embedded.errors import RuntimeMissingError
from segserve_server.embedded.ports import Ports, port_is_free
from segserve_server.embedded.runtime import find_libpython, find_wheel
from segserve_server.engines.machine import this_machine
from segserve_server.repository.check import check_repository
from segserve_server.repository.models import read_models
from segserve_server.repository.problem import RepositoryError

#: The containers say here which tritonserver they bring.
CONTAINER_VERSION_FILE = Path("/opt/tritonserver/TRITON_VERSION")

#: The variant that the embedded server serves unless told otherwise.
EMBEDDED_VARIANT = "cpu"

_ENGINE_SUFFIXES = frozenset({".onnx", ".plan", ".blob"})
_SMI_TIMEOUT_S = 20


def gather_facts(repository: Path, *, variant: str | None, ports: Ports) -> Facts:
    """The facts of this machine, for serving `variant` of `repository` on `ports`.

    Without a variant it is that of the server found: `config.pbtxt` in the container, "cpu" for the embedded one.
    """
    server, server_problem = find_server()
    if variant is None:
        variant = "" if server is not None and server.kind is ServerKind.CONTAINER else EMBEDDED_VARIANT
    return Facts(
        host=look_at_host(),
        machine=this_machine(),
        server=server,
        server_problem=server_problem,
        repository=look_at_repository(repository, variant),
        ports=ports,
        taken=frozenset(name for name, port in ports.named() if not port_is_free(port)),
    )


def find_server(version_file: Path = CONTAINER_VERSION_FILE) -> tuple[Server | None, str]:
    """The tritonserver that would serve, or None and why there is none."""
    if version_file.is_file():
        version = parse_version(version_file.read_text())
        return Server(ServerKind.CONTAINER, (version[0], version[1])), ""
    try:
        return Server(ServerKind.EMBEDDED, find_wheel().version), ""
    except RuntimeMissingError as error:
        return None, str(error)


def look_at_host() -> Host:
    """The machine apart from what engines depend on."""
    try:
        libpython: Path | None = find_libpython()
    except RuntimeMissingError:
        libpython = None
    library, version = platform.libc_ver()
    directory = shared_memory.SHARED_MEMORY
    return Host(
        architecture=platform.machine(),
        glibc=version if library == "glibc" else None,
        python=platform.python_version(),
        libpython=libpython,
        cores=len(os.sched_getaffinity(0)),
        gpu_memory=look_at_gpu_memory(),
        shared_memory_free=shared_memory.free_bytes(directory) if directory.is_dir() else None,
    )


def look_at_gpu_memory() -> GpuMemory | None:
    """Memory of the first GPU that the driver lists, or None."""
    program = shutil.which("nvidia-smi")
    if program is None:
        return None
    command = [program, "--query-gpu=memory.total,memory.free", "--format=csv,noheader,nounits"]
    try:
        answer = subprocess.run(command, capture_output=True, text=True, timeout=_SMI_TIMEOUT_S, check=True).stdout
        total, free = (int(field) for field in answer.partition("\n")[0].split(","))
    except (OSError, subprocess.SubprocessError, ValueError):
        return None
    return GpuMemory(total_mib=total, free_mib=free)


def look_at_repository(repository: Path, variant: str) -> Repository:
    """The model repository as the variant would be served."""
    try:
        configs = [model.config for model in read_models(repository, variant).values()]
    except RepositoryError:
        configs = []  # check says so
    on_gpu = model_config_pb2.ModelInstanceGroup.KIND_GPU
    return Repository(
        path=repository,
        variant=variant,
        problems=tuple(check_repository(repository, variant)),
        files=tuple(
            str(path.relative_to(repository))
            for path in sorted(repository.glob("*/*/*"))
            if path.suffix in _ENGINE_SUFFIXES and path.parent.name.isdecimal()
        ),
        needs_gpu=any(
            config.platform == "tensorrt_plan" or any(group.kind == on_gpu for group in config.instance_group)
            for config in configs
        ),
        needs_openvino=any(config.backend == "python" and "precision" in config.parameters for config in configs),
    )
