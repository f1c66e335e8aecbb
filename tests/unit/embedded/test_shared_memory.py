import os
import subprocess
import sys
from pathlib import Path

import pytest

from segserve_server.embedded import procfs, shared_memory
from segserve_server.embedded.errors import SharedMemoryError


def make(directory: Path, prefix: str) -> Path:
    path = directory / f"{prefix}6486d4e4-9573-4ea6-a5f4-0f2d09b29b34"
    path.write_bytes(b"tensors")
    return path


def prefix_of(namespace: int, pid: int, started: int) -> str:
    return f"segserve-{namespace}-{pid}-{started}-0123abcd-"


@pytest.fixture
def ended_pid() -> int:
    process = subprocess.Popen([sys.executable, "-S", "-c", ""])
    process.wait()
    return process.pid


def test_regions_of_an_owner_that_ended_are_removed(tmp_path: Path, ended_pid: int) -> None:
    region = make(tmp_path, prefix_of(procfs.pid_namespace(), ended_pid, 1))

    assert shared_memory.clear_leftovers(tmp_path) == [region]
    assert not region.exists()


def test_regions_of_an_owner_whose_process_id_is_used_again_are_removed(tmp_path: Path) -> None:
    region = make(tmp_path, prefix_of(procfs.pid_namespace(), os.getpid(), 1))

    assert shared_memory.clear_leftovers(tmp_path) == [region]


def test_regions_of_a_living_owner_stay(tmp_path: Path) -> None:
    region = make(tmp_path, shared_memory.new_prefix())

    assert shared_memory.clear_leftovers(tmp_path) == []
    assert region.exists()


def test_regions_of_another_container_stay(tmp_path: Path, ended_pid: int) -> None:
    region = make(tmp_path, prefix_of(procfs.pid_namespace() + 1, ended_pid, 1))

    assert shared_memory.clear_leftovers(tmp_path) == []
    assert region.exists()


@pytest.mark.parametrize("name", ["triton_python_backend_shm_region_", "segserve-notes-", "sem.segserve"])
def test_files_of_other_programs_stay(tmp_path: Path, name: str) -> None:
    other = make(tmp_path, name)

    shared_memory.clear_leftovers(tmp_path)

    assert other.exists()


def test_a_server_removes_its_own_regions_and_not_those_of_a_second_one(tmp_path: Path) -> None:
    first, second = shared_memory.new_prefix(), shared_memory.new_prefix()
    mine, other = make(tmp_path, first), make(tmp_path, second)

    assert shared_memory.remove_regions(first, tmp_path) == [mine]
    assert other.exists()


def test_too_little_room_is_refused_with_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(SharedMemoryError, match=r"has \d+ MiB free and the server needs \d+ MiB: .*--shm-size"):
        shared_memory.require_room(tmp_path, required_bytes=1 << 62)


def test_a_missing_dev_shm_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SharedMemoryError, match="does not exist: mount a tmpfs"):
        shared_memory.require_room(tmp_path / "absent")
