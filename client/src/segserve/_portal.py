"""An event loop in a thread of its own, in which all of a client's work is done.

Programs without an event loop need it anyway; for those with one it means that connections do not depend on theirs,
which may end early or be one of several.
"""

import asyncio
import atexit
import concurrent.futures
import threading
import weakref
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from typing import Any, TypeVar

from segserve._fork import call_in_child
from segserve.errors import ClientClosedError

T = TypeVar("T")

_open_portals: "weakref.WeakSet[Portal]" = weakref.WeakSet()


class Portal:
    """Starts its thread on first use, and again in a forked child."""

    def __init__(self, on_stop: Callable[[], Coroutine[Any, Any, None]]) -> None:
        self._on_stop = on_stop
        self._closed = False
        self._reset()
        call_in_child(self._reset)

    def _reset(self) -> None:
        # In a forked child neither the thread nor the lock's holder exists.
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None

    def start(self, coroutine: Coroutine[Any, Any, T]) -> "Future[T]":
        """Run a coroutine in the loop; cancelling the future cancels it. Raises ClientClosedError."""
        try:
            return asyncio.run_coroutine_threadsafe(coroutine, self._running_loop())
        except BaseException:
            coroutine.close()
            raise

    def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine and wait for it; an interrupt of the waiting thread cancels it."""
        return wait_for(self.start(coroutine))

    async def run_async(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine and await it from another event loop; cancelling the await cancels it."""
        return await self.wait_async(asyncio.wrap_future(self.start(coroutine)))

    async def wait_async(self, future: "asyncio.Future[T]") -> T:
        """Await a wrapped future of ``start``. Raises ClientClosedError if the client was closed."""
        try:
            return await future
        except asyncio.CancelledError:
            if self._closed:
                raise ClientClosedError("the client was closed during the call") from None
            raise

    def close(self) -> None:
        """Cancel what still runs, run ``on_stop`` and end the thread. May be called twice."""
        with self._lock:
            self._closed = True
            loop, thread, self._loop, self._thread = self._loop, self._thread, None, None
        if loop is not None and thread is not None:
            _stop(loop, thread)
            thread.join()

    def _running_loop(self) -> asyncio.AbstractEventLoop:
        with self._lock:
            if self._closed:
                raise ClientClosedError("the client is closed")
            if self._loop is None:
                self._loop = asyncio.new_event_loop()
                arguments = (self._loop, self._on_stop)
                self._thread = threading.Thread(target=_serve, args=arguments, name="segserve", daemon=True)
                self._thread.start()
                # For a client that is dropped without being closed. A collector may run in any thread and under any
                # lock, so it must not wait.
                weakref.finalize(self, _stop, self._loop, self._thread).atexit = False
                _open_portals.add(self)
            return self._loop


def wait_for(future: "Future[T]") -> T:
    """Wait for a future of ``start``; an interrupt cancels it. Raises ClientClosedError if the client was closed."""
    try:
        return future.result()
    except concurrent.futures.CancelledError:
        raise ClientClosedError("the client was closed during the call") from None
    except BaseException:
        future.cancel()
        raise


def _serve(loop: asyncio.AbstractEventLoop, on_stop: Callable[[], Coroutine[Any, Any, None]]) -> None:
    asyncio.set_event_loop(loop)
    try:
        loop.run_forever()
        leftovers = asyncio.all_tasks(loop)
        for task in leftovers:
            task.cancel()
        loop.run_until_complete(asyncio.gather(*leftovers, return_exceptions=True))
        loop.run_until_complete(on_stop())
        loop.run_until_complete(loop.shutdown_default_executor())
    finally:
        loop.close()


def _stop(loop: asyncio.AbstractEventLoop, thread: threading.Thread) -> None:
    # After a fork, thread and loop are the parent's, and is_alive() says no.
    if thread.is_alive() and not loop.is_closed():
        loop.call_soon_threadsafe(loop.stop)


@atexit.register
def _close_all() -> None:
    """Programs may end without closing their clients."""
    for portal in list(_open_portals):
        portal.close()
