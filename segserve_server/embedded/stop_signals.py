"""Ctrl-C, SIGTERM and a terminal that hangs up end a server in order; a second one ends it at once."""

import contextlib
import signal
import threading
from collections.abc import Callable, Iterator
from queue import SimpleQueue
from types import FrameType
from typing import Protocol


class Stoppable(Protocol):
    """What can be asked to stop; an EmbeddedServer."""

    def request_stop(self) -> None:
        """Stop when requests in flight have finished."""

    def hurry(self) -> None:
        """Stop at once."""


@contextlib.contextmanager
def stopping_on_signals(server: Stoppable, *, say: Callable[[str], None]) -> Iterator[None]:
    """Inside, the first signal asks ``server`` to stop, the second hurries it. Only for a program's main thread.

    The server is asked by a thread: a second signal interrupts the handler of the first, and would wait for ever for a
    lock that the interrupted one holds. A SimpleQueue's ``put`` alone may interrupt itself.
    """
    received: SimpleQueue[int | None] = SimpleQueue()

    def receive(number: int, frame: FrameType | None) -> None:
        received.put(number)

    def ask() -> None:
        if received.get() is None:
            return
        say("segserve-server: stopping; once more to end at once")
        server.request_stop()
        if received.get() is not None:
            server.hurry()

    # nohup has a program ignore the hang-up of its terminal, and that stays so.
    ignored = signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    numbers = (signal.SIGINT, signal.SIGTERM, *(() if ignored else (signal.SIGHUP,)))
    asker = threading.Thread(target=ask, name="segserve-stop-signals", daemon=True)
    asker.start()
    before = {number: signal.signal(number, receive) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        received.put(None)
        asker.join()
