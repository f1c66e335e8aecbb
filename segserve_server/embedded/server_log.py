"""Makes one sentence of why tritonserver ended, from its exit code and the last lines of its log."""

import re
import signal
from collections.abc import Sequence

# tritonserver's log lines: `E1121 06:05:15.551229 5209 server.cc:241] "text"`.
_ERROR_LINE = re.compile(r'^[EF]\d{4} [\d:.]+ \d+ [\w.]+:\d+\] "?(?P<text>.*?)"?$')

# Said on every machine without a GPU, and by the ensemble scheduler there: no reason to end.
_HARMLESS = ("CudaDriverHelper", "CUDA driver version", "unable to create stream", "NVML", "DCGM unable to start")

# Causes say more than the consequences that follow them in the log.
_TELLING = ("failed to load", "failed to start", "already in use", "poll failed", "unexpected argument")


def is_noise(line: str) -> bool:
    """Whether a line of log says nothing but that this machine has no GPU."""
    return any(word in line for word in _HARMLESS)


def describe_exit(exit_code: int) -> str:
    """What an exit code of subprocess means, in a few words."""
    if exit_code >= 0:
        return f"exit code {exit_code}"
    try:
        return signal.Signals(-exit_code).name
    except ValueError:
        return f"signal {-exit_code}"


def explain_end(exit_code: int | None, lines: Sequence[str], *, timeout_s: float) -> str:
    """Why a server did not get ready, in a sentence: its exit code (None if it still runs) and its own words."""
    reason = find_reason(lines)
    because = f": {reason}" if reason else "; its log says more"
    if exit_code is None:
        return f"tritonserver was not ready after {timeout_s:.0f} s{because}"
    return f"tritonserver ended before it was ready ({describe_exit(exit_code)}){because}"


def find_reason(lines: Sequence[str]) -> str | None:
    """The line of tritonserver's log that most likely says what went wrong, or None."""
    errors = [match["text"] for line in lines if (match := _ERROR_LINE.match(line))]
    errors += [line for line in lines if line.startswith(("error:", "Usage error"))]
    errors = [text for text in errors if not is_noise(text)]
    telling = [text for text in errors if any(word in text for word in _TELLING)]
    found = next(iter(telling or errors), None)
    # The rest is a traceback, with its line ends written as two characters.
    return None if found is None else found.split("\\n")[0].strip()
