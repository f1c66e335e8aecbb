"""A record of what a run has dealt with, so that an interrupted run goes on where it was."""

import json
import os
from collections import Counter
from pathlib import Path
from typing import Any

from segserve.errors import JournalError, SegserveError

_FORMAT = 1


class Journal:
    """JSON lines: a header, then one line for each image that was dealt with.

    A line is written when the program asks for the next item, that is after it has handled this one: an item may be
    handled twice after a crash, but none is lost. Images that failed are tried again by the next run. An image is known
    by its name; one that occurs several times is skipped as often as it was done.

    Parameters
    ----------
    path
        Created when it is not there. A last line that a crash cut short is dropped.
    model
        The run's model. Raises JournalError when the journal belongs to another one.
    """

    def __init__(self, path: Path | str, *, model: str) -> None:
        self.path = Path(path)
        self.skipped = 0
        self._done: Counter[str] = Counter()
        header = {"segserve_journal": _FORMAT, "model": model}
        try:
            good = self._load(header) if self.path.exists() else 0
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._file = self.path.open("ab")
            self._file.truncate(good)
            if good == 0:
                self._write(header)
        except OSError as error:
            raise JournalError(f"cannot use the journal {self.path}: {error.strerror or error}") from error

    def skips(self, name: str) -> bool:
        """Whether an earlier run has done this image; counts it as met."""
        if self._done[name] == 0:
            return False
        self._done[name] -= 1
        self.skipped += 1
        return True

    def record(self, name: str, *, request_id: str, error: SegserveError | None) -> None:
        """Add an image that has been dealt with. Raises JournalError when the disk refuses."""
        line: dict[str, Any] = {"name": name, "ok": error is None, "request_id": request_id}
        if error is not None:
            line |= {"error": type(error).__name__, "message": error.message}
        try:
            self._write(line)
        except OSError as failure:
            raise JournalError(f"cannot write the journal {self.path}: {failure.strerror}") from failure

    def close(self) -> None:
        """Put it on the disk for good. May be called twice."""
        if not self._file.closed:
            self._file.flush()
            os.fsync(self._file.fileno())
            self._file.close()

    def _write(self, line: dict[str, Any]) -> None:
        self._file.write(json.dumps(line).encode() + b"\n")
        self._file.flush()  # a killed process loses nothing; only a power cut may

    def _load(self, header: dict[str, Any]) -> int:
        """Read what is there; returns the length of its complete lines."""
        good = 0
        with self.path.open("rb") as lines:
            for number, line in enumerate(lines, start=1):
                if not line.endswith(b"\n"):
                    break
                try:
                    entry = json.loads(line)
                    if number == 1:
                        self._check_header(entry, header)
                    elif entry["ok"]:
                        self._done[entry["name"]] += 1
                except (ValueError, KeyError, TypeError) as error:
                    raise JournalError(f"line {number} of the journal {self.path} is damaged") from error
                good += len(line)
        return good

    def _check_header(self, found: Any, expected: dict[str, Any]) -> None:
        if found["segserve_journal"] != _FORMAT:
            raise JournalError(f"{self.path} is not a journal of this version of segserve")
        if found["model"] != expected["model"]:
            raise JournalError(
                f"the journal {self.path} belongs to model {found['model']}, not {expected['model']}; use another file"
            )
