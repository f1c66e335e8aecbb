"""A bounded load on the proxy's loopback address: every answer is kept, and every failure."""

import contextlib
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from tests.deploy.callers import REPEATING, grpc_client, grpc_infer, infer
from tests.deploy.proxy import Callers, Proxy

#: No thread sends more than this, whatever a test does.
_MOST_REQUESTS = 4000


@dataclass
class Load:
    """What came of the requests so far."""

    answers: list[str] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)

    def versions(self, since: int = 0) -> Counter[str]:
        """How many answers each version gave, from the answer with that number on."""
        return Counter(answer.rpartition(" ")[2] for answer in self.answers[since:])

    def wait_for_more(self, count: int) -> None:
        """Return when that many further requests have been answered."""
        target, deadline = len(self.answers) + count, time.monotonic() + 30
        while len(self.answers) < target:
            assert time.monotonic() < deadline, f"only {len(self.answers)} answers; failures: {self.failures[:5]}"
            time.sleep(0.02)


@contextlib.contextmanager
def running_load(proxy: Proxy, callers: Callers) -> Iterator[Load]:
    """Two gRPC callers with long connections, one of slow requests, and one HTTP caller that connects each time.

    The gRPC callers repeat a request once that no server has taken (``REPEATING``); the HTTP caller repeats nothing.
    """
    load, stop = Load(), threading.Event()

    def over_grpc(text: bytes) -> None:
        with grpc_client(proxy, callers, options=REPEATING) as client:
            _repeat(lambda: grpc_infer(client, text, client_timeout=20), load, stop)

    def over_http() -> None:
        _repeat(lambda: infer(proxy, callers).text, load, stop)

    threads = [
        threading.Thread(target=over_grpc, args=(b"hello",)),
        threading.Thread(target=over_grpc, args=(bytes(1 << 20),)),
        threading.Thread(target=over_grpc, args=(b"sleep 0.2",)),
        threading.Thread(target=over_http),
    ]
    for thread in threads:
        thread.start()
    try:
        yield load
    finally:
        stop.set()
        for thread in threads:
            thread.join()


def _repeat(send: Callable[[], str], load: Load, stop: threading.Event) -> None:
    for _ in range(_MOST_REQUESTS):
        if stop.wait(0.02):
            return
        try:
            load.answers.append(send())
        except Exception as error:  # whatever it is, it is a failed request
            load.failures.append(f"{type(error).__name__}: {error}")
