"""One image sent to a server, and what came of it, whatever the server."""

import time
from collections.abc import Callable

from segserve.errors import OverloadedError, SegserveError

from loadtest.samples import Outcome, Sample

Send = Callable[[bytes], object]
"""Sends an encoded photograph and returns when the parsed answer is there; raises when there is none."""


class RejectedError(Exception):
    """The server said that it is full."""


def measure(send: Send, photograph: bytes, *, protocol: str) -> Sample:
    """Send a photograph and say how that went. Never raises for what a server may do."""
    started_s = time.time()
    began = time.perf_counter()
    outcome, error = Outcome.OK, ""
    try:
        send(photograph)
    except (OverloadedError, RejectedError) as problem:
        outcome, error = Outcome.REJECTED, str(problem)
    except (SegserveError, OSError) as problem:
        outcome, error = Outcome.FAILED, f"{type(problem).__name__}: {problem}"
    return Sample(protocol, started_s, (time.perf_counter() - began) * 1000, outcome, error)
