"""What must be made anew in a forked child."""

import os
import weakref
from collections.abc import Callable
from typing import Any

_callbacks: "list[weakref.WeakMethod[Callable[[], Any]]]" = []


def call_in_child(method: Callable[[], None]) -> None:
    """Call a bound method in every forked child, as long as its object lives."""
    _callbacks[:] = [reference for reference in _callbacks if reference() is not None]
    _callbacks.append(weakref.WeakMethod(method))


def _after_fork_in_child() -> None:
    for reference in list(_callbacks):
        method = reference()
        if method is not None:
            method()


if hasattr(os, "register_at_fork"):  # Windows does not fork
    os.register_at_fork(after_in_child=_after_fork_in_child)
