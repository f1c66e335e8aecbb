import os
import shutil
import socket
import stat
from pathlib import Path

import pytest

from segserve_server.doctor import gather
from segserve_server.doctor.facts import GpuMemory, Server, ServerKind
from segserve_server.embedded import runtime
from segserve_server.embedded.ports import LOOPBACK, free_ports

SHIPPED = Path(__file__).parents[3] / "model_repository"


def test_this_machine_s_facts_are_gathered() -> None:
    host = gather.look_at_host()

    assert host.python.startswith("3.")
    assert host.glibc is not None
    assert host.libpython is not None
    assert host.cores == len(os.sched_getaffinity(0))
    assert host.shared_memory_free is not None


def test_the_embedded_server_is_found_and_served_in_the_cpu_variant() -> None:
    facts = gather.gather_facts(SHIPPED, variant=None, ports=free_ports())

    assert facts.server == Server(ServerKind.EMBEDDED, (2, 51))
    assert facts.repository.variant == "cpu"
    assert facts.taken == frozenset()


def test_the_container_s_server_comes_first_and_serves_config_pbtxt(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    version = tmp_path / "TRITON_VERSION"
    version.write_text("2.72.0\n")
    monkeypatch.setattr(gather, "find_server", lambda found=gather.find_server: found(version))

    facts = gather.gather_facts(SHIPPED, variant=None, ports=free_ports())

    assert facts.server == Server(ServerKind.CONTAINER, (2, 72))
    assert facts.repository.variant == ""
    assert facts.repository.needs_gpu


def test_without_any_server_the_reason_is_kept(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(runtime, "WHEEL", "a-wheel-that-is-not-installed")

    server, problem = gather.find_server(tmp_path / "absent")

    assert server is None
    assert "segserve-server[embedded]" in problem


def test_a_taken_port_is_noticed_by_name() -> None:
    ports = free_ports()
    with socket.socket() as listening:
        listening.bind((LOOPBACK, ports.metrics))
        listening.listen()

        assert gather.gather_facts(SHIPPED, variant="cpu", ports=ports).taken == {"metrics"}


def test_what_the_shipped_repository_needs_depends_on_the_variant() -> None:
    on_cpu = gather.look_at_repository(SHIPPED, "cpu")
    on_gpu = gather.look_at_repository(SHIPPED, "")

    assert (on_cpu.needs_gpu, on_cpu.needs_openvino) == (False, True)
    assert (on_gpu.needs_gpu, on_gpu.needs_openvino) == (True, False)


def test_weights_and_engines_of_version_folders_are_listed(tmp_path: Path) -> None:
    repository = shutil.copytree(SHIPPED, tmp_path / "models")
    (repository / "fundus_hemorrhage_segment" / "1" / "model.plan").touch()

    files = gather.look_at_repository(repository, "cpu").files

    assert set(files) >= {"fundus_hemorrhage_segment/1/model.onnx", "fundus_hemorrhage_segment/1/model.plan"}


def test_a_repository_that_is_not_there_is_a_problem_and_no_error(tmp_path: Path) -> None:
    repository = gather.look_at_repository(tmp_path / "absent", "cpu")

    assert ["there is no model repository" in str(problem) for problem in repository.problems] == [True]
    assert not repository.needs_gpu


@pytest.mark.parametrize(
    ("answer", "memory"),
    [
        ("24570, 23028\\n81920, 100\\n", GpuMemory(24570, 23028)),
        ("No devices were found\\n", None),
        ("[N/A], [N/A]\\n", None),
    ],
)
def test_the_driver_s_answer_on_memory_is_read(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, answer: str, memory: GpuMemory | None
) -> None:
    program = tmp_path / "nvidia-smi"
    program.write_text(f"#!/bin/sh\nprintf '{answer}'\n")
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)

    assert gather.look_at_gpu_memory() == memory


def test_without_a_driver_there_is_no_gpu_memory(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))

    assert gather.look_at_gpu_memory() is None
