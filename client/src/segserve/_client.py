"""The client for programs without an event loop."""

import os
from collections import deque
from collections.abc import Generator, Iterable, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, wait
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, TypeVar

from segserve._base import BaseClient
from segserve._batch import BatchOptions, Item, Run
from segserve._core import Options
from segserve._images import iterate
from segserve._journal import Journal
from segserve._model import Health, ModelInfo
from segserve._portal import wait_for
from segserve._probability import ProbabilityMap
from segserve._progress import ProgressCallback
from segserve._result import SegmentationResult
from segserve._source import Named

if TYPE_CHECKING:
    from segserve._source import ImageSource

T = TypeVar("T")


class Client(BaseClient):
    """Talks to segmentation models on one or more Triton servers.

    Make one per process and keep it: it is safe for any number of threads, and a forked child opens connections of
    its own. Use it as a context manager, or call ``close``.
    """

    def __enter__(self) -> "Client":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def segment(
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
        """Find lesions in one image.

        Parameters
        ----------
        image
            A path; the bytes of a file; a file open in binary; an array, uint8 [h, w], [h, w, 3] RGB or [h, w, 4] RGBA
            or uint16 [h, w]; a Pillow image; or one of these as ``Named``.
        model, version, timeout_s, headers, token
            For this call instead of the client's.
        request_id
            To find the call in the server's log; random unless given. Never put a patient's identity in it.

        Returns
        -------
        SegmentationResult
            The report, and the masks in the grid of the photograph as displayed.

        Raises
        ------
        SegserveError
            One of the tree in ``segserve.errors``.
        """
        return self._portal.run(
            self._core.segment(image, Options(model, version, timeout_s, headers, token, request_id))
        )

    def segment_many(
        self,
        images: "Iterable[ImageSource | Named] | str | os.PathLike[str]",
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
    ) -> Generator[Item, None, None]:
        """Segment many images, in bounded memory whatever their number.

        Parameters
        ----------
        images
            An iterable of what ``segment`` takes, or a folder, of which all images are taken, subfolders included.
        concurrency
            Requests in flight at a time, 1 to 256.
        ordered
            Items come in the order of the images; otherwise as they are completed.
        stop_on_error
            Raise the first error instead of handing it out as an item.
        journal
            A file that records what has been dealt with; a later run with the same journal leaves that out. An image is
            recorded when the next item is asked for.
        progress
            A bar on standard error, or a function that is called with each ``Progress``.
        model, version, timeout_s, headers, token
            As in ``segment``; the time budget is that of each image, and begins when it is its turn.

        Yields
        ------
        Item
            A result or an error. Leaving the loop early cancels what is in flight.

        Raises
        ------
        InvalidInputError, JournalError
            Before anything is sent.
        """
        options = Options(model, version, timeout_s, headers, token)
        how = BatchOptions(concurrency, ordered, stop_on_error, journal, progress, options)
        images = iterate(images)
        return self._drive(images, Run(self._core, images, how))

    def probability(
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
        return self._portal.run(
            self._core.probability(image, Options(model, version, timeout_s, headers, token, request_id))
        )

    def model(self, name: str | None = None, *, timeout_s: float | None = None) -> ModelInfo:
        """Classes, colours, grid, contract version and versions of a model, the client's own unless named."""
        return self._portal.run(self._core.model(Options(model=name, timeout_s=timeout_s)))

    def models(self, *, timeout_s: float | None = None) -> tuple[ModelInfo, ...]:
        """All loaded models that keep the contract, sorted by name."""
        return self._portal.run(self._core.models(Options(timeout_s=timeout_s)))

    def health(self, *, timeout_s: float | None = None) -> Health:
        """Whether the servers, and the client's model on them, are ready. Never raises for a server that is down."""
        return self._portal.run(self._core.health(Options(timeout_s=timeout_s)))

    def wait_ready(self, *, timeout_s: float | None = None) -> Health:
        """Wait until a server is ready. Raises ServerConnectionError when ``timeout_s`` ends first."""
        return self._portal.run(self._core.wait_ready(Options(timeout_s=timeout_s)))

    def close(self) -> None:
        """Close the connections; calls still running end with ClientClosedError. May be called twice."""
        self._portal.close()

    def _drive(self, images: "Iterable[ImageSource | Named]", run: Run) -> Generator[Item, None, None]:
        window: deque[Future[Item]] = deque()
        try:
            for source in images:
                ticket = run.admit(source)
                if ticket is None:
                    continue
                if len(window) == run.window:
                    yield from self._next_item(window, run)
                window.append(self._portal.start(run.work(ticket)))
            while window:
                yield from self._next_item(window, run)
        finally:
            for future in window:
                future.cancel()
            run.close()

    def _next_item(self, window: "deque[Future[Item]]", run: Run) -> Generator[Item, None, None]:
        if not run.ordered:
            done, _ = wait(window, return_when=FIRST_COMPLETED)
            window.remove(first := done.pop())
            window.appendleft(first)
        item = run.check(wait_for(window[0]))
        window.popleft()
        yield item
        run.settle(item)
