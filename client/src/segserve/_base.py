"""How both clients are made."""

from collections.abc import Callable, Mapping, Sequence

from segserve._config import HedgePolicy, RetryPolicy, Tls
from segserve._core import DEFAULT_TIMEOUT_S, Core, Settings
from segserve._counters import Counters
from segserve._portal import Portal
from segserve._wire import TransportFactory


class BaseClient:
    """Holds the core that does the work and the event loop it does it in.

    Parameters
    ----------
    url
        ``grpc://host:8001``, ``grpcs://``, ``http://host:8000`` or ``https://``; several, as a sequence or separated
        by commas, are used in turn, and one that fails is left alone for a while.
    model
        Name of the ensemble, where a call does not name another.
    timeout_s
        Time budget of a call, in seconds: queueing, retries and pauses between them included.
    tls
        Certificates for ``grpcs://`` and ``https://``.
    headers
        Sent with every request (gRPC: as metadata).
    token
        Sent as ``Authorization: Bearer``; a callable is asked before every call, so that tokens can be renewed.
    retry
        When a failed request is sent again.
    hedge
        Send a request twice when its answer is late; None never does.
    tracing
        OpenTelemetry spans and W3C trace context; needs ``segserve[telemetry]``.
    transport
        In place of a network: ``segserve.testing`` has one.

    Raises
    ------
    InvalidInputError
        A URL, file or number is unusable.
    MissingExtraError
        Tracing is asked for and not installed.
    """

    def __init__(
        self,
        url: str | Sequence[str],
        *,
        model: str | None = None,
        timeout_s: float = DEFAULT_TIMEOUT_S,
        tls: Tls | None = None,
        headers: Mapping[str, str] | None = None,
        token: str | Callable[[], str] | None = None,
        retry: RetryPolicy | None = None,
        hedge: HedgePolicy | None = None,
        tracing: bool = False,
        transport: TransportFactory | None = None,
    ) -> None:
        self._core = Core(
            Settings(
                url=url,
                model=model,
                timeout_s=timeout_s,
                tls=tls,
                headers=headers or {},
                token=token,
                retry=retry or RetryPolicy(),
                hedge=hedge,
                tracing=tracing,
                transport=transport,
            )
        )
        self._portal = Portal(on_stop=self._core.close)

    @property
    def counters(self) -> Counters:
        """What this client has done so far; counts begin anew in a forked child."""
        return self._core.counters.snapshot()
