"""Value objects that configure a client."""

from dataclasses import dataclass
from pathlib import Path

from segserve.errors import InvalidInputError


@dataclass(frozen=True)
class Tls:
    """Certificates for ``grpcs://`` and ``https://``; PEM files.

    Parameters
    ----------
    ca_file
        Authorities that may have signed the server's certificate; None takes the system's.
    certificate_file, key_file
        The client's own, for mutual TLS.
    server_name
        The name the server's certificate must carry, where it is not the host of the URL.
    """

    ca_file: Path | str | None = None
    certificate_file: Path | str | None = None
    key_file: Path | str | None = None
    server_name: str | None = None

    def __post_init__(self) -> None:
        if (self.certificate_file is None) != (self.key_file is None):
            raise InvalidInputError("mutual TLS needs both certificate_file and key_file")

    def read(self, name: str) -> bytes | None:
        """The content of one of the files; None where it is not set. Raises InvalidInputError."""
        value: Path | str | None = getattr(self, name)
        if value is None:
            return None
        try:
            return Path(value).read_bytes()
        except OSError as error:
            raise InvalidInputError(f"cannot read {name} {value}: {error.strerror}") from error


@dataclass(frozen=True)
class RetryPolicy:
    """When a request is sent again. Inference is pure, so repeating it is always safe.

    Lost connections, overload and models that are loading are repeated as long as the time budget lasts; Triton's own
    faults at most ``max_server_faults`` times, since a request may be their cause.

    Parameters
    ----------
    max_attempts
        How often a request is sent at most; None leaves it to the time budget, 1 never repeats.
    max_server_faults
        How many of Triton's own faults a call outlives.
    initial_backoff_s, max_backoff_s
        The pause before the n-th repeat is drawn from 0.5 to 1 times ``initial_backoff_s * 2**(n-1)``, at most
        ``max_backoff_s``; after the n-th fault of Triton's own, whose processes take seconds to come back, on a busy
        machine ten, times ``max_backoff_s * 2**(n-1)``.
    """

    max_attempts: int | None = None
    max_server_faults: int = 3
    initial_backoff_s: float = 0.05
    max_backoff_s: float = 2.0

    def __post_init__(self) -> None:
        if self.max_attempts is not None and self.max_attempts < 1:
            raise InvalidInputError(f"max_attempts must be at least 1, not {self.max_attempts}")
        if self.max_server_faults < 0:
            raise InvalidInputError(f"max_server_faults must not be negative, not {self.max_server_faults}")
        if not 0 < self.initial_backoff_s <= self.max_backoff_s:
            raise InvalidInputError("back-off must satisfy 0 < initial_backoff_s <= max_backoff_s")


@dataclass(frozen=True)
class HedgePolicy:
    """Send a request a second time when its answer is late, and take whichever answer comes first.

    Parameters
    ----------
    percentile
        "Late" is later than this percentile (50 to 99.9) of the latest answers.
    min_delay_s
        Never hedge before this many seconds.
    min_samples
        Do not hedge before this many answers have been seen.
    """

    percentile: float = 95.0
    min_delay_s: float = 0.05
    min_samples: int = 20

    def __post_init__(self) -> None:
        if not 50 <= self.percentile <= 99.9:
            raise InvalidInputError(f"percentile must be 50 to 99.9, not {self.percentile}")
        if self.min_delay_s < 0 or self.min_samples < 1:
            raise InvalidInputError("min_delay_s must not be negative and min_samples at least 1")
