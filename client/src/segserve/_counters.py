"""What a client has done so far."""

import threading
from dataclasses import dataclass, fields


@dataclass(frozen=True)
class Counters:
    """A snapshot. Calls are what the program asked for, attempts what went over the wire.

    Parameters
    ----------
    calls, failed_calls
        All that ended, and those that ended in an error.
    attempts
        Requests sent, first ones, retries and hedges together.
    retries
        Attempts after a failed one.
    failovers
        Retries that went to another endpoint.
    hedges, hedges_won
        Second requests sent because an answer was late, and those whose answer was taken.
    """

    calls: int = 0
    failed_calls: int = 0
    attempts: int = 0
    retries: int = 0
    failovers: int = 0
    hedges: int = 0
    hedges_won: int = 0


class CounterBook:
    """The counters while they count; safe for threads."""

    def __init__(self) -> None:
        self._values = {field.name: 0 for field in fields(Counters)}
        self._lock = threading.Lock()

    def add(self, name: str) -> None:
        """Count one."""
        with self._lock:
            self._values[name] += 1

    def snapshot(self) -> Counters:
        """The counts now."""
        with self._lock:
            return Counters(**self._values)
