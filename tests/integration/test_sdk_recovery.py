"""Runs that outlive their server. SEGSERVE_ENDURANCE sets the number of images (the shipped default is short)."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from segserve import Client, Named, OverloadedError, RetryPolicy
from segserve.testing import example_image

from segserve_server.embedded import EmbeddedServer

ROOT = Path(__file__).parents[2]
COUNT = int(os.environ.get("SEGSERVE_ENDURANCE", "60"))
CONCURRENCY = 16
MEMORY_SLACK = 64 * 1024 * 1024


@pytest.fixture(scope="module")
def mortal() -> Iterator[EmbeddedServer]:
    """A server that tests may kill; it is started again by its own supervisor."""
    with EmbeddedServer(ROOT / "model_repository", variant="cpu", log=print) as running:
        yield running


def test_a_run_completes_although_the_server_is_killed_twice(mortal: EmbeddedServer, tmp_path: Path) -> None:
    photographs = sorted((ROOT / "examples").glob("*.jpg"))
    with Client(mortal.grpc_url, model="fundus_hemorrhage", timeout_s=300) as client:
        expected = {path.name: client.segment(path).mask_pngs for path in photographs}
        images = (
            Named(photographs[i % len(photographs)].name, photographs[i % len(photographs)]) for i in range(COUNT)
        )
        indices, memory = [], []
        for item in client.segment_many(images, concurrency=CONCURRENCY, journal=tmp_path / "journal"):
            assert item.unwrap().mask_pngs == expected[item.name]
            indices.append(item.index)
            memory.append(_resident_bytes())
            if item.index in (COUNT // 3, 2 * COUNT // 3):
                os.kill(mortal.pid, signal.SIGKILL)
        assert client.counters.retries > 0
    assert indices == list(range(COUNT))
    assert len((tmp_path / "journal").read_text().splitlines()) == 1 + COUNT
    early, late = max(memory[: COUNT // 2]), max(memory[COUNT // 2 :])
    assert late - early < MEMORY_SLACK


def test_calls_wait_for_a_server_that_is_being_restarted(mortal: EmbeddedServer) -> None:
    with Client(mortal.http_url, model="fundus_hemorrhage", timeout_s=300) as client:
        photograph = ROOT / "examples" / "no_hemorrhage.jpg"
        before = client.segment(photograph)
        os.kill(mortal.pid, signal.SIGKILL)
        assert client.segment(photograph).mask_pngs == before.mask_pngs


def test_a_killed_model_process_costs_retries_and_no_result(mortal: EmbeddedServer) -> None:
    photograph = ROOT / "examples" / "no_hemorrhage.jpg"
    with Client(mortal.grpc_url, model="fundus_hemorrhage", timeout_s=300) as client:
        before = client.segment(photograph)
        killer = threading.Thread(target=_kill_stubs, args=(mortal,))
        killer.start()
        for item in client.segment_many([photograph] * 12, concurrency=4):
            assert item.unwrap().mask_pngs == before.mask_pngs
        killer.join()


def test_a_grpc_client_may_be_used_on_both_sides_of_a_fork(mortal: EmbeddedServer) -> None:
    photograph = ROOT / "examples" / "no_hemorrhage.jpg"
    program = Path(__file__).with_name("sdk_fork_program.py")
    done = subprocess.run(
        [sys.executable, str(program), mortal.grpc_url, str(photograph)],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    lines = [line.split() for line in done.stdout.splitlines()]
    assert [who for who, _ in lines] == ["parent", "child", "parent"]
    assert len({count for _, count in lines}) == 1


def test_a_full_server_refuses_and_takes_the_request_later(mortal: EmbeddedServer) -> None:
    """More requests at once than the entrance queue holds; the loops are left early, which cancels the others.

    Triton works off what is in a step's queue by then, so this is the last test of its server.
    """
    images = [example_image()] * 160
    with Client(mortal.grpc_url, model="fundus_hemorrhage", retry=RetryPolicy(max_attempts=1), timeout_s=300) as client:
        for item in client.segment_many(images, concurrency=160, ordered=False):
            if item.error is not None:
                assert isinstance(item.error, OverloadedError)
                assert item.error.retry_after_s > 0
                break
        else:
            pytest.fail("the queue was never full")
    with Client(mortal.grpc_url, model="fundus_hemorrhage", timeout_s=300) as client:
        items = client.segment_many(images, concurrency=160, ordered=False)
        for answered, item in enumerate(items, start=1):
            assert item.ok
            if answered >= 10 and client.counters.retries > 0:
                break
        assert client.counters.retries > 0


def _kill_stubs(server: EmbeddedServer) -> None:
    time.sleep(0.3)
    for pid in server.stub_pids("fundus_hemorrhage_preprocess"):
        os.kill(pid, signal.SIGKILL)


def _resident_bytes() -> int:
    """Of this process (Linux: proc(5), statm, in pages)."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
