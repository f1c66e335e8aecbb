"""What each request of a run came to, and the figures over many of them."""

import enum
import json
import math
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from loadtest.errors import LoadTestError


class Outcome(enum.Enum):
    """How a request ended."""

    OK = "ok"
    REJECTED = "rejected"  # UNAVAILABLE: the server said that it is full
    FAILED = "failed"  # everything else


@dataclass(frozen=True, slots=True)
class Sample:
    """One request.

    Attributes:
        protocol: ``grpc``, ``http`` or a peer's name.
        started_s: when it was sent, in seconds since the epoch.
        latency_ms: from sending to the parsed answer.
        outcome: how it ended.
        error: the error's text; empty for OK.
    """

    protocol: str
    started_s: float
    latency_ms: float
    outcome: Outcome
    error: str = ""

    @property
    def ended_s(self) -> float:
        """When the answer was there, in seconds since the epoch."""
        return self.started_s + self.latency_ms / 1000


@dataclass(frozen=True, slots=True)
class Burst:
    """Several images sent at once; ``seconds`` from the first sent to the last answered, ``failed`` of ``images``."""

    started_s: float
    seconds: float
    images: int
    failed: int


@dataclass(frozen=True, slots=True)
class Summary:
    """Figures over the samples of a window; latencies in milliseconds, over successful requests only (0 if none)."""

    requests: int
    ok: int
    rejected: int
    failed: int
    rate_per_s: float
    p50_ms: float
    p95_ms: float
    p99_ms: float
    mean_ms: float
    rejection_p95_ms: float

    @property
    def error_fraction(self) -> float:
        """Rejected and failed requests of all."""
        return (self.rejected + self.failed) / self.requests if self.requests else 0.0


def percentile(values: Sequence[float], percent: float) -> float:
    """The smallest value that ``percent`` % of all do not exceed (nearest rank); 0 for no values."""
    if not values:
        return 0.0
    ranked = sorted(values)
    return ranked[max(0, math.ceil(percent / 100 * len(ranked)) - 1)]


def summarise(samples: Iterable[Sample], *, seconds: float) -> Summary:
    """Figures over ``samples``; ``seconds``: length of the window that they fill, for the rate of good answers."""
    every = list(samples)
    good = [sample.latency_ms for sample in every if sample.outcome is Outcome.OK]
    rejections = [sample.latency_ms for sample in every if sample.outcome is Outcome.REJECTED]
    return Summary(
        requests=len(every),
        ok=len(good),
        rejected=len(rejections),
        failed=len(every) - len(good) - len(rejections),
        rate_per_s=len(good) / seconds if seconds > 0 else 0.0,
        p50_ms=percentile(good, 50),
        p95_ms=percentile(good, 95),
        p99_ms=percentile(good, 99),
        mean_ms=sum(good) / len(good) if good else 0.0,
        rejection_p95_ms=percentile(rejections, 95),
    )


def to_line(record: Sample | Burst) -> str:
    """A record as a line of JSON."""
    fields = asdict(record)
    if isinstance(record, Sample):
        fields["outcome"] = record.outcome.value
    return json.dumps({"kind": type(record).__name__, **fields}) + "\n"


def read_records(path: Path) -> tuple[list[Sample], list[Burst]]:
    """Read a file of ``to_line`` lines. Raises LoadTestError for anything else."""
    samples: list[Sample] = []
    bursts: list[Burst] = []
    try:
        for line in path.read_text("utf-8").splitlines():
            fields = json.loads(line)
            if fields.pop("kind") == "Burst":
                bursts.append(Burst(**fields))
            else:
                samples.append(Sample(**{**fields, "outcome": Outcome(fields["outcome"])}))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise LoadTestError(f"{path} does not hold the records of a run: {error}") from error
    return samples, bursts
