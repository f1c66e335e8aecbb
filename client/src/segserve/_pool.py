"""Which endpoint is next: round robin over those that answered last time."""

import threading
import time
from collections.abc import Callable, Collection, Sequence

from segserve._endpoint import Endpoint

_FIRST_REST_S, _LONGEST_REST_S = 0.5, 30.0


class EndpointPool:
    """Round robin with memory of failures; safe for threads.

    An endpoint that failed rests for half a second, twice as long after each further failure, at most 30 seconds. When
    all rest, the one that has rested longest is tried.
    """

    def __init__(self, endpoints: Sequence[Endpoint], *, clock: Callable[[], float] = time.monotonic) -> None:
        self.endpoints = tuple(endpoints)
        self._clock = clock
        self._next = 0
        self._failures = dict.fromkeys(self.endpoints, 0)
        self._rests_until = dict.fromkeys(self.endpoints, 0.0)
        self._lock = threading.Lock()

    def pick(self, *, avoid: Collection[Endpoint] = ()) -> Endpoint:
        """The next endpoint, one outside ``avoid`` where there is one."""
        with self._lock:
            now = self._clock()
            start = self._next % len(self.endpoints)
            turn = self.endpoints[start:] + self.endpoints[:start]
            fresh = [endpoint for endpoint in turn if endpoint not in avoid] or list(turn)
            awake = [endpoint for endpoint in fresh if self._rests_until[endpoint] <= now]
            chosen = awake[0] if awake else min(fresh, key=lambda endpoint: self._rests_until[endpoint])
            self._next = self.endpoints.index(chosen) + 1
            return chosen

    def has_other(self, tried: Collection[Endpoint]) -> bool:
        """Whether some endpoint has not been tried and is not resting."""
        with self._lock:
            now = self._clock()
            return any(e not in tried and self._rests_until[e] <= now for e in self.endpoints)

    def mark_up(self, endpoint: Endpoint) -> None:
        """An answer came."""
        with self._lock:
            self._failures[endpoint] = 0
            self._rests_until[endpoint] = 0.0

    def mark_down(self, endpoint: Endpoint) -> None:
        """No answer came, or a fault."""
        with self._lock:
            rest = min(_LONGEST_REST_S, _FIRST_REST_S * 2.0 ** min(self._failures[endpoint], 10))
            self._failures[endpoint] += 1
            self._rests_until[endpoint] = self._clock() + rest
