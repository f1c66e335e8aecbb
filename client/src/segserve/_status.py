"""From a status code and text to the error a caller can act on."""

from enum import Enum

from segserve.contract import find_incident
from segserve.errors import (
    AccessDeniedError,
    DeadlineExceededError,
    InvalidImageError,
    ModelNotFoundError,
    ModelNotReadyError,
    OverloadedError,
    RequestRefusedError,
    SegserveError,
    ServerConnectionError,
    ServerFaultError,
    TlsError,
)


class Kind(Enum):
    """What a protocol's status says before the text is looked at."""

    INVALID = "invalid"
    NOT_FOUND = "not found"
    UNAVAILABLE = "unavailable"
    DENIED = "denied"
    TOO_LARGE = "too large"
    DEADLINE = "deadline"
    BUSY = "busy"
    EXHAUSTED = "exhausted"
    FAULT = "fault"
    CONNECTION = "connection"


_ABOUT_THE_MODEL = (Kind.INVALID, Kind.NOT_FOUND, Kind.UNAVAILABLE, Kind.BUSY)

# Parts of Triton's own error texts (2.51 and later), lower case. The statuses alone do not tell these cases apart.
_NO_SUCH_MODEL = ("unknown model", "failed to find", "is not found")
_NOT_READY = ("is not ready", "no available versions", "unloading", "not at ready state")
_OVERLOADED = ("maximum queue size", "timeout expired", "max_queue_size")
_RESTRICTED = ("protocol is restricted", "api is restricted")
_IMAGE_REFUSED = "in ensemble "
_TOO_LARGE = "larger than max"
_HANDSHAKE = ("certificate", "ssl routines", "tlsv1", "wrong_version_number")


def to_error(kind: Kind, text: str, *, retry_after_s: float | None = None) -> SegserveError:
    """The error for a failed call; ``text`` is what the server, or the protocol's library, said."""
    message = " ".join(text.split()) or f"no explanation ({kind.value})"
    lowered = message.lower()
    if kind is Kind.DEADLINE:
        return DeadlineExceededError("the time budget ended before the answer came")
    if kind is Kind.TOO_LARGE or (kind is Kind.EXHAUSTED and _TOO_LARGE in lowered):
        return InvalidImageError(f"the request is larger than the server takes: {message}")
    if kind is Kind.DENIED or _has(lowered, _RESTRICTED):
        return AccessDeniedError(message)
    if kind in _ABOUT_THE_MODEL and _has(lowered, _NOT_READY):
        return ModelNotReadyError(message)
    if kind in _ABOUT_THE_MODEL and _has(lowered, _NO_SUCH_MODEL):
        return ModelNotFoundError(message)
    if kind is Kind.INVALID:
        # A step refuses an image; what Triton refuses before any step carries no such prefix.
        if _IMAGE_REFUSED in lowered:
            return InvalidImageError(_without_prefix(message))
        return RequestRefusedError(message)
    if kind is Kind.NOT_FOUND:
        return RequestRefusedError(message)
    if kind is Kind.FAULT:
        return ServerFaultError(message, incident_id=find_incident(message))
    stated = retry_after_s is not None
    if kind in (Kind.BUSY, Kind.EXHAUSTED) or (kind is Kind.UNAVAILABLE and (stated or _has(lowered, _OVERLOADED))):
        return OverloadedError(_without_prefix(message), retry_after_s=retry_after_s)
    if _has(lowered, _HANDSHAKE):
        return TlsError(message)
    return ServerConnectionError(message)


def _has(text: str, parts: tuple[str, ...]) -> bool:
    return any(part in text for part in parts)


def _without_prefix(message: str) -> str:
    """Cut ``in ensemble 'X', `` off, which Triton puts in front of a step's text."""
    head, separator, tail = message.partition("', ")
    return tail if separator and head.startswith(_IMAGE_REFUSED) else message
