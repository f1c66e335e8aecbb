"""The measuring programs, each run as a process of its own."""

import json
import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from loadtest.bench.ceiling import Ceiling
from loadtest.errors import LoadTestError
from loadtest.paths import ROOT
from loadtest.photographs import SizeClass
from loadtest.processes import PeakMemory
from loadtest.run import window_of
from loadtest.samples import Outcome, Sample, Summary, read_records, summarise
from segserve_server.embedded.runtime import ALLOCATOR

_SPARE_S = 120.0  # start, warm-up and requests in flight, on a busy machine


@dataclass(frozen=True, slots=True)
class Served:
    """One run of load: figures, CPU milliseconds per good answer (client excluded), memory, errors.

    ``after_s``: seconds from the last request sent to the last answer.
    """

    summary: Summary
    cpu_ms: float
    peak_memory_mb: float
    errors: tuple[str, ...]
    after_s: float


def run_ceiling(size: SizeClass, *, seconds: float) -> Ceiling:
    """Measure the ceiling in a fresh process."""
    arguments = ["loadtest.bench.ceiling", size.value, "--seconds", str(seconds)]
    return Ceiling(**json.loads(_run(arguments, timeout_s=4 * seconds + _SPARE_S)))


def run_load(
    sender: str,
    url: str,
    server_pid: int,
    *,
    size: SizeClass,
    seconds: float,
    concurrency: int | None = None,
    rate_per_s: float | None = None,
    client_counts: bool = False,
) -> Served:
    """Send load from a fresh process and watch the server. ``client_counts``: the client does part of the work."""
    with tempfile.TemporaryDirectory() as folder, PeakMemory(server_pid) as memory:
        records = Path(folder) / "records.jsonl"
        arguments = ["loadtest.bench.generator", sender, url, str(records), str(server_pid)]
        arguments += ["--size", size.value, "--seconds", str(seconds)]
        arguments += ["--rate", str(rate_per_s)] if rate_per_s else ["--concurrency", str(concurrency)]
        used = json.loads(_run(arguments, timeout_s=seconds + _SPARE_S))
        samples, _ = read_records(records)
    cpu_s = used["server"] + (used["client"] if client_counts else 0.0)
    if not samples:
        raise LoadTestError(f"{url}: nothing was sent in {seconds:.0f} s")
    good = sum(sample.outcome is Outcome.OK for sample in samples)
    window = _window(samples, rate_per_s)
    return Served(
        summary=summarise(samples, seconds=window),
        cpu_ms=cpu_s / max(1, good) * 1000,
        peak_memory_mb=memory.peak_mb,
        errors=tuple(sorted({sample.error[:160] for sample in samples if sample.error}))[:5],
        after_s=max(sample.ended_s for sample in samples) - max(sample.started_s for sample in samples),
    )


def _window(samples: list[Sample], rate_per_s: float | None) -> float:
    """Seconds that answers were given in: of a closed load from first sent to last answered."""
    if rate_per_s is None:
        return max(sample.ended_s for sample in samples) - min(sample.started_s for sample in samples)
    return max(window_of(samples), max(s.ended_s for s in samples) - min(s.started_s for s in samples))


def _run(arguments: list[str], *, timeout_s: float) -> str:
    try:
        done = subprocess.run(
            [sys.executable, "-m", *arguments],
            cwd=ROOT,
            env=ALLOCATOR | os.environ,  # the ceiling has what the server's processes have
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=timeout_s,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise LoadTestError(f"{arguments[0]} did not end within {timeout_s:.0f} s") from error
    if done.returncode != 0:
        raise LoadTestError(f"{arguments[0]} failed: {done.stderr[-2000:].strip()}")
    return done.stdout
