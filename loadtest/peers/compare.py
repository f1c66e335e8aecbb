"""``python -m loadtest peers``: the server and its peers, one after another on the same cores."""

import contextlib
import statistics
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from loadtest.bench.children import Served, run_load
from loadtest.bench.tables import table
from loadtest.errors import LoadTestError
from loadtest.machine import describe_machine, load_average
from loadtest.peers.peer import PEERS, Peer, prepare, serve
from loadtest.photographs import SizeClass
from loadtest.target import open_target

CONCURRENCY = 8
TIMES_SATURATION = 3.0
_TARGET_RATIO = 1.3
_OWN = "segserve over gRPC"


@dataclass(frozen=True, slots=True)
class Contestant:
    """A running server: how to send to it, its process, and whether the client does part of the work."""

    name: str
    sender: str
    url: str
    pid: int
    client_counts: bool = False


@dataclass(frozen=True, slots=True)
class Comparison:
    """One server: closed loads in turn with the others', and one load of three times its own best rate."""

    name: str
    closed: list[Served]
    beyond: Served
    beyond_rate_per_s: float

    @property
    def rate_per_s(self) -> float:
        """Images per second, median of the closed loads."""
        return statistics.median(each.summary.rate_per_s for each in self.closed)

    @property
    def p95_ms(self) -> float:
        """95th percentile of latency, median of the closed loads."""
        return statistics.median(each.summary.p95_ms for each in self.closed)

    @property
    def cpu_ms(self) -> float:
        """CPU milliseconds per image, median of the closed loads."""
        return statistics.median(each.cpu_ms for each in self.closed)


def compare(*, seconds: float, turns: int, tell: Callable[[str], None]) -> list[Comparison]:
    """Measure every server ``turns`` times in turn, then each beyond saturation; only one runs at a time."""
    for peer in PEERS:
        tell(f"{peer.name}: environment")
        prepare(peer)
    closed: dict[str, list[Served]] = {}
    for turn in range(turns):
        for name, opened in _contestants():
            tell(f"turn {turn + 1}: {name}")
            with opened() as contestant:
                closed.setdefault(name, []).append(_send(contestant, seconds=seconds, concurrency=CONCURRENCY))
    results = []
    for name, opened in _contestants():
        rate = TIMES_SATURATION * statistics.median(each.summary.rate_per_s for each in closed[name])
        tell(f"{name}: {rate:.1f} images/s, {TIMES_SATURATION:.0f} times its best")
        with opened() as contestant:
            beyond = _send(contestant, seconds=2 * seconds, rate_per_s=rate)
        results.append(Comparison(name, closed[name], beyond, rate))
    return results


def render(results: list[Comparison]) -> str:
    """A Markdown table, the best peer's rate against ours below it."""
    rows = []
    for each in results:
        beyond = each.beyond.summary
        rows.append(
            [
                each.name,
                f"{each.rate_per_s:.2f}",
                f"{each.p95_ms:.0f}",
                f"{each.cpu_ms:.0f}",
                f"{max(run.peak_memory_mb for run in each.closed):.0f}",
                f"{beyond.rate_per_s:.2f}",
                f"{beyond.p50_ms / 1000:.1f}",
                f"{beyond.rejected}+{beyond.failed} of {beyond.requests}",
                f"{each.beyond.peak_memory_mb:.0f}",
            ]
        )
    header = [
        f"full size, concurrency {CONCURRENCY}", "images/s", "p95 ms", "CPU ms/image", "MB",
        "3x: answered/s", "3x: p50 s", "3x: rejected+failed", "3x: MB",
    ]  # fmt: skip
    own = next((each for each in results if each.name == _OWN), None)
    if own is None:
        raise LoadTestError("our own server was not measured")
    best = max((each for each in results if each is not own), key=lambda each: each.rate_per_s)
    ratio = (
        f"{own.rate_per_s / best.rate_per_s:.2f} times the throughput of the best peer, {best.name} "
        f"(target: {_TARGET_RATIO} or more, at equal or lower p95: {own.p95_ms:.0f} against {best.p95_ms:.0f} ms)."
    )
    return f"{describe_machine()}. Load average {load_average():.1f} at the end.\n\n{table(header, rows)}\n\n{ratio}\n"


def _send(
    contestant: Contestant, *, seconds: float, concurrency: int | None = None, rate_per_s: float | None = None
) -> Served:
    return run_load(
        contestant.sender,
        contestant.url,
        contestant.pid,
        size=SizeClass.FULL,
        seconds=seconds,
        concurrency=concurrency,
        rate_per_s=rate_per_s,
        client_counts=contestant.client_counts,
    )


Opener = Callable[[], contextlib.AbstractContextManager[Contestant]]


def _contestants() -> Iterator[tuple[str, Opener]]:
    yield _OWN, lambda: _open_own(_OWN, protocol="grpc", sender="sdk")
    yield "segserve over HTTP", lambda: _open_own("segserve over HTTP", protocol="http", sender="sdk")
    name = "Triton, imaging in the client"
    yield name, lambda: _open_own(name, protocol="grpc", sender="client-side")
    for peer in PEERS:
        yield peer.name, lambda peer=peer: _open_peer(peer)  # type: ignore[misc]


@contextlib.contextmanager
def _open_own(name: str, *, protocol: str, sender: str) -> Iterator[Contestant]:
    with open_target() as target:
        url = next(url for url in target.urls if url.startswith(protocol))
        yield Contestant(name, sender, url, target.pid or 0, client_counts=sender == "client-side")


@contextlib.contextmanager
def _open_peer(peer: Peer) -> Iterator[Contestant]:
    with serve(peer) as running:
        yield Contestant(peer.name, peer.sender, running.url, running.pid)
