"""Ctrl-C, SIGTERM and a terminal that hangs up end a server in order; a second one ends it at once."""

import contextlib
import os
import signal
import threading
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Protocol

_NO_SIGNAL = b"\0"


class Stoppable(Protocol):
    """What can be asked to stop; an EmbeddedServer."""

    def request_stop(self) -> None:
        """Stop when requests in flight have finished."""

    def hurry(self) -> None:
        """Stop at once."""


@contextlib.contextmanager
def stopping_on_signals(server: Stoppable, *, say: Callable[[str], None]) -> Iterator[None]:
    """Inside, the first signal asks ``server`` to stop, the second hurries it. Only for a program's main thread.

    A thread asks the server, told through `signal.set_wakeup_fd` in the instant the signal comes. Python's own handlers
    would run in the main thread: not at all if the signal came just before that thread began to wait, and in the midst
    of one another, where the second waits for ever for a lock that the first holds.
    """
    told, tell = os.pipe()
    os.set_blocking(tell, False)

    def ask() -> None:
        if os.read(told, 1) == _NO_SIGNAL:
            return
        say("segserve-server: stopping; once more to end at once")
        server.request_stop()
        if os.read(told, 1) != _NO_SIGNAL:
            server.hurry()

    # nohup has a program ignore the hang-up of its terminal, and that stays so.
    ignored = signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    numbers = (signal.SIGINT, signal.SIGTERM, *(() if ignored else (signal.SIGHUP,)))
    asker = threading.Thread(target=ask, name="segserve-stop-signals", daemon=True)
    asker.start()
    told_before = signal.set_wakeup_fd(tell, warn_on_full_buffer=False)
    before = {number: signal.signal(number, _receive) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        signal.set_wakeup_fd(told_before)
        os.write(tell, _NO_SIGNAL)
        asker.join()
        os.close(told)
        os.close(tell)


def _receive(number: int, frame: FrameType | None) -> None:
    """Do nothing: a signal that has a handler is written to the wakeup descriptor."""
