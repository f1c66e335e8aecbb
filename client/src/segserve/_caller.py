"""One call: attempts, retries, failover, hedging and the time budget over all of them."""

import asyncio
import logging
import random
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from segserve._config import HedgePolicy, RetryPolicy
from segserve._counters import CounterBook
from segserve._endpoint import Endpoint
from segserve._latency import LatencyWindow
from segserve._pool import EndpointPool
from segserve.errors import (
    DeadlineExceededError,
    ModelNotReadyError,
    OverloadedError,
    SegserveError,
    ServerConnectionError,
    ServerFaultError,
)

T = TypeVar("T")

_REMNANT = 0.1  # of the budget

_log = logging.getLogger("segserve")


class Budget:
    """The time that a call may take, from now on."""

    def __init__(self, timeout_s: float) -> None:
        self._start = time.monotonic()
        self._end = self._start + timeout_s

    @property
    def elapsed_s(self) -> float:
        """Seconds since the call began."""
        return time.monotonic() - self._start

    @property
    def remaining_s(self) -> float:
        """Seconds left; negative when it is over."""
        return self._end - time.monotonic()


@dataclass
class Call(Generic[T]):
    """What one call does, and how far it has got.

    ``send`` makes one attempt: it takes the endpoint and the seconds that are left.
    """

    send: Callable[[Endpoint, float], Awaitable[T]]
    budget: Budget
    hedged: bool = False
    attempts: int = 0
    server_faults: int = 0
    tried: set[Endpoint] = field(default_factory=set)

    def is_remnant(self, left_s: float) -> bool:
        """Whether so little of the budget was left that an attempt's end by it says nothing about the server."""
        return left_s < _REMNANT * (self.budget.elapsed_s + max(0.0, self.budget.remaining_s))


class Caller:
    """Runs calls against a pool of endpoints by the rules of the policies."""

    def __init__(
        self, pool: EndpointPool, *, retry: RetryPolicy, hedge: HedgePolicy | None, counters: CounterBook
    ) -> None:
        self._pool = pool
        self._retry = retry
        self._hedge = hedge
        self._counters = counters
        self._latencies = LatencyWindow()

    async def run(self, call: Call[T]) -> T:
        """Make attempts until one succeeds. Raises the last attempt's error, with its context filled in."""
        self._counters.add("calls")
        earlier: SegserveError | None = None
        try:
            while True:
                left_s = call.budget.remaining_s
                try:
                    return await self._attempt(call)
                except SegserveError as error:
                    if isinstance(error, DeadlineExceededError) and earlier is not None and call.is_remnant(left_s):
                        raise earlier from None
                    pause = self._pause_before_retry(call, error)
                    if pause is None:
                        raise
                    _log.info("attempt %d failed, again in %.2f s: %s", call.attempts, pause, error)
                    earlier = error
                await asyncio.sleep(pause)
                self._counters.add("retries")
                if self._pool.has_other(call.tried):
                    self._counters.add("failovers")
        except SegserveError as error:
            self._counters.add("failed_calls")
            error.attempts = call.attempts
            error.elapsed_s = call.budget.elapsed_s
            raise

    def _pause_before_retry(self, call: Call[T], error: SegserveError) -> float | None:
        """Seconds to wait before the next attempt; None when there is to be none."""
        retry = self._retry
        if isinstance(error, ServerFaultError):
            call.server_faults += 1
            again = error.is_own_fault_of_triton and call.server_faults <= retry.max_server_faults
        else:
            again = error.retryable
        if not again or (retry.max_attempts is not None and call.attempts >= retry.max_attempts):
            return None
        remaining = call.budget.remaining_s
        if remaining <= retry.initial_backoff_s:
            return None
        if self._pool.has_other(call.tried):
            return 0.0  # another endpoint knows nothing of this one's trouble
        if isinstance(error, ServerFaultError):  # a model process that died takes seconds to come back
            ceiling = retry.max_backoff_s * 2.0 ** min(call.server_faults - 1, 20)
        else:
            ceiling = min(retry.max_backoff_s, retry.initial_backoff_s * 2.0 ** min(call.attempts - 1, 20))
        pause = ceiling * random.uniform(0.5, 1.0)  # jitter, so that clients do not come back in step
        if isinstance(error, OverloadedError) and error.is_stated:
            pause = max(pause, error.retry_after_s)
            return pause if pause < remaining else None
        return min(pause, remaining / 2)

    async def _attempt(self, call: Call[T]) -> T:
        """Send once, and once more if hedging is on and the answer is late; the first success counts."""
        first = self._start(call)
        running = {first}
        hedge: asyncio.Task[T] | None = None
        delay = self._hedge_delay(call)
        try:
            if delay is not None and delay < call.budget.remaining_s:
                done, running = await asyncio.wait(running, timeout=delay)
                if not done:
                    self._counters.add("hedges")
                    hedge = self._start(call)
                    running.add(hedge)
                running |= done
            error: SegserveError | None = None
            while running:
                done, running = await asyncio.wait(
                    running, timeout=max(0.0, call.budget.remaining_s), return_when=asyncio.FIRST_COMPLETED
                )
                if not done:
                    for endpoint in call.tried:
                        self._pool.mark_down(endpoint)  # it may hang; the next call had better ask another one
                    late = DeadlineExceededError("the time budget ended before the answer came")
                    late.endpoint = ", ".join(str(endpoint) for endpoint in call.tried)
                    raise late
                for task in done:
                    try:
                        value = task.result()
                    except SegserveError as failure:
                        error = failure
                    else:
                        if task is hedge:
                            self._counters.add("hedges_won")
                        return value
            assert error is not None  # every task has ended, none of them well
            raise error
        finally:
            started = [task for task in (first, hedge) if task is not None]
            for task in started:
                task.cancel()
            await asyncio.gather(*started, return_exceptions=True)

    def _start(self, call: Call[T]) -> "asyncio.Task[T]":
        endpoint = self._pool.pick(avoid=call.tried)
        if len(call.tried) == len(self._pool.endpoints):
            call.tried.clear()  # a new round
        call.tried.add(endpoint)
        call.attempts += 1
        self._counters.add("attempts")
        return asyncio.create_task(self._send(call, endpoint))

    async def _send(self, call: Call[T], endpoint: Endpoint) -> T:
        budget = Budget(call.budget.remaining_s)
        if budget.remaining_s <= 0:
            raise DeadlineExceededError("the time budget ended before the request was sent")
        try:
            value = await call.send(endpoint, budget.remaining_s)
        except SegserveError as error:
            error.endpoint = str(endpoint)
            ours = isinstance(error, ServerFaultError) and not error.is_own_fault_of_triton
            if isinstance(error, (ServerConnectionError, ServerFaultError, ModelNotReadyError)) and not ours:
                self._pool.mark_down(endpoint)
            raise
        self._pool.mark_up(endpoint)
        if call.hedged:
            self._latencies.add(budget.elapsed_s)
        return value

    def _hedge_delay(self, call: Call[T]) -> float | None:
        policy = self._hedge
        if policy is None or not call.hedged or len(self._latencies) < policy.min_samples:
            return None
        return max(policy.min_delay_s, self._latencies.percentile(policy.percentile))
