"""Turns facts into findings."""

from collections.abc import Iterator

from segserve_server.doctor.facts import Facts, ServerKind
from segserve_server.doctor.findings import Finding, Status
from segserve_server.doctor.judging_gpu import judge_gpu
from segserve_server.doctor.releases import (
    BATCHER_FIXED,
    SECURITY_FLOOR,
    find_release,
    parse_version,
    show_version,
)
from segserve_server.embedded.runtime import libpython_name
from segserve_server.embedded.shared_memory import REQUIRED_BYTES

_PYTHONS = ((3, 11), (3, 12))
_WHEEL_GLIBC = (2, 35)
_BF16 = ("amx_bf16", "avx512_bf16")
_MIB = 1 << 20


def judge(facts: Facts) -> list[Finding]:
    """Every line of the page, in its order."""
    return [
        *_judge_python(facts),
        *_judge_server(facts),
        *_judge_cpu(facts),
        *judge_gpu(facts),
        *_judge_shared_memory(facts),
        *_judge_ports(facts),
        *_judge_repository(facts),
    ]


def _is_container(facts: Facts) -> bool:
    return facts.server is not None and facts.server.kind is ServerKind.CONTAINER


def _judge_python(facts: Facts) -> Iterator[Finding]:
    version = parse_version(facts.host.python)[:2]
    if version in _PYTHONS:
        yield Finding("Python", Status.GREEN, facts.host.python)
    else:
        yield Finding("Python", Status.RED, facts.host.python, "use Python 3.11 or 3.12")
    if _is_container(facts):
        return  # it brings its own model process and library
    if facts.host.libpython is not None:
        yield Finding("libpython", Status.GREEN, str(facts.host.libpython))
    else:
        yield Finding(
            "libpython",
            Status.RED,
            f"the shared library {libpython_name()}, which model processes link, is missing",
            f"apt install libpython{show_version(version)} (Debian, Ubuntu), "
            "or use an interpreter built with --enable-shared",
        )


def _judge_server(facts: Facts) -> Iterator[Finding]:
    if facts.server is None:
        yield Finding("tritonserver", Status.RED, "none", facts.server_problem)
        return
    version = facts.server.version
    release = find_release(version)
    name = f"{show_version(version)} from {facts.server.kind.value}" + (f" ({release.tag})" if release else "")
    floor = f"{SECURITY_FLOOR.tag}, {show_version(SECURITY_FLOOR.triton)}"
    if facts.server.kind is ServerKind.EMBEDDED:
        yield Finding(
            "tritonserver",
            Status.NOTE,
            f"{name}, below the security floor ({floor}): for development on the loopback address, not for production",
        )
        if facts.repository.needs_gpu:
            yield Finding(
                "tritonserver",
                Status.RED,
                "the wheel has no TensorRT backend",
                "serve in NVIDIA's container, or the CPU with --variant=cpu",
            )
        yield from _judge_wheel(facts)
    elif version < SECURITY_FLOOR.triton:
        yield Finding(
            "tritonserver",
            Status.RED,
            f"{name}, below the security floor ({floor})",
            f"use the container {SECURITY_FLOOR.tag}-py3 or a later one",
        )
    elif version < BATCHER_FIXED.triton:
        yield Finding(
            "tritonserver",
            Status.NOTE,
            f"{name}; {BATCHER_FIXED.tag} mends a use of freed memory in the dynamic batcher: update when you can",
        )
    else:
        yield Finding("tritonserver", Status.GREEN, name)


def _judge_wheel(facts: Facts) -> Iterator[Finding]:
    if facts.host.architecture != "x86_64":
        yield Finding(
            "architecture",
            Status.RED,
            f"{facts.host.architecture}; the wheel's tritonserver is for x86_64",
            "use NVIDIA's container, or an x86_64 machine",
        )
    glibc = facts.host.glibc
    if glibc is None or parse_version(glibc) < _WHEEL_GLIBC:
        yield Finding(
            "glibc",
            Status.RED,
            f"{glibc or 'none'}; the wheel's tritonserver needs {show_version(_WHEEL_GLIBC)}",
            "use Debian 12, Ubuntu 22.04 or a later one",
        )


def _judge_cpu(facts: Facts) -> Iterator[Finding]:
    sets = facts.machine.instruction_sets
    fast = [name for name in _BF16 if name in sets]
    how = f"the CPU engine runs in bf16 ({fast[0]})" if fast else "the CPU engine runs in f32, several times slower"
    yield Finding(
        "CPU",
        Status.GREEN if fast or facts.repository.needs_gpu else Status.NOTE,
        f"{facts.machine.cpu}, {facts.host.cores} cores, {' '.join(sets) or 'no vector instructions known'}; {how}",
    )
    if not facts.repository.needs_openvino:
        return
    if facts.machine.openvino is None:
        yield Finding(
            "OpenVINO",
            Status.RED,
            f"not installed, and the variant {facts.repository.variant} runs on it",
            "pip install 'segserve-server[embedded]'",
        )
    else:
        yield Finding("OpenVINO", Status.GREEN, facts.machine.openvino)


def _judge_shared_memory(facts: Facts) -> Iterator[Finding]:
    free = facts.host.shared_memory_free
    if free is None:
        yield Finding("/dev/shm", Status.RED, "does not exist", "mount a tmpfs of 1 GiB there")
    elif free < REQUIRED_BYTES:
        yield Finding(
            "/dev/shm",
            Status.RED,
            f"{free // _MIB} MiB free, {REQUIRED_BYTES // _MIB} MiB needed to hand images from step to step",
            "in Docker give --shm-size=1g, in Kubernetes a memory emptyDir, elsewhere "
            "mount -o remount,size=1g /dev/shm",
        )
    else:
        yield Finding("/dev/shm", Status.GREEN, f"{free // _MIB} MiB free")


def _judge_ports(facts: Facts) -> Iterator[Finding]:
    for name, port in facts.ports.named():
        if name in facts.taken:
            yield Finding(
                "ports",
                Status.RED,
                f"{port} is taken by another program",
                f"stop it, or choose another with --{name}-port",
            )
    if not facts.taken:
        yield Finding("ports", Status.GREEN, ", ".join(f"{port} ({name})" for name, port in facts.ports.named()))


def _judge_repository(facts: Facts) -> Iterator[Finding]:
    repository = facts.repository
    variant = f"variant {repository.variant}" if repository.variant else "config.pbtxt"
    for problem in repository.problems:
        yield Finding(
            "repository",
            Status.RED,
            f"{problem.where}: {problem.message}",
            f"put {repository.path} right, then: segserve-server check --repository {repository.path}",
        )
    if not repository.problems:
        yield Finding("repository", Status.GREEN, f"{repository.path} ({variant}): no problem found")
        yield Finding("weights", Status.GREEN, ", ".join(repository.files) or "none needed")
