"""The client for programs with an event loop."""

import asyncio
import os
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterable, Iterable, Mapping
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, TypeVar

from segserve._base import BaseClient
from segserve._batch import BatchOptions, Item, Run
from segserve._core import Options
from segserve._images import iterate
from segserve._journal import Journal
from segserve._model import Health, ModelInfo
from segserve._probability import ProbabilityMap
from segserve._progress import ProgressCallback
from segserve._result import SegmentationResult
from segserve._source import Named

if TYPE_CHECKING:
    from segserve._source import ImageSource

T = TypeVar("T")


class AsyncClient(BaseClient):
    """Talks to segmentation models on one or more Triton servers, from coroutines.

    The verbs, parameters and errors are those of ``Client``. Cancelling a task cancels its request, over gRPC on the
    server too. Use it as an asynchronous context manager, or await ``close``. It may outlive the event loop it was
    first used in, and be used from several.
    """

    async def __aenter__(self) -> "AsyncClient":
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def segment(
        self,
        image: "ImageSource | Named",
        *,
        model: str | None = None,
        version: str | None = None,
        timeout_s: float | None = None,
        headers: Mapping[str, str] | None = None,
        token: str | None = None,
        request_id: str | None = None,
    ) -> SegmentationResult:
        """Find lesions in one image; parameters, result and errors as in ``Client.segment``."""
        return await self._portal.run_async(
            self._core.segment(image, Options(model, version, timeout_s, headers, token, request_id))
        )

    def segment_many(
        self,
        images: "AsyncIterable[ImageSource | Named] | Iterable[ImageSource | Named] | str | os.PathLike[str]",
        *,
        concurrency: int = 8,
        ordered: bool = True,
        stop_on_error: bool = False,
        journal: Path | str | Journal | None = None,
        progress: bool | ProgressCallback = False,
        model: str | None = None,
        version: str | None = None,
        timeout_s: float | None = None,
        headers: Mapping[str, str] | None = None,
        token: str | None = None,
    ) -> AsyncGenerator[Item, None]:
        """Segment many images; parameters, items and errors as in ``Client.segment_many``.

        The images may come from an asynchronous iterable, of which no more are taken than can be worked on. Whoever
        leaves the loop early closes the generator (``contextlib.aclosing``), which cancels what is in flight.
        """
        options = Options(model, version, timeout_s, headers, token)
        how = BatchOptions(concurrency, ordered, stop_on_error, journal, progress, options)
        if not isinstance(images, AsyncIterable):
            images = iterate(images)
        return self._drive(images, Run(self._core, images, how))

    async def probability(
        self,
        image: "ImageSource | Named",
        *,
        model: str | None = None,
        version: str | None = None,
        timeout_s: float | None = None,
        headers: Mapping[str, str] | None = None,
        token: str | None = None,
        request_id: str | None = None,
    ) -> ProbabilityMap:
        """The probability map of one image, on the model grid; parameters as in ``segment``."""
        return await self._portal.run_async(
            self._core.probability(image, Options(model, version, timeout_s, headers, token, request_id))
        )

    async def model(self, name: str | None = None, *, timeout_s: float | None = None) -> ModelInfo:
        """Classes, colours, grid, contract version and versions of a model, the client's own unless named."""
        return await self._portal.run_async(self._core.model(Options(model=name, timeout_s=timeout_s)))

    async def models(self, *, timeout_s: float | None = None) -> tuple[ModelInfo, ...]:
        """All loaded models that keep the contract, sorted by name."""
        return await self._portal.run_async(self._core.models(Options(timeout_s=timeout_s)))

    async def health(self, *, timeout_s: float | None = None) -> Health:
        """Whether the servers, and the client's model on them, are ready. Never raises for a server that is down."""
        return await self._portal.run_async(self._core.health(Options(timeout_s=timeout_s)))

    async def wait_ready(self, *, timeout_s: float | None = None) -> Health:
        """Wait until a server is ready. Raises ServerConnectionError when ``timeout_s`` ends first."""
        return await self._portal.run_async(self._core.wait_ready(Options(timeout_s=timeout_s)))

    async def close(self) -> None:
        """Close the connections; calls still running end with ClientClosedError. May be awaited twice."""
        await asyncio.to_thread(self._portal.close)

    async def _drive(
        self, images: "AsyncIterable[ImageSource | Named] | Iterable[ImageSource | Named]", run: Run
    ) -> AsyncGenerator[Item, None]:
        window: deque[asyncio.Future[Item]] = deque()
        try:
            async for source in _each(images):
                ticket = run.admit(source)
                if ticket is None:
                    continue
                if len(window) == run.window:
                    item = await self._next_item(window, run)
                    yield item
                    run.settle(item)
                window.append(asyncio.wrap_future(self._portal.start(run.work(ticket))))
            while window:
                item = await self._next_item(window, run)
                yield item
                run.settle(item)
        finally:
            for future in window:
                future.cancel()
            run.close()

    async def _next_item(self, window: "deque[asyncio.Future[Item]]", run: Run) -> Item:
        if not run.ordered:
            done, _ = await asyncio.wait(window, return_when=asyncio.FIRST_COMPLETED)
            window.remove(first := done.pop())
            window.appendleft(first)
        item = run.check(await self._portal.wait_async(window[0]))
        window.popleft()
        return item


async def _each(images: "AsyncIterable[T] | Iterable[T]") -> AsyncGenerator[T, None]:
    if isinstance(images, AsyncIterable):
        async for image in images:
            yield image
    else:
        for image in images:
            yield image
