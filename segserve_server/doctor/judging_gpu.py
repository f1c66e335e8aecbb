"""Findings on GPU, driver, CUDA and TensorRT, against what the containers need.

Where nothing that is to be served runs on a GPU, a shortcoming is a note.
"""

from collections.abc import Iterator

from segserve_server.doctor.facts import Facts, ServerKind
from segserve_server.doctor.findings import Finding, Status
from segserve_server.doctor.releases import (
    NEXT_TENSORRT,
    OLDEST_CAPABILITY,
    OLDEST_TENSORRT,
    SECURITY_FLOOR,
    Release,
    find_release,
    newest_for_driver,
    parse_version,
    show_version,
)
from segserve_server.engines.machine import Gpu

#: MiB. An allowance for one engine and its workspace, not a measurement.
_FREE_MIB = 2048


def judge_gpu(facts: Facts) -> Iterator[Finding]:
    """The lines on the GPU and its software."""
    gpu = facts.machine.gpu
    if gpu is None:
        yield _lacking(
            facts,
            "GPU",
            "the driver shows none",
            "install the NVIDIA driver, give the container --gpus=all, or serve the CPU with --variant=cpu",
        )
        return
    yield from _judge_card(facts, gpu)
    yield from _judge_driver(facts, gpu)
    yield from _judge_cuda(facts)
    yield from _judge_tensorrt(facts)


def _lacking(facts: Facts, topic: str, text: str, advice: str) -> Finding:
    """Red if something that is to be served needs a GPU, else a note."""
    if facts.repository.needs_gpu:
        return Finding(topic, Status.RED, text, advice)
    return Finding(topic, Status.NOTE, f"{text}; nothing that is to be served needs it")


def _container(facts: Facts) -> Release | None:
    """The container that this runs in, if it is one of the table."""
    if facts.server is None or facts.server.kind is not ServerKind.CONTAINER:
        return None
    return find_release(facts.server.version)


def _judge_card(facts: Facts, gpu: Gpu) -> Iterator[Finding]:
    name = f"{gpu.name}, compute capability {gpu.compute_capability}"
    if parse_version(gpu.compute_capability) < OLDEST_CAPABILITY:
        needed = show_version(OLDEST_CAPABILITY)
        yield _lacking(facts, "GPU", f"{name}; {needed} is needed", "use a Turing GPU (T4, RTX 20) or a later one")
    else:
        yield Finding("GPU", Status.GREEN, name)
    memory = facts.host.gpu_memory
    if memory is None:
        yield Finding("GPU memory", Status.NOTE, "the driver does not say")
    elif memory.free_mib < _FREE_MIB:
        yield _lacking(
            facts,
            "GPU memory",
            f"{memory.free_mib} of {memory.total_mib} MiB free",
            f"end other programs on this GPU until {_FREE_MIB} MiB are free (nvidia-smi lists them)",
        )
    else:
        yield Finding("GPU memory", Status.GREEN, f"{memory.free_mib} of {memory.total_mib} MiB free")


def _judge_driver(facts: Facts, gpu: Gpu) -> Iterator[Finding]:
    branch = (parse_version(gpu.driver) or (0,))[0]
    container = _container(facts)
    runs = newest_for_driver(branch)
    instead = f", or use the container {runs.tag}-py3" if runs else ""
    if container is not None and container.driver is not None and branch < container.driver:
        yield _lacking(
            facts,
            "driver",
            f"{gpu.driver}; the container {container.tag} needs {container.driver}",
            f"update the driver to {container.driver} or later{instead}",
        )
    elif runs is None:
        yield _lacking(
            facts,
            "driver",
            f"{gpu.driver} runs no container that is at the security floor ({SECURITY_FLOOR.tag})",
            f"update the driver to {SECURITY_FLOOR.driver} or later",
        )
    else:
        yield Finding("driver", Status.GREEN, f"{gpu.driver}; runs the container {runs.tag}")


def _judge_cuda(facts: Facts) -> Iterator[Finding]:
    cuda = facts.machine.cuda
    needed = (_container(facts) or SECURITY_FLOOR).cuda
    if cuda is None:
        yield _lacking(
            facts, "CUDA", "the driver's library libcuda.so.1 does not load", "give the container --gpus=all"
        )
    elif needed is not None and parse_version(cuda)[:2] < needed:
        yield _lacking(
            facts,
            "CUDA",
            f"the driver supports {cuda}; {show_version(needed)} is needed",
            "update the driver, as said there",
        )
    else:
        yield Finding("CUDA", Status.GREEN, f"the driver supports {cuda}")


def _judge_tensorrt(facts: Facts) -> Iterator[Finding]:
    container = _container(facts)
    if facts.machine.tensorrt is None:
        if container is None:
            yield Finding("TensorRT", Status.NOTE, "not installed here; plans are built and run in NVIDIA's container")
        else:
            yield _lacking(
                facts, "TensorRT", "not found in this container", f"use the full image {container.tag}-py3, not -min"
            )
        return
    version = parse_version(facts.machine.tensorrt)
    if not OLDEST_TENSORRT <= version < NEXT_TENSORRT:
        yield _lacking(
            facts,
            "TensorRT",
            f"{facts.machine.tensorrt}; engines are built with {show_version(OLDEST_TENSORRT)} to 11.x",
            f"use the container {SECURITY_FLOOR.tag}-py3 or a later one",
        )
    elif container is not None and container.tensorrt is not None and version[:2] != container.tensorrt:
        yield _lacking(
            facts,
            "TensorRT",
            f"{facts.machine.tensorrt}, but the container {container.tag} brings {show_version(container.tensorrt)}: "
            "a plan runs on the version it was built with only",
            "uninstall the Python package tensorrt, so that the container's own library is found",
        )
    else:
        yield Finding("TensorRT", Status.GREEN, facts.machine.tensorrt)
