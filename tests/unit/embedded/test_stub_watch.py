from pathlib import Path

from segserve_server.embedded.procfs import Process
from segserve_server.embedded.stub_watch import Stub, StubWatch


def stub(pid: int, model: str, *, started: int = 1) -> Process:
    arguments = ("/backends/python/triton_python_backend_stub", f"/models/{model}/1/model.py", "region")
    return Process(pid, 1, "triton_python_b", "S", started, arguments)


def zombie(pid: int, *, started: int = 1) -> Process:
    return Process(pid, 1, "triton_python_b", "Z", started, ())


def test_a_zombie_is_reported_once_with_the_model_it_served() -> None:
    watch = StubWatch()
    watch.look([stub(7, "preprocess"), stub(8, "segment")])

    after = [zombie(7), stub(8, "segment")]

    assert watch.died(after) == [Stub(7, Path("/models/preprocess/1/model.py"))]
    assert watch.died(after) == []


def test_the_model_is_the_folder_above_the_version() -> None:
    assert Stub(7, Path("/models/preprocess/1/model.py")).model == "preprocess"


def test_a_process_that_vanished_is_reported_too() -> None:
    watch = StubWatch()
    watch.look([stub(7, "preprocess")])

    assert [died and died.model for died in watch.died([])] == ["preprocess"]


def test_a_zombie_that_was_never_seen_alive_is_reported_without_a_model() -> None:
    assert StubWatch().died([zombie(7)]) == [None]


def test_processes_that_a_reload_replaces_may_end_unreported() -> None:
    watch = StubWatch()
    watch.look([stub(7, "preprocess"), stub(8, "preprocess"), stub(9, "segment")])

    watch.settle("preprocess")

    assert [died and died.model for died in watch.died([zombie(7), zombie(9)])] == ["segment"]


def test_a_process_id_used_again_is_another_process() -> None:
    watch = StubWatch()
    watch.look([stub(7, "preprocess")])
    watch.settle("preprocess")
    watch.look([stub(7, "preprocess", started=2)])

    assert [died and died.model for died in watch.died([zombie(7, started=2)])] == ["preprocess"]


def test_only_those_that_should_be_alive_are_worth_a_look() -> None:
    watch = StubWatch()
    watch.look([stub(7, "preprocess"), stub(8, "preprocess"), stub(9, "segment")])
    assert watch.pids == [7, 8, 9]

    watch.died([zombie(7), stub(8, "preprocess"), stub(9, "segment")])
    assert watch.pids == [8, 9]

    watch.settle("preprocess")
    assert watch.pids == [9]
