"""Runs one shape of load against a target, in a locust process of its own, and gathers what is known of it."""

import os
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from loadtest import triton_metrics
from loadtest.errors import LoadTestError
from loadtest.paths import ROOT
from loadtest.processes import PeakMemory, cpu_seconds
from loadtest.samples import Burst, Sample, Summary, read_records, summarise
from loadtest.shapes import Plan
from loadtest.target import Target
from loadtest.triton_metrics import Counters, StepTimes

_LOCUSTFILES = [Path(__file__).with_name(name) for name in ("locustfile.py", "locust_shape.py")]
_START_S = 30.0  # locust's own start and end, on a busy machine
_STOP_S = 60  # for requests in flight at the end
_READ_EVERY_S = 1.0


@dataclass(frozen=True, slots=True)
class Reading:
    """Triton's counters at one moment, in seconds since the epoch."""

    at_s: float
    counters: Counters


@dataclass(frozen=True, slots=True)
class ShapeResult:
    """What one run of a shape came to.

    Attributes:
        plan: the load that was sent.
        samples, bursts: every request, in the order of answers; every burst.
        seconds: the window in which requests were sent.
        summary: figures over all samples.
        steps: time per step over the whole run; empty where Triton's metrics cannot be read.
        readings: Triton's counters about every second.
        cpu_s: CPU time of the server; None where it was not started here.
        peak_memory_mb: memory of all processes of the server at its highest; None as above.
    """

    plan: Plan
    samples: list[Sample]
    bursts: list[Burst]
    seconds: float
    summary: Summary
    steps: list[StepTimes]
    readings: list[Reading]
    cpu_s: float | None
    peak_memory_mb: float | None

    @property
    def wasted_fraction(self) -> float:
        """Images that a step finished and a later step did not, of all that the first step finished."""
        answered = [step.answered for step in self.steps if step.answered]
        return 1 - min(answered) / max(answered) if answered else 0.0


def run_shape(plan: Plan, target: Target) -> ShapeResult:
    """Run it to its end. Raises LoadTestError when locust fails or no request was sent."""
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        records = Path(folder) / "records.jsonl"
        memory = stack.enter_context(PeakMemory(target.pid)) if target.pid is not None else None
        cpu_before = cpu_seconds(target.pid) if target.pid is not None else 0.0
        readings = _run_locust(plan, target, records)
        cpu_s = cpu_seconds(target.pid) - cpu_before if target.pid is not None else None
        samples, bursts = read_records(records)
    if not samples:
        raise LoadTestError(f"{plan.shape.value}: locust sent nothing in {plan.seconds:.0f} s")
    seconds = window_of(samples)
    return ShapeResult(
        plan=plan,
        samples=samples,
        bursts=bursts,
        seconds=seconds,
        summary=summarise(samples, seconds=seconds),
        steps=triton_metrics.steps_between(readings[0].counters, readings[-1].counters) if readings else [],
        readings=readings,
        cpu_s=cpu_s,
        peak_memory_mb=memory.peak_mb if memory else None,
    )


def window_of(samples: list[Sample]) -> float:
    """Seconds in which ``samples`` were sent: first to last, and one mean gap more, so that rates come out right."""
    starts = sorted(sample.started_s for sample in samples)
    if len(starts) < 2:
        return 1.0
    return max(1e-3, (starts[-1] - starts[0]) * len(starts) / (len(starts) - 1))


def _run_locust(plan: Plan, target: Target, records: Path) -> list[Reading]:
    command = [
        *(sys.executable, "-m", "locust", "--headless", "--only-summary", "--skip-log"),
        *("-f", ",".join(str(path) for path in _LOCUSTFILES)),
        *("--host", target.urls[0]),
        *("--model", target.model),
        *("--load", plan.shape.value),
        *("--seconds", str(plan.seconds)),
        *("--rate", str(plan.rate_per_s)),
        *("--burst-images", str(plan.burst_images)),
        *("--burst-pause", str(plan.burst_pause_s)),
        *("--records", str(records)),
        *("--stop-timeout", str(_STOP_S)),
        *("--exit-code-on-error", "0"),  # failed requests are ours to judge
    ]
    for url in target.urls[1:2]:
        command += ["--http", url]
    paths = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    environment = {**os.environ, "LOCUST_SKIP_MONKEY_PATCH": "1", "PYTHONPATH": paths}
    readings = _read(target)
    process = subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, text=True
    )
    try:
        deadline = time.monotonic() + plan.seconds + _START_S + _STOP_S
        while process.poll() is None:
            if time.monotonic() > deadline:
                raise LoadTestError(f"{plan.shape.value}: locust did not end {_START_S + _STOP_S:.0f} s after its time")
            time.sleep(_READ_EVERY_S)
            readings += _read(target)
    finally:
        process.kill()
        output, _ = process.communicate()
    if process.returncode != 0:
        raise LoadTestError(f"{plan.shape.value}: locust failed: {output[-2000:].strip()}")
    return readings


def _read(target: Target) -> list[Reading]:
    if target.metrics_url is None:
        return []
    return [Reading(time.time(), triton_metrics.fetch(target.metrics_url))]
