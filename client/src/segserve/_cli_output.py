"""What the command line shares: exit codes, tables, JSON lines."""

import json
import sys
from collections.abc import Sequence
from enum import IntEnum
from typing import Any

from segserve.errors import (
    AccessDeniedError,
    ClientClosedError,
    DeadlineExceededError,
    InvalidInputError,
    JournalError,
    MissingExtraError,
    ModelUnavailableError,
    OutputError,
    OverloadedError,
    SegserveError,
    ServerConnectionError,
)


class ExitCode(IntEnum):
    """What a command ends with."""

    OK = 0
    SOME_FAILED = 1  # some images, or the answer to the question is no
    USAGE = 2  # an argument, path or file; nothing was sent
    SERVER = 3  # no server, not ready, overloaded, refused or failing
    INTERRUPTED = 130


_USAGE_ERRORS = (InvalidInputError, JournalError, MissingExtraError, OutputError)
_SERVER_ERRORS = (
    AccessDeniedError,
    ClientClosedError,
    DeadlineExceededError,
    ModelUnavailableError,
    OverloadedError,
    ServerConnectionError,
)


def exit_code(error: SegserveError) -> ExitCode:
    """The exit code for an error that ends a command."""
    return ExitCode.USAGE if isinstance(error, _USAGE_ERRORS) else ExitCode.SERVER


def is_server_trouble(error: SegserveError) -> bool:
    """Whether it says something about the server rather than about one image."""
    return isinstance(error, _SERVER_ERRORS)


def write_line(text: str) -> None:
    """A line on standard output."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def write_note(text: str) -> None:
    """A line on standard error."""
    sys.stderr.write(text + "\n")
    sys.stderr.flush()


def write_json(value: Any) -> None:
    """One JSON value on one line of standard output."""
    write_line(json.dumps(value))


def format_table(header: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """Columns under their names; numbers to the right, text to the left."""
    cells = [[str(value) for value in row] for row in rows]
    widths = [max(len(name), *(len(row[i]) for row in cells)) if cells else len(name) for i, name in enumerate(header)]
    numeric = [bool(rows) and all(isinstance(row[i], (int, float)) for row in rows) for i in range(len(header))]

    def line(row: Sequence[str]) -> str:
        padded = [
            cell.rjust(width) if right else cell.ljust(width)
            for cell, width, right in zip(row, widths, numeric, strict=True)
        ]
        return "  ".join(padded).rstrip()

    return "\n".join([line(header), "  ".join("-" * width for width in widths), *(line(row) for row in cells)])
