"""Preprocessing waits for the engine, and never for one that lost count."""

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from segserve_server.embedded.shared_memory import PREFIX_VARIABLE, SHARED_MEMORY
from segserve_server.steps import pacing
from segserve_server.steps.pacing import Pace, Unpaced, pace_of

PATIENCE_S = 20


def enter(pace: Pace, times: int = 1) -> None:
    for _ in range(times):
        with pace.place():
            pass


def in_background(work: Callable[[], None]) -> threading.Thread:
    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    return thread


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where to count; an engine counts as idle only after a minute."""
    monkeypatch.setattr(pacing, "_IDLE_S", 60.0)
    return tmp_path / "pace"


def with_a_live_engine(path: Path, ahead: int) -> Pace:
    pace = Pace(path, ahead)
    enter(pace)
    with pace.engine():
        pass
    return pace


def test_the_next_image_waits_until_the_engine_begins_one(path: Path) -> None:
    pace = with_a_live_engine(path, ahead=2)
    enter(pace, 2)
    third = in_background(lambda: enter(pace))
    third.join(0.1)
    assert third.is_alive()
    with Pace(path, 2).engine():  # another process has the file open itself
        third.join(PATIENCE_S)
        assert not third.is_alive()


def test_places_are_given_in_the_order_of_arrival(path: Path) -> None:
    pace = with_a_live_engine(path, ahead=1)
    enter(pace)
    order: list[int] = []

    def wait(number: int) -> None:
        enter(Pace(path, 1))  # each process has the files open itself
        order.append(number)

    waiting = []
    for number in range(5):
        waiting.append(in_background(partial(wait, number)))
        time.sleep(0.1)  # long enough to be waiting before the next one comes
    for thread in waiting:
        with pace.engine():
            thread.join(PATIENCE_S)
    assert order == [0, 1, 2, 3, 4]


def test_a_refused_image_frees_its_place(path: Path) -> None:
    pace = with_a_live_engine(path, ahead=1)
    for _ in range(3):
        with pytest.raises(ValueError, match="no image"), pace.place():
            raise ValueError("no image")
    enter(pace)


def test_places_that_nobody_frees_are_free_once_the_engine_idles(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pace = with_a_live_engine(path, ahead=1)
    enter(pace)
    monkeypatch.setattr(pacing, "_IDLE_S", 0.05)
    enter(pace, 5)


def test_an_engine_that_died_with_an_image_stops_nobody_for_long(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pace = with_a_live_engine(path, ahead=1)
    program = (
        "import os, sys, pathlib\n"
        "from segserve_server.steps.pacing import Pace\n"
        "with Pace(pathlib.Path(sys.argv[1]), 1).engine():\n"
        "    os._exit(0)\n"
    )
    subprocess.run([sys.executable, "-c", program, str(path)], check=True, timeout=PATIENCE_S)
    enter(pace)
    waiting = in_background(lambda: enter(pace))
    waiting.join(0.1)
    assert waiting.is_alive()
    monkeypatch.setattr(pacing, "_STUCK_S", 0.05)
    waiting.join(PATIENCE_S)
    assert not waiting.is_alive()


def test_warming_up_waits_for_nobody(path: Path) -> None:
    started = time.monotonic()
    enter(Pace(path, 1))
    with Pace(path, 1).engine():
        enter(Pace(path, 1))
    assert time.monotonic() - started < PATIENCE_S


def test_processes_share_the_count(path: Path) -> None:
    program = (
        "import sys, pathlib\n"
        "from segserve_server.steps.pacing import Pace\n"
        "pace = Pace(pathlib.Path(sys.argv[1]), 100_000)\n"
        "for _ in range(200):\n"
        "    with pace.place(): pass\n"
    )
    with_a_live_engine(path, ahead=1)
    processes = [subprocess.Popen([sys.executable, "-c", program, str(path)]) for _ in range(3)]
    assert [process.wait(PATIENCE_S) for process in processes] == [0, 0, 0]
    entered, begun, busy, _ = pacing._LAYOUT.unpack(path.read_bytes())
    assert (entered, begun, busy) == (601, 1, False)


def test_nobody_waits_without_the_prefix(monkeypatch: pytest.MonkeyPatch) -> None:
    config = json.dumps({"parameters": {pacing.PARAMETER: {"string_value": "2"}}})
    arguments = {"model_name": "eye_preprocess", "model_config": config}
    monkeypatch.delenv(PREFIX_VARIABLE, raising=False)
    assert isinstance(pace_of(arguments), Unpaced)
    prefix = f"segserve-test-{os.getpid()}-"
    monkeypatch.setenv(PREFIX_VARIABLE, prefix)
    assert isinstance(pace_of(arguments | {"model_config": "{}"}), Unpaced)
    assert isinstance(pace_of(arguments), Pace)
    shared = SHARED_MEMORY / f"{prefix}pace-eye"
    assert shared.stat().st_size == pacing._LAYOUT.size
    shared.unlink()
    Path(f"{shared}-turn").unlink()
