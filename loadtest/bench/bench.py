"""``python -m loadtest bench``: ceiling and server in turn, for each size of photograph and protocol."""

import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import cv2

from loadtest import triton_metrics
from loadtest.bench.ceiling import Ceiling
from loadtest.bench.children import Served, run_ceiling, run_load
from loadtest.bench.pipeline import Pipeline
from loadtest.errors import LoadTestError
from loadtest.machine import describe_machine, load_average
from loadtest.photographs import SizeClass, load_photographs
from loadtest.target import Target, open_target
from loadtest.triton_metrics import StepTimes

RATIO_CONCURRENCY = 8
MEMORY_CONCURRENCY = 64
_CONCURRENCIES = (1, 2, 4, 8, 16, 32)
_FEW = (1, RATIO_CONCURRENCY)


@dataclass(frozen=True, slots=True)
class Effort:
    """How long to measure.

    Attributes:
        seconds: of each run.
        turns: how often ceiling and server take turns; medians are reported.
        full: every concurrency for every size and protocol, not for full-size photographs over gRPC alone.
    """

    seconds: float = 6.0
    turns: int = 3
    full: bool = True


QUICK = Effort(seconds=3.0, turns=3, full=False)


@dataclass(frozen=True, slots=True)
class Row:
    """One size, protocol and concurrency; medians over the turns."""

    size: SizeClass
    protocol: str
    concurrency: int
    rate_per_s: float
    p50_ms: float
    p95_ms: float
    p99_ms: float
    cpu_ms: float
    steps: list[StepTimes]


@dataclass
class Bench:
    """Everything that was measured."""

    machine: str
    load_before: float
    effort: Effort
    ceilings: dict[SizeClass, Ceiling] = field(default_factory=dict)
    rows: list[Row] = field(default_factory=list)
    budgets: dict[SizeClass, dict[str, float]] = field(default_factory=dict)
    memory_mb: float = 0.0
    memory_run: Served | None = None
    load_after: float = 0.0

    def row(self, size: SizeClass, protocol: str, concurrency: int) -> Row:
        """The row of these. Raises LoadTestError when it was not measured."""
        for row in self.rows:
            if (row.size, row.protocol, row.concurrency) == (size, protocol, concurrency):
                return row
        raise LoadTestError(f"{size.value} over {protocol} at concurrency {concurrency} was not measured")

    def cpu_ratio(self, size: SizeClass, protocol: str) -> float:
        """Images per server CPU-second, served over ceiling, at the concurrency that the target names."""
        return self.ceilings[size].cpu_ms / self.row(size, protocol, RATIO_CONCURRENCY).cpu_ms

    def latency_ratio(self, size: SizeClass, protocol: str) -> float:
        """Median latency at concurrency 1 over that of the pipeline in one process."""
        return self.row(size, protocol, 1).p50_ms / self.ceilings[size].latency_ms


def run_bench(effort: Effort, *, tell: Callable[[str], None]) -> Bench:
    """Measure everything; the embedded server runs throughout, idle while the ceiling is measured."""
    cv2.setNumThreads(1)
    bench = Bench(describe_machine(), load_average(), effort)
    for size in SizeClass:
        bench.budgets[size] = measure_budget(size)
    with open_target() as target:
        for size in SizeClass:
            tell(f"{size.value}: ceiling and server in turn")
            _run_size(bench, target, size)
        tell(f"memory at {MEMORY_CONCURRENCY} concurrent full-size photographs")
        bench.memory_run = _load(target, "grpc", SizeClass.FULL, MEMORY_CONCURRENCY, 2 * effort.seconds)
        bench.memory_mb = bench.memory_run.peak_memory_mb
    bench.load_after = load_average()
    return bench


def measure_budget(size: SizeClass, *, images: int = 7) -> dict[str, float]:
    """CPU milliseconds of each part of the pipeline, medians over ``images`` photographs."""
    photographs = load_photographs(size)
    pipeline = Pipeline(threads=1)
    pipeline.run(photographs[0])
    laps = [pipeline.budget(photographs[index % len(photographs)]) for index in range(images)]
    return {part: statistics.median(lap[part] for lap in laps) for part in laps[0]}


def _run_size(bench: Bench, target: Target, size: SizeClass) -> None:
    effort = bench.effort
    ceilings: list[Ceiling] = []
    runs: dict[tuple[str, int], list[tuple[Served, list[StepTimes]]]] = {}
    for _ in range(effort.turns):
        ceilings.append(run_ceiling(size, seconds=effort.seconds))
        for key in _cells(effort, size):
            # The cells that no target names are measured once.
            if key in runs and key[1] not in _FEW:
                continue
            before = triton_metrics.fetch(target.metrics_url or "")
            served = _load(target, *key[:1], size, key[1], effort.seconds)
            steps = triton_metrics.steps_between(before, triton_metrics.fetch(target.metrics_url or ""))
            runs.setdefault(key, []).append((served, steps))
    bench.ceilings[size] = median_ceiling(ceilings)
    for (protocol, concurrency), results in sorted(runs.items()):
        bench.rows.append(_median_row(size, protocol, concurrency, results))


def _cells(effort: Effort, size: SizeClass) -> list[tuple[str, int]]:
    sweep: dict[str, tuple[int, ...]] = {"grpc": _CONCURRENCIES, "http": _CONCURRENCIES}
    if not effort.full:
        sweep = {"grpc": _CONCURRENCIES if size is SizeClass.FULL else _FEW, "http": _FEW}
    return [(protocol, concurrency) for protocol, levels in sweep.items() for concurrency in levels]


def _load(target: Target, protocol: str, size: SizeClass, concurrency: int, seconds: float) -> Served:
    url = next(url for url in target.urls if url.startswith(protocol))
    if target.pid is None:
        raise LoadTestError("the benchmark needs the server's process id: it runs on the embedded server only")
    served = run_load("sdk", url, target.pid, size=size, seconds=seconds, concurrency=concurrency)
    if served.summary.ok == 0:
        raise LoadTestError(f"{url}: no request succeeded: {'; '.join(served.errors)}")
    return served


def median_ceiling(ceilings: Sequence[Ceiling]) -> Ceiling:
    """The run with the median rate, with the medians of the others' figures."""
    middle = sorted(ceilings, key=lambda ceiling: ceiling.rate_per_s)[len(ceilings) // 2]
    return Ceiling(
        middle.rate_per_s,
        statistics.median(ceiling.cpu_ms for ceiling in ceilings),
        statistics.median(ceiling.latency_ms for ceiling in ceilings),
        middle.arrangement,
    )


def _median_row(
    size: SizeClass, protocol: str, concurrency: int, results: Sequence[tuple[Served, list[StepTimes]]]
) -> Row:
    served = [each for each, _ in results]
    return Row(
        size=size,
        protocol=protocol,
        concurrency=concurrency,
        rate_per_s=statistics.median(each.summary.rate_per_s for each in served),
        p50_ms=statistics.median(each.summary.p50_ms for each in served),
        p95_ms=statistics.median(each.summary.p95_ms for each in served),
        p99_ms=statistics.median(each.summary.p99_ms for each in served),
        cpu_ms=statistics.median(each.cpu_ms for each in served),
        steps=results[len(results) // 2][1],
    )
