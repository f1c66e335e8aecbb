"""Made-up results."""

from loadtest.run import Reading, ShapeResult, window_of
from loadtest.samples import Burst, Outcome, Sample, summarise
from loadtest.shapes import Plan, Shape
from loadtest.triton_metrics import ModelCounters, steps_between


def make_result(
    shape: Shape = Shape.STEADY,
    *,
    rate_per_s: float = 10.0,
    seconds: float = 20.0,
    latency_ms: float = 100.0,
    failures: int = 0,
    rejections: int = 0,
    burst_s: float = 0.8,
    wasted: int = 0,
) -> ShapeResult:
    """Evenly sent requests, the last of them failed or rejected; one burst every two seconds."""
    count = round(rate_per_s * seconds)
    outcomes = [Outcome.OK] * (count - failures - rejections)
    outcomes += [Outcome.REJECTED] * rejections + [Outcome.FAILED] * failures
    samples = [
        Sample("grpc", 1000.0 + index / rate_per_s, latency_ms, outcome, "" if outcome is Outcome.OK else "why")
        for index, outcome in enumerate(outcomes)
    ]
    bursts = []
    if shape is Shape.BURST:
        bursts = [Burst(1000.0 + 2 * i, burst_s, 10, failed=min(failures, 1)) for i in range(int(seconds / 2))]
    done = ModelCounters(
        succeeded=count, inferences=count, executions=count, infer_us=1e5 * count, queue_us=5e3 * count
    )
    after = {"x": done, "x_preprocess": done, "x_segment": ModelCounters(count - wasted, 0, count, count, 0, 0, 1e5)}
    before = dict.fromkeys(after, ModelCounters())
    return ShapeResult(
        plan=Plan(shape, seconds, rate_per_s=rate_per_s),
        samples=samples,
        bursts=bursts,
        seconds=window_of(samples),
        summary=summarise(samples, seconds=window_of(samples)),
        steps=steps_between(before, after),
        readings=[Reading(1000.0, before), Reading(1010.0, after), Reading(1020.0, after)],
        cpu_s=2.0,
        peak_memory_mb=500.0,
    )
