"""How far preprocessing may run ahead of the engine, counted by all model processes of one server.

Triton 2.51 does not limit what is in flight between the steps of an ensemble (``max_inflight_requests`` came later).
Preprocessing is quicker than an engine on a CPU, so beyond saturation decoded images would pile up before the engine
and nothing would be refused at the entrance. With a pace, preprocessing waits before it decodes, and so the queue of
the entrance fills and refuses.
"""

import fcntl
import json
import mmap
import os
import struct
import time
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from segserve_server.embedded.shared_memory import PREFIX_VARIABLE, SHARED_MEMORY

PARAMETER = "images_ahead"
"""Parameter in config.pbtxt of the preprocessing and the engine step: images decoded or being decoded, not begun."""

_POLL_S = 0.002
_IDLE_S = 0.5  # an engine without work for so long has lost count: a warm-up, a process that died with an image
_STUCK_S = 10.0  # longer than any image takes: the engine's process died with it


@dataclass(slots=True)
class _State:
    """``entered``, ``begun``: images so far; ``busy``: whether the engine has one; ``since``: monotonic seconds."""

    entered: int = 0
    begun: int = 0
    busy: bool = False
    since: float = 0.0

    def is_stalled(self) -> bool:
        """Whether the images that seem to be on their way will never come."""
        return time.monotonic() - self.since > (_STUCK_S if self.busy else _IDLE_S)


_LAYOUT = struct.Struct("<qq?d")


class Pacing(Protocol):
    """What the two steps hold an image with."""

    def place(self) -> AbstractContextManager[None]:
        """An image that preprocessing works on. Waits until there is a place for it; a refused image frees its own."""

    def engine(self) -> AbstractContextManager[None]:
        """An image that the engine works on. Its place is free as soon as it begins."""


class Unpaced:
    """Nobody waits for anybody."""

    def place(self) -> AbstractContextManager[None]:
        """See Pacing."""
        return nullcontext()

    def engine(self) -> AbstractContextManager[None]:
        """See Pacing."""
        return nullcontext()


class Pace:
    """Counts in a file that the processes share. ``ahead``: the places.

    Images get their places in the order in which they came: one waits, the others wait for its turn to end. If each
    tried its luck, some would wait for several times as long as the rest. The locks are the kernel's, so that those of
    a process which died are free.
    """

    def __init__(self, path: Path, ahead: int) -> None:
        self._ahead = ahead
        self._file, self._turn = (
            os.open(name, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600) for name in (path, f"{path}-turn")
        )
        os.ftruncate(self._file, _LAYOUT.size)
        self._memory = mmap.mmap(self._file, _LAYOUT.size)

    @contextmanager
    def place(self) -> Iterator[None]:
        """See Pacing."""
        with _locked(self._turn):
            while not self._enter():
                time.sleep(_POLL_S)
        try:
            yield
        except BaseException:
            with self._changing() as state:
                state.entered = max(state.entered - 1, state.begun)
            raise

    @contextmanager
    def engine(self) -> Iterator[None]:
        """See Pacing."""
        with self._changing() as state:
            state.begun = min(state.begun + 1, state.entered)
            state.busy, state.since = True, time.monotonic()
        try:
            yield
        finally:
            with self._changing() as state:
                state.busy, state.since = False, time.monotonic()

    def _enter(self) -> bool:
        with self._changing() as state:
            if state.entered - state.begun >= self._ahead:
                if not state.is_stalled():
                    return False
                state.begun, state.busy, state.since = state.entered, False, time.monotonic()
            state.entered += 1
            return True

    @contextmanager
    def _changing(self) -> Iterator[_State]:
        with _locked(self._file):
            state = _State(*_LAYOUT.unpack_from(self._memory))
            yield state
            _LAYOUT.pack_into(self._memory, 0, state.entered, state.begun, state.busy, state.since)


@contextmanager
def _locked(file: int) -> Iterator[None]:
    fcntl.flock(file, fcntl.LOCK_EX)
    try:
        yield
    finally:
        fcntl.flock(file, fcntl.LOCK_UN)


def pace_of(arguments: Mapping[str, str]) -> Pacing:
    """The pace of a step, from what Triton hands to ``initialize``.

    Nobody waits where the configuration has no PARAMETER, or where PREFIX_VARIABLE is not set: the embedded server and
    the CPU image set it.
    """
    parameters = json.loads(arguments["model_config"]).get("parameters", {})
    prefix = os.environ.get(PREFIX_VARIABLE)
    if PARAMETER not in parameters or not prefix:
        return Unpaced()
    pipeline = arguments["model_name"].rpartition("_")[0]
    return Pace(SHARED_MEMORY / f"{prefix}pace-{pipeline}", int(parameters[PARAMETER]["string_value"]))
