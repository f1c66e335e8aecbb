"""Many images: what the synchronous and the asynchronous loop have in common."""

import asyncio
import time
from collections.abc import Sized
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from segserve._core import Core, Options
from segserve._journal import Journal
from segserve._progress import Progress, ProgressBar, ProgressCallback
from segserve._result import SegmentationResult
from segserve._source import Named, name_of
from segserve.errors import InvalidInputError, SegserveError

if TYPE_CHECKING:
    from segserve._source import ImageSource

_MAX_CONCURRENCY = 256
_AHEAD = 2  # items started or finished, per one in flight: workers go on while the program handles a result


@dataclass(frozen=True)
class Item:
    """One image of a run and what came of it: either ``result`` or ``error`` is set.

    ``index`` counts the images as they were given, from 0, journalled ones included.
    """

    index: int
    name: str
    result: SegmentationResult | None = None
    error: SegserveError | None = None

    @property
    def ok(self) -> bool:
        """Whether there is a result."""
        return self.result is not None

    def unwrap(self) -> SegmentationResult:
        """The result. Raises the error if there is none."""
        if self.result is None:
            assert self.error is not None  # one of the two is always set
            raise self.error
        return self.result


@dataclass(frozen=True)
class BatchOptions:
    """How a run goes; see ``Client.segment_many``."""

    concurrency: int
    ordered: bool
    stop_on_error: bool
    journal: Path | str | Journal | None
    progress: bool | ProgressCallback
    options: Options


@dataclass(frozen=True)
class Ticket:
    """An image that has its turn."""

    index: int
    name: str
    source: "ImageSource | Named"


class Run:
    """One run: admits images, works on them, settles them."""

    def __init__(self, core: Core, images: Any, how: BatchOptions) -> None:
        if not 1 <= how.concurrency <= _MAX_CONCURRENCY:
            raise InvalidInputError(f"concurrency must be 1 to {_MAX_CONCURRENCY}, not {how.concurrency}")
        if how.options.request_id is not None:
            raise InvalidInputError("a request id belongs to one image")
        model = core.model_name(how.options)
        self.ordered = how.ordered
        self.window = how.concurrency * _AHEAD
        self._core = core
        self._how = how
        self._slots: asyncio.Semaphore | None = None
        journal = how.journal
        self._journal = Journal(journal, model=model) if isinstance(journal, (str, Path)) else journal
        self._bar = ProgressBar() if how.progress is True else None
        self._callback = self._bar or (how.progress if callable(how.progress) else None)
        self._start = time.monotonic()
        self._progress = Progress(0, 0, 0, len(images) if isinstance(images, Sized) else None, 0.0)
        self._index = -1

    def admit(self, source: "ImageSource | Named") -> Ticket | None:
        """Give an image its turn; None when the journal has it."""
        self._index += 1
        name = name_of(source) or f"#{self._index}"
        if self._journal is not None and self._journal.skips(name):
            self._advance(skipped=self._progress.skipped + 1)
            return None
        return Ticket(self._index, name, source)

    async def work(self, ticket: Ticket) -> Item:
        """Segment one image, at most ``concurrency`` at a time."""
        if self._slots is None:
            self._slots = asyncio.Semaphore(self._how.concurrency)
        async with self._slots:
            try:
                result = await self._core.segment(ticket.source, self._how.options)
            except SegserveError as error:
                return Item(ticket.index, ticket.name, error=error)
            return Item(ticket.index, ticket.name, result=result)

    def check(self, item: Item) -> Item:
        """The item as the program gets it. Raises its error when the run is to stop at the first one."""
        if item.error is not None and self._how.stop_on_error:
            raise item.error
        return item

    def settle(self, item: Item) -> None:
        """The program has dealt with an item."""
        if self._journal is not None:
            outcome = item.result or item.error
            request_id = (outcome.request_id if outcome else None) or ""
            self._journal.record(item.name, request_id=request_id, error=item.error)
        self._advance(done=self._progress.done + 1, failed=self._progress.failed + (item.error is not None))

    def close(self) -> None:
        """The run is over, however it ended."""
        if self._journal is not None:
            self._journal.close()
        if self._bar is not None:
            self._bar.close()

    def _advance(self, **counts: int) -> None:
        self._progress = replace(self._progress, **counts, elapsed_s=time.monotonic() - self._start)
        if self._callback is not None:
            self._callback(self._progress)
