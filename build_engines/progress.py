"""What a long build is doing, on standard error."""

import sys
import time
from typing import TextIO

_QUIET_S = 5.0


class Progress:
    """Says each stage as it begins, and how far a long one is where it can tell."""

    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream = stream or sys.stderr
        self._started = time.monotonic()
        self._last_s = 0.0

    def stage(self, text: str) -> None:
        """A new stage begins."""
        self._write(text)

    def part(self, text: str, done: int, total: int) -> None:
        """So many parts of a stage are done; said only when nothing has been said for five seconds."""
        if total and self.seconds - self._last_s >= _QUIET_S:
            self._write(f"{text}: {done} of {total}")

    @property
    def seconds(self) -> float:
        """Since the build began."""
        return time.monotonic() - self._started

    def _write(self, text: str) -> None:
        self._last_s = self.seconds
        self._stream.write(f"[{self._last_s:6.1f} s] {text}\n")
        self._stream.flush()
