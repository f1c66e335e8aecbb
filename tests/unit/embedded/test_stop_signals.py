"""Signals that end a server, also one that arrives while another is being dealt with."""

import os
import signal
import threading
import time

import pytest

from segserve_server.embedded.stop_signals import stopping_on_signals

PATIENCE_S = 10


class Server:
    """Records what it is asked. As in a threading.Event, a lock is held while it takes note."""

    def __init__(self, *, interrupted_by: signal.Signals | None = None) -> None:
        self._lock = threading.Lock()
        self._interrupted_by = interrupted_by
        self.asked: list[str] = []
        self.hurried = threading.Event()
        self.stopping = threading.Event()

    def request_stop(self) -> None:
        with self._lock:
            if self._interrupted_by is not None:
                os.kill(os.getpid(), self._interrupted_by)
                time.sleep(0.2)  # long enough for the main thread to run its handler
            self.asked.append("stop")
        self.stopping.set()

    def hurry(self) -> None:
        taken = self._lock.acquire(timeout=PATIENCE_S / 2)
        self.asked.append("hurry" if taken else "hurry, but the lock was held for ever")
        self.hurried.set()


def _ignore(text: str) -> None:
    """What the program prints is of no interest."""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_first_signal_asks_it_to_stop(number: signal.Signals) -> None:
    server, said = Server(), list[str]()

    with stopping_on_signals(server, say=said.append):
        os.kill(os.getpid(), number)
        assert server.stopping.wait(PATIENCE_S)

    assert server.asked == ["stop"]
    assert "once more to end at once" in said[0]


def test_a_second_signal_in_the_midst_of_the_first_hurries_it() -> None:
    server = Server(interrupted_by=signal.SIGTERM)

    with stopping_on_signals(server, say=_ignore):
        os.kill(os.getpid(), signal.SIGINT)
        assert server.hurried.wait(PATIENCE_S)

    assert server.asked == ["stop", "hurry"]


def test_without_a_signal_nothing_is_asked_and_the_handlers_are_as_before() -> None:
    server, before = Server(), signal.getsignal(signal.SIGTERM)

    with stopping_on_signals(server, say=_ignore):
        assert signal.getsignal(signal.SIGTERM) is not before

    assert server.asked == []
    assert signal.getsignal(signal.SIGTERM) is before
    assert not [thread for thread in threading.enumerate() if thread.name == "segserve-stop-signals"]
