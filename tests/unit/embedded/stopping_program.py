"""Run as a program by test_stop_signals.py: sends itself the named signals, and prints what its server was asked.

``python -m tests.unit.embedded.stopping_program [--deaf] [SIGNAL ...]``: the first signal is sent to the process, each
further one while the server deals with the one before. With ``--deaf`` the main thread receives none, as when it begins
to wait in the instant a signal comes: Python's handlers, which only that thread runs, do not run then.
"""

import os
import signal
import sys
import threading

from segserve_server.embedded.stop_signals import stopping_on_signals


class Server:
    """Prints what it is asked. As in a threading.Event, a lock is held while it takes note."""

    def __init__(self, then: list[signal.Signals]) -> None:
        self._then = then
        self._lock = threading.Lock()
        self.done = threading.Event()

    def request_stop(self) -> None:
        self._note("stop")

    def hurry(self) -> None:
        self._note("hurry")

    def _note(self, asked: str) -> None:
        with self._lock:
            print(asked, flush=True)
            if self._then:
                os.kill(os.getpid(), self._then.pop(0))
                return
        self.done.set()


def main() -> None:
    deaf = "--deaf" in sys.argv
    numbers = [signal.Signals[name] for name in sys.argv[1:] if not name.startswith("--")]
    signal.signal(signal.SIGHUP, signal.SIG_DFL)  # as in a terminal, also where the tests run under nohup
    before = signal.getsignal(signal.SIGTERM)
    server = Server(numbers[1:])
    with stopping_on_signals(server, say=lambda text: print(text, flush=True)):
        if deaf:
            signal.pthread_sigmask(signal.SIG_BLOCK, numbers)
        if numbers:
            os.kill(os.getpid(), numbers[0])
            server.done.wait()
    assert signal.getsignal(signal.SIGTERM) is before
    assert threading.active_count() == 1


if __name__ == "__main__":
    main()
