"""Results held against objectives: one check per number."""

from dataclasses import dataclass

from loadtest.run import ShapeResult
from loadtest.samples import Outcome, Sample, percentile
from loadtest.shapes import Shape
from loadtest.slo import BurstObjectives, Objectives, OverloadObjectives, SteadyObjectives


@dataclass(frozen=True, slots=True)
class Check:
    """One number against its limit; ``at_least``: the limit is the smallest good value, else the largest."""

    shape: str
    name: str
    value: float
    limit: float
    unit: str
    at_least: bool = False

    @property
    def passed(self) -> bool:
        """Whether the value keeps the limit."""
        return self.value >= self.limit if self.at_least else self.value <= self.limit

    @property
    def sentence(self) -> str:
        """Value and limit in words."""
        wanted = "at least" if self.at_least else "at most"
        value, limit = (f"{number:.4g} {self.unit}".rstrip() for number in (self.value, self.limit))
        return f"{self.shape}: {self.name} {value}, wanted {wanted} {limit}"


def check_steady(result: ShapeResult, objectives: SteadyObjectives) -> list[Check]:
    """Rate, tail latencies and errors of an open load."""
    name, summary = result.plan.shape.value, result.summary
    rate = objectives.rate_per_s * objectives.minimum_rate_fraction
    # A backlog that is answered after the load has ended is not a rate that was held.
    end = max(sample.started_s for sample in result.samples) + objectives.p95_ms / 1000
    held = sum(sample.outcome is Outcome.OK and sample.ended_s <= end for sample in result.samples) / result.seconds
    return [
        Check(name, "rate answered", held, rate, "images/s", at_least=True),
        Check(name, "latency p95", summary.p95_ms, objectives.p95_ms, "ms"),
        Check(name, "latency p99", summary.p99_ms, objectives.p99_ms, "ms"),
        Check(name, "error fraction", summary.error_fraction, objectives.maximum_error_fraction, ""),
    ]


def check_burst(result: ShapeResult, objectives: BurstObjectives) -> list[Check]:
    """Time to the last answer of a burst, and errors."""
    name = Shape.BURST.value
    # A burst that lost an image was never finished.
    seconds = [burst.seconds if burst.failed == 0 else float("inf") for burst in result.bursts] or [float("inf")]
    return [
        Check(name, f"{objectives.images} images answered, p95", percentile(seconds, 95), objectives.p95_s, "s"),
        Check(name, "error fraction", result.summary.error_fraction, objectives.maximum_error_fraction, ""),
    ]


@dataclass(frozen=True, slots=True)
class OverloadResult:
    """A ramp to find saturation, a load beyond it, and normal load afterwards."""

    ramp: ShapeResult
    beyond: ShapeResult
    after: ShapeResult

    @property
    def peak_per_s(self) -> float:
        """Images per second answered in the best five seconds of the ramp."""
        return best_rate(self.ramp.samples)

    @property
    def goodput_per_s(self) -> float:
        """Images per second answered while the load was beyond saturation."""
        end = max(sample.started_s for sample in self.beyond.samples)
        good = [s for s in self.beyond.samples if s.outcome is Outcome.OK and s.ended_s <= end]
        return len(good) / self.beyond.seconds

    @property
    def recovery_s(self) -> float:
        """Seconds from the start of normal load until latency stays below twice the median of a light load."""
        ok = sorted((s for s in self.ramp.samples if s.outcome is Outcome.OK), key=lambda s: s.started_s)
        light = percentile([sample.latency_ms for sample in ok[: max(1, len(ok) // 4)]], 50)
        begin = min(sample.started_s for sample in self.after.samples)
        late = [s for s in self.after.samples if s.outcome is not Outcome.OK or s.latency_ms > 2 * light]
        return max((sample.started_s - begin for sample in late), default=0.0)


def check_overload(result: OverloadResult, objectives: OverloadObjectives) -> list[Check]:
    """Goodput, wasted work, memory and recovery; those that cannot be seen from here are left out."""
    name, fraction = Shape.OVERLOAD.value, objectives.minimum_goodput_fraction
    checks = [
        Check(name, "goodput", result.goodput_per_s, fraction * result.peak_per_s, "images/s", at_least=True),
        Check(name, "failures other than rejections", result.beyond.summary.failed, 0, ""),
        Check(name, "recovery", result.recovery_s, objectives.recovery_s, "s"),
    ]
    if result.beyond.steps:
        wasted = result.beyond.wasted_fraction
        checks.append(Check(name, "work thrown away", wasted, objectives.maximum_wasted_fraction, "of all images"))
    if result.beyond.peak_memory_mb is not None:
        checks.append(
            Check(name, "memory of the server", result.beyond.peak_memory_mb, objectives.maximum_memory_mb, "MB")
        )
    return checks


def check_result(result: ShapeResult, objectives: Objectives) -> list[Check]:
    """The checks of one shape; none where the objectives have no table for it."""
    shape = result.plan.shape
    if shape in (Shape.STEADY, Shape.SOAK) and objectives.steady is not None:
        return check_steady(result, objectives.steady)
    if shape is Shape.BURST and objectives.burst is not None:
        return check_burst(result, objectives.burst)
    return []


def best_rate(samples: list[Sample], *, window_s: float = 5.0) -> float:
    """The most images per second that were answered in any ``window_s`` seconds."""
    ends = sorted(sample.ended_s for sample in samples if sample.outcome is Outcome.OK)
    best, first = 0, 0
    for last, end in enumerate(ends):
        while ends[first] <= end - window_s:
            first += 1
        best = max(best, last - first + 1)
    return best / window_s
