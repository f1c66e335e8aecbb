"""Facts of machines that nobody has at hand."""

from dataclasses import replace
from pathlib import Path
from typing import Any

from segserve_server.doctor.facts import Facts, GpuMemory, Host, Repository, Server, ServerKind
from segserve_server.doctor.findings import Finding
from segserve_server.doctor.judging import judge
from segserve_server.embedded.ports import Ports
from segserve_server.engines.machine import Gpu, Machine

LAPTOP = Facts(
    host=Host(
        architecture="x86_64",
        glibc="2.36",
        python="3.11.7",
        libpython=Path("/usr/lib/libpython3.11.so.1.0"),
        cores=2,
        gpu_memory=None,
        shared_memory_free=1 << 30,
    ),
    machine=Machine(cpu="a CPU", instruction_sets=("avx2", "avx512_bf16"), openvino="2026.4.1"),
    server=Server(ServerKind.EMBEDDED, (2, 51)),
    server_problem="",
    repository=Repository(
        path=Path("models"),
        variant="cpu",
        problems=(),
        files=("segment/1/model.onnx",),
        needs_gpu=False,
        needs_openvino=True,
    ),
    ports=Ports(),
    taken=frozenset(),
)

GPU_SERVER = replace(
    LAPTOP,
    host=replace(LAPTOP.host, python="3.12.3", libpython=None, gpu_memory=GpuMemory(24_000, 23_000)),
    machine=replace(
        LAPTOP.machine,
        gpu=Gpu(name="NVIDIA L4", compute_capability="8.9", driver="615.20.01"),
        cuda="13.4",
        tensorrt="11.2.0.57",
    ),
    server=Server(ServerKind.CONTAINER, (2, 72)),
    repository=replace(LAPTOP.repository, variant="", needs_gpu=True, needs_openvino=False),
)


def with_host(facts: Facts, **changes: Any) -> Facts:
    """`facts` with another host."""
    return replace(facts, host=replace(facts.host, **changes))


def with_machine(facts: Facts, **changes: Any) -> Facts:
    """`facts` with another machine."""
    return replace(facts, machine=replace(facts.machine, **changes))


def with_gpu(facts: Facts, **changes: Any) -> Facts:
    """`facts` with another GPU."""
    assert facts.machine.gpu is not None
    return with_machine(facts, gpu=replace(facts.machine.gpu, **changes))


def with_repository(facts: Facts, **changes: Any) -> Facts:
    """`facts` with another repository."""
    return replace(facts, repository=replace(facts.repository, **changes))


def finding(facts: Facts, topic: str) -> Finding:
    """The one finding on `topic`."""
    (found,) = [each for each in judge(facts) if each.topic == topic]
    return found
