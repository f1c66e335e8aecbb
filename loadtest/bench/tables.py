"""A bench as Markdown tables and as JSON; targets stand beside the figures."""

import json
from collections.abc import Sequence
from dataclasses import asdict

from loadtest.bench.bench import MEMORY_CONCURRENCY, RATIO_CONCURRENCY, Bench
from loadtest.photographs import SizeClass

_TARGET_CPU_RATIO = 0.95
_TARGET_LATENCY_RATIO = 1.15
_TARGET_MEMORY_MB = 2000.0
_PROTOCOLS = ("grpc", "http")


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table, columns padded so that it reads well as plain text too; all but the first to the right."""
    widths = [max(len(line[i]) for line in (header, *rows)) for i in range(len(header))]

    def line(cells: Sequence[str]) -> str:
        padded = [c.ljust(w) if i == 0 else c.rjust(w) for i, (c, w) in enumerate(zip(cells, widths, strict=True))]
        return f"| {' | '.join(padded)} |"

    rule = "|" + "|".join("-" * (w + 1) + ("-" if i == 0 else ":") for i, w in enumerate(widths)) + "|"
    return "\n".join([line(header), rule, *(line(row) for row in rows)])


def render_tables(bench: Bench) -> str:
    """All tables, with the machine in front."""
    effort = bench.effort
    parts = [
        f"{bench.machine}. Load average {bench.load_before:.1f} before, {bench.load_after:.1f} after; runs of "
        f"{effort.seconds:g} s, medians of {effort.turns}. Targets are for two cores with AMX.",
        "### Against the ceiling\n\n" + _ratios(bench),
        "### Served\n\n" + _served(bench),
        f"### Where the time goes, at concurrency {RATIO_CONCURRENCY} over gRPC, ms per image\n\n" + _steps(bench),
        "### Budget of one photograph, ms of CPU in one process\n\n" + _budget(bench),
    ]
    return "\n\n".join(parts) + "\n"


def render_json(bench: Bench) -> str:
    """Every figure."""
    document = {
        "schema_version": "1.0",
        "machine": bench.machine,
        "load_average": [bench.load_before, bench.load_after],
        "effort": asdict(bench.effort),
        "ceilings": {size.value: asdict(ceiling) for size, ceiling in bench.ceilings.items()},
        "rows": [{**asdict(row), "size": row.size.value} for row in bench.rows],
        "cpu_ratios": {s.value: {p: bench.cpu_ratio(s, p) for p in _PROTOCOLS} for s in SizeClass},
        "latency_ratios": {s.value: {p: bench.latency_ratio(s, p) for p in _PROTOCOLS} for s in SizeClass},
        "budgets_ms": {size.value: parts for size, parts in bench.budgets.items()},
        "peak_memory_mb": bench.memory_mb,
        "memory_run": asdict(bench.memory_run) if bench.memory_run else None,
    }
    return json.dumps(document, indent=2) + "\n"


def _ratios(bench: Bench) -> str:
    rows = []
    for size in SizeClass:
        ceiling = bench.ceilings[size]
        for protocol in _PROTOCOLS:
            row = bench.row(size, protocol, RATIO_CONCURRENCY)
            alone = bench.row(size, protocol, 1)
            rows.append(
                [
                    f"{size.value} {protocol}",
                    f"{ceiling.rate_per_s:.2f}",
                    f"{row.rate_per_s:.2f}",
                    f"{row.rate_per_s / ceiling.rate_per_s:.2f}",
                    f"{1000 / ceiling.cpu_ms:.2f}",
                    f"{1000 / row.cpu_ms:.2f}",
                    f"{bench.cpu_ratio(size, protocol):.3f}",
                    f"{ceiling.latency_ms:.0f}",
                    f"{alone.p50_ms:.0f}",
                    f"{bench.latency_ratio(size, protocol):.2f}",
                ]
            )
    header = [
        f"c = {RATIO_CONCURRENCY}", "ceiling/s", "served/s", "b/a",
        "ceiling img/CPU-s", "served img/CPU-s", f"ratio (>= {_TARGET_CPU_RATIO})",
        "alone ms", "served c=1 ms", f"ratio (<= {_TARGET_LATENCY_RATIO})",
    ]  # fmt: skip
    memory = f"Memory of all server processes at {MEMORY_CONCURRENCY} concurrent full-size photographs: "
    memory += f"{bench.memory_mb:.0f} MB at its peak (target: under {_TARGET_MEMORY_MB:.0f} MB)."
    full = next(iter(SizeClass))
    return "\n\n".join([table(header, rows), f"Ceiling at full size: {bench.ceilings[full].arrangement}.", memory])


def _served(bench: Bench) -> str:
    rows = [
        [
            f"{row.size.value} {row.protocol} c={row.concurrency}",
            f"{row.rate_per_s:.2f}",
            *(f"{value:.0f}" for value in (row.p50_ms, row.p95_ms, row.p99_ms, row.cpu_ms)),
        ]
        for row in bench.rows
    ]
    return table(["", "images/s", "p50 ms", "p95 ms", "p99 ms", "server CPU ms/image"], rows)


def _steps(bench: Bench) -> str:
    rows = []
    for size in SizeClass:
        row = bench.row(size, "grpc", RATIO_CONCURRENCY)
        inside = 0.0
        for step in row.steps:
            inside += step.queue_ms + step.compute_ms + step.copies_ms
            values = (step.queue_ms, step.compute_ms, step.copies_ms)
            rows.append([f"{size.value} {step.model}", *(f"{value:.1f}" for value in values), f"{step.batch:.2f}"])
        rows.append([f"{size.value} wire, client, between steps", "", f"{max(0.0, row.p50_ms - inside):.1f}", "", ""])
    return table(["", "queue", "compute", "copies", "mean batch"], rows)


def _budget(bench: Bench) -> str:
    parts = list(next(iter(bench.budgets.values())))
    rows = [[part, *(f"{bench.budgets[size][part]:.1f}" for size in SizeClass)] for part in parts]
    sums = {size: sum(bench.budgets[size].values()) for size in SizeClass}
    rows.append(["sum", *(f"{sums[size]:.1f}" for size in SizeClass)])
    overhead = {size: bench.row(size, "grpc", RATIO_CONCURRENCY).cpu_ms for size in SizeClass}
    rows.append(["served, all processes", *(f"{overhead[size]:.1f}" for size in SizeClass)])
    return table(["", *(size.value for size in SizeClass)], rows)
