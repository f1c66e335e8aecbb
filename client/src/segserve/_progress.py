"""How far a run has got."""

import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TextIO

_BAR_CELLS = 24
_REDRAW_S = 0.1


@dataclass(frozen=True)
class Progress:
    """Images dealt with, of them failed, left out because the journal has them, and all; None where not known."""

    done: int
    failed: int
    skipped: int
    total: int | None
    elapsed_s: float


ProgressCallback = Callable[[Progress], None]


class ProgressBar:
    """One line on standard error, redrawn at most ten times a second; call it with each Progress."""

    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream = stream or sys.stderr
        self._drawn_at = float("-inf")
        self._width = 0

    def __call__(self, progress: Progress) -> None:
        """Draw."""
        now = time.monotonic()
        if now - self._drawn_at < _REDRAW_S and progress.done + progress.skipped != progress.total:
            return
        self._drawn_at = now
        self._draw(format_progress(progress))

    def close(self) -> None:
        """End the line."""
        if self._width:
            self._stream.write("\n")
            self._stream.flush()
            self._width = 0

    def _draw(self, line: str) -> None:
        self._stream.write("\r" + line.ljust(self._width))
        self._stream.flush()
        self._width = len(line)


def format_progress(progress: Progress) -> str:
    """The line, such as ``[######..................]  25/100  12.5 images/s  1 failed  0:06 left``."""
    rate = progress.done / progress.elapsed_s if progress.elapsed_s > 0 else 0.0
    reached = progress.done + progress.skipped
    parts = [f"{reached} images"]
    if progress.total:
        cells = _BAR_CELLS * min(reached, progress.total) // progress.total
        parts = [f"[{'#' * cells}{'.' * (_BAR_CELLS - cells)}]", f"{reached}/{progress.total}"]
    parts.append(f"{rate:.1f} images/s")
    if progress.skipped:
        parts.append(f"{progress.skipped} done before")
    if progress.failed:
        parts.append(f"{progress.failed} failed")
    if progress.total and rate > 0:
        minutes, seconds = divmod(round(max(0, progress.total - reached) / rate), 60)
        parts.append(f"{minutes}:{seconds:02d} left")
    return "  ".join(parts)
