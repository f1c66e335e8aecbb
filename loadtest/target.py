"""The server under load: one that is started for the run, or any Triton by its URL."""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from segserve import Client, SegserveError

from loadtest.errors import LoadTestError
from loadtest.paths import DEFAULT_MODEL, REPOSITORY
from segserve_server.embedded import EmbeddedServer


@dataclass(frozen=True, slots=True)
class Target:
    """Where a server is.

    Attributes:
        model: the ensemble that gets the load.
        urls: what the SDK is given, gRPC first where both are served.
        metrics_url: Triton's metrics page; None if it cannot be reached from here.
        pid: the server's process id; None for one that was not started here.
    """

    model: str
    urls: tuple[str, ...]
    metrics_url: str | None
    pid: int | None


@contextlib.contextmanager
def open_target(
    urls: tuple[str, ...] = (),
    *,
    model: str = DEFAULT_MODEL,
    metrics_url: str | None = None,
    repository: Path = REPOSITORY,
    variant: str = "cpu",
) -> Iterator[Target]:
    """The server at ``urls``, ready for ``model``; without URLs an embedded one, for as long as the context lasts.

    Raises LoadTestError when the server at ``urls`` is not ready, EmbeddedServerError when none can be started.
    """
    if urls:
        target = Target(model, urls, metrics_url, pid=None)
        _require_ready(target)
        yield target
        return
    with EmbeddedServer(repository, variant=variant) as server:
        yield Target(model, (server.grpc_url, server.http_url), server.metrics_url, server.pid)


def guess_metrics_url(urls: tuple[str, ...]) -> str:
    """Triton's default metrics port on the host of the first URL."""
    return f"http://{urlsplit(urls[0]).hostname}:8002/metrics"


def _require_ready(target: Target) -> None:
    for url in target.urls:
        try:
            with Client(url, model=target.model, timeout_s=5.0) as client:
                client.wait_ready()
                client.model()
        except SegserveError as error:
            raise LoadTestError(f"{url} does not serve {target.model}: {error}") from error
