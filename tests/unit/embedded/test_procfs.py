import os
import subprocess
import sys
import time

from segserve_server.embedded import procfs

SLEEP = [sys.executable, "-S", "-c", "import time; time.sleep(60)"]


def test_a_process_is_read_with_its_parent_and_arguments() -> None:
    with subprocess.Popen(SLEEP) as child:
        try:
            process = procfs.read_process(child.pid)
        finally:
            child.kill()

    assert process is not None
    assert process.parent == os.getpid()
    assert not process.is_dead


def test_a_child_that_nobody_waited_for_is_dead_but_still_listed() -> None:
    with subprocess.Popen(SLEEP) as child:
        child.kill()
        while procfs.start_time(child.pid) is not None:
            time.sleep(0.01)

        zombies = [process for process in procfs.children(os.getpid()) if process.pid == child.pid]

        assert [process.is_dead for process in zombies] == [True]
        assert zombies[0].arguments == ()


def test_a_process_that_does_not_exist_reads_as_none() -> None:
    with subprocess.Popen(SLEEP) as child:
        child.kill()

    assert procfs.read_process(child.pid) is None
    assert procfs.start_time(child.pid) is None


def test_killing_returns_only_when_the_processes_have_ended() -> None:
    with subprocess.Popen(SLEEP) as first, subprocess.Popen(SLEEP) as second:
        procfs.kill_all([first.pid, second.pid])

        assert procfs.start_time(first.pid) is None
        assert procfs.start_time(second.pid) is None


def test_killing_a_process_that_has_ended_is_no_error() -> None:
    with subprocess.Popen(SLEEP) as child:
        child.kill()

    procfs.kill_all([child.pid])
