"""Every error that segserve raises.

    SegserveError
    ├── InvalidInputError          what was handed to the SDK cannot be sent; nothing went out
    ├── ClientClosedError          the client was closed, or its process forked in the middle of a gRPC call
    ├── MissingExtraError          an optional dependency is not installed
    ├── OutputError                results cannot be written
    ├── JournalError               the journal belongs to another run, or cannot be read or written
    ├── ServerConnectionError      no answer: refused, reset, unknown host                          (repeated)
    │   └── TlsError               the certificate or key is not the one that is expected
    ├── DeadlineExceededError      the time budget of the call ended
    ├── OverloadedError            the server's queue is full or was waited in too long             (repeated)
    ├── InvalidImageError          the server looked at the image and refused it, and says why
    ├── RequestRefusedError        the server refused the request for another reason
    │   └── AccessDeniedError      a token is missing or wrong, or the operator closed this interface
    ├── ModelUnavailableError
    │   ├── ModelNotFoundError     no such model or version
    │   └── ModelNotReadyError     the model is there but not loaded                                (repeated)
    ├── ServerFaultError           the server failed; with an incident id: its log has the cause,
    │                              without one: the fault is Triton's own                           (repeated)
    └── ContractMismatchError      the answer is not what this SDK understands

"Repeated" errors are tried again inside the time budget. All of them carry the request id, endpoint, model and time
that passed, as far as they are known, and none carries image content.
"""

from typing import Any, ClassVar

__all__ = [
    "AccessDeniedError",
    "ClientClosedError",
    "ContractMismatchError",
    "DeadlineExceededError",
    "InvalidImageError",
    "InvalidInputError",
    "JournalError",
    "MissingExtraError",
    "ModelNotFoundError",
    "ModelNotReadyError",
    "ModelUnavailableError",
    "OutputError",
    "OverloadedError",
    "RequestRefusedError",
    "SegserveError",
    "ServerConnectionError",
    "ServerFaultError",
    "TlsError",
]


_OVERLOAD_PAUSE_S = 1.0  # about the time in which a full entrance queue of 64 makes room


class SegserveError(Exception):
    """Root of the tree.

    Attributes
    ----------
    message
        What was wrong, without the context that ``str()`` adds.
    request_id, endpoint, model
        Of the call; None where the error was raised before they were known.
    elapsed_s
        Seconds from the start of the call, retries included.
    attempts
        How often the request was sent.
    """

    retryable: ClassVar[bool] = False

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message
        self.request_id: str | None = None
        self.endpoint: str | None = None
        self.model: str | None = None
        self.elapsed_s: float | None = None
        self.attempts: int = 0

    def __str__(self) -> str:
        parts = [
            f"model {self.model}" if self.model else "",
            f"at {self.endpoint}" if self.endpoint else "",
            f"request {self.request_id}" if self.request_id else "",
            f"after {self.elapsed_s:.2f} s" if self.elapsed_s is not None else "",
            f"{self.attempts} attempts" if self.attempts > 1 else "",
        ]
        context = ", ".join(part for part in parts if part)
        return f"{self.message} ({context})" if context else self.message

    def __reduce__(self) -> tuple[Any, ...]:
        # Exception's own way calls the class with ``args``, which loses nothing here but must not repeat the context.
        return type(self), (self.message,), self.__dict__


class InvalidInputError(SegserveError):
    """What was handed to the SDK cannot be sent: a path that is not there, an array of the wrong type."""


class ClientClosedError(SegserveError):
    """The client was closed before the call, or cannot work in this process."""


class MissingExtraError(SegserveError):
    """A feature needs an optional dependency that is not installed; the message says which extra brings it."""


class OutputError(SegserveError):
    """Results cannot be written: no such folder, no permission, no space."""


class JournalError(SegserveError):
    """The journal belongs to another run, is damaged, or cannot be read or written."""


class ServerConnectionError(SegserveError):
    """No answer came: connection refused, reset or timed out, or the host is unknown."""

    retryable = True


class TlsError(ServerConnectionError):
    """The TLS handshake failed: a certificate or key is not the one that the other side expects."""

    retryable = False


class DeadlineExceededError(SegserveError):
    """The time budget of the call ended; over gRPC the server has been told to stop working on it."""


class OverloadedError(SegserveError):
    """The server's queue is full, or the request waited in it too long.

    ``retry_after_s``: when to try again, in seconds; ``is_stated``: whether the server said so, or it is an estimate.
    """

    retryable = True

    def __init__(self, message: str, *, retry_after_s: float | None = None) -> None:
        super().__init__(message)
        self.is_stated = retry_after_s is not None
        self.retry_after_s = _OVERLOAD_PAUSE_S if retry_after_s is None else retry_after_s


class InvalidImageError(SegserveError):
    """The server refused the image. ``reason`` is what it said is wrong with it."""

    @property
    def reason(self) -> str:
        """The server's reason."""
        return self.message


class RequestRefusedError(SegserveError):
    """The server refused the request, not because of the image."""


class AccessDeniedError(RequestRefusedError):
    """A token is missing or wrong, or the operator has closed this interface of the server."""


class ModelUnavailableError(SegserveError):
    """The model cannot answer."""


class ModelNotFoundError(ModelUnavailableError):
    """The server has no model, or no version of it, of this name."""


class ModelNotReadyError(ModelUnavailableError):
    """The server knows the model but has not loaded it, or is unloading it."""

    retryable = True


class ServerFaultError(SegserveError):
    """The server failed. ``incident_id`` leads an operator to the cause in the server's log; None: Triton's fault."""

    def __init__(self, message: str, *, incident_id: str | None = None) -> None:
        super().__init__(message)
        self.incident_id = incident_id

    @property
    def is_own_fault_of_triton(self) -> bool:
        """Whether it is Triton's own fault, such as a dead process, for which the request may be repeated."""
        return self.incident_id is None


class ContractMismatchError(SegserveError):
    """The answer is not what this SDK understands: another contract version, or something missing in it."""
