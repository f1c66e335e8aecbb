"""The ceiling: the pipeline in one process with every core busy; run as a program, so that it starts from nothing.

Of two ways to keep the cores busy the better one counts: one image per core at a time, each with one engine thread;
or one image at a time on all cores in the engine, while another thread does the imaging of the next.
"""

import argparse
import json
import os
import statistics
import threading
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass

import cv2

from loadtest.bench.pipeline import Pipeline
from loadtest.photographs import SizeClass, load_photographs

_LATENCY_IMAGES = 12


@dataclass(frozen=True, slots=True)
class Ceiling:
    """Images per second with all cores busy, CPU milliseconds of an image, latency of one image alone (median)."""

    rate_per_s: float
    cpu_ms: float
    latency_ms: float
    arrangement: str


def measure_ceiling(size: SizeClass, *, seconds: float) -> Ceiling:
    """Measure in this process: ``seconds`` for each arrangement."""
    cv2.setNumThreads(1)
    photographs = load_photographs(size)
    cores = len(os.sched_getaffinity(0))
    alone = Pipeline()
    latency_ms = _latency(alone, photographs)
    arrangements = {
        f"{cores} workers, 1 engine thread each": [Pipeline(threads=1) for _ in range(cores)],
        f"1 worker, {cores} engine threads": [alone],
        f"{cores} workers, {cores} engine threads each": [Pipeline() for _ in range(cores)],
    }
    found = []
    for name, workers in arrangements.items():
        rate, cpu_ms = _saturate(workers, photographs, seconds)
        found.append(Ceiling(rate, cpu_ms, latency_ms, name))
    return max(found, key=lambda ceiling: ceiling.rate_per_s)


def _latency(pipeline: Pipeline, photographs: Sequence[bytes]) -> float:
    times = []
    for index in range(_LATENCY_IMAGES + 2):
        began = time.perf_counter()
        pipeline.run(photographs[index % len(photographs)])
        times.append((time.perf_counter() - began) * 1000)
    return statistics.median(times[2:])


def _saturate(workers: Sequence[Pipeline], photographs: Sequence[bytes], seconds: float) -> tuple[float, float]:
    """Images per second and CPU milliseconds per image of workers that run side by side."""
    for worker in workers:
        worker.run(photographs[0])
    counts = [0] * len(workers)
    end = time.perf_counter() + seconds

    def work(index: int) -> None:
        while time.perf_counter() < end:
            workers[index].run(photographs[counts[index] % len(photographs)])
            counts[index] += 1

    threads = [threading.Thread(target=work, args=(index,)) for index in range(len(workers))]
    began, cpu = time.perf_counter(), time.process_time()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sum(counts) / (time.perf_counter() - began), (time.process_time() - cpu) / max(1, sum(counts)) * 1000


def main() -> None:
    """Print a Ceiling as JSON."""
    parser = argparse.ArgumentParser(prog="python -m loadtest.bench.ceiling")
    parser.add_argument("size", type=SizeClass)
    parser.add_argument("--seconds", type=float, default=4.0)
    options = parser.parse_args()
    print(json.dumps(asdict(measure_ceiling(options.size, seconds=options.seconds))))  # noqa: T201


if __name__ == "__main__":
    main()
