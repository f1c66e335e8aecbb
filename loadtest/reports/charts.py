"""Charts as SVG text."""

import io
from collections.abc import Callable
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from loadtest.run import ShapeResult
from loadtest.samples import Outcome, percentile
from loadtest.triton_metrics import steps_between

_INK, _FAINT, _LIMIT = "#1f2933", "#d5dbe1", "#c0392b"
_PROTOCOLS = {"grpc": "#2a6fbb", "http": "#e08a1e"}
_PARTS = {"queue": "#c8b6e2", "copies": "#9aa5b1", "compute": "#2f9e7f"}
_STEPS = ("#2a6fbb", "#2f9e7f", "#e08a1e", "#8e5ea2")
_STYLE: dict[Any, Any] = {
    "svg.fonttype": "none",  # text stays text: small, searchable, in the page's font
    "font.family": "sans-serif",
    "font.size": 10.0,
    "axes.edgecolor": _FAINT,
    "axes.labelcolor": _INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#edf0f3",
    "xtick.color": _INK,
    "ytick.color": _INK,
    "legend.frameon": False,
}


def latency_over_time(result: ShapeResult, *, limit_ms: float | None) -> str:
    """Every request as a dot, the running 95th percentile as a line, rejections along the bottom."""

    def draw(axes: Axes) -> None:
        begin = min(sample.started_s for sample in result.samples)
        for protocol, color in _PROTOCOLS.items():
            dots = [s for s in result.samples if s.protocol == protocol and s.outcome is Outcome.OK]
            axes.scatter(
                *([s.started_s - begin for s in dots], [s.latency_ms for s in dots]),
                s=9, color=color, alpha=0.55, linewidths=0, label=protocol if dots else None,
            )  # fmt: skip
        lost = [s for s in result.samples if s.outcome is not Outcome.OK]
        if lost:
            axes.scatter(
                *([s.started_s - begin for s in lost], [s.latency_ms for s in lost]),
                s=14, color=_LIMIT, marker="x", linewidths=0.8, label="rejected or failed",
            )  # fmt: skip
        ok = sorted((s.started_s - begin, s.latency_ms) for s in result.samples if s.outcome is Outcome.OK)
        width = max(20, len(ok) // 12)
        running = [(ok[i][0], percentile([v for _, v in ok[i - width : i]], 95)) for i in range(width, len(ok))]
        if running:
            axes.plot(*zip(*running, strict=True), color=_INK, linewidth=1.4, label=f"p95 of {width} requests")
        if limit_ms is not None:
            axes.axhline(limit_ms, color=_LIMIT, linewidth=1, linestyle=(0, (4, 3)))
            axes.annotate("p95 objective", (1, limit_ms), xycoords=("axes fraction", "data"), color=_LIMIT,
                          ha="right", va="bottom", fontsize=9)  # fmt: skip
        axes.set_ylim(bottom=0)
        axes.set_xlabel("seconds")
        axes.set_ylabel("latency, ms")
        axes.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=4, fontsize=9)

    return _draw(draw, height=2.9)


def bursts(result: ShapeResult, *, limit_s: float | None) -> str:
    """One bar per burst: seconds until its last image was answered."""

    def draw(axes: Axes) -> None:
        colors = [_LIMIT if limit_s is not None and b.seconds > limit_s else _STEPS[0] for b in result.bursts]
        axes.bar(range(1, len(result.bursts) + 1), [b.seconds for b in result.bursts], color=colors, width=0.7)
        if limit_s is not None:
            axes.axhline(limit_s, color=_LIMIT, linewidth=1, linestyle=(0, (4, 3)))
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.set_xlabel("burst")
        axes.set_ylabel(f"seconds for {result.plan.burst_images} images")

    return _draw(draw, height=2.3)


def steps(result: ShapeResult) -> str:
    """Where an image's time goes: queue, copies and compute of each step, side by side."""

    def draw(axes: Axes) -> None:
        names = [_short(step.model) for step in result.steps][::-1]
        left = [0.0] * len(names)
        parts = {
            "queue": [step.queue_ms for step in result.steps],
            "copies": [step.copies_ms for step in result.steps],
            "compute": [step.compute_ms for step in result.steps],
        }
        for part, values in parts.items():
            values.reverse()
            axes.barh(names, values, left=left, color=_PARTS[part], height=0.6, label=part)
            left = [a + b for a, b in zip(left, values, strict=True)]
        for position, (end, step) in enumerate(zip(left, reversed(result.steps), strict=True)):
            axes.annotate(f"{end:.0f} ms, batch {step.batch:.2f}", (end, position), xytext=(5, 0),
                          textcoords="offset points", va="center", fontsize=9, color=_INK)  # fmt: skip
        axes.set_xlim(right=max(left) * 1.25)
        axes.set_xlabel("milliseconds per image, mean over the run (Triton's own counters)")
        axes.grid(visible=False, axis="y")
        axes.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=3, fontsize=9)

    return _draw(draw, height=1.2 + 0.42 * len(result.steps))


def steps_over_time(result: ShapeResult) -> str:
    """Queue time (dashed) and compute time (solid) of each step from second to second."""

    def draw(axes: Axes) -> None:
        begin = result.readings[0].at_s
        series: dict[str, list[tuple[float, float, float]]] = {}
        for before, after in zip(result.readings, result.readings[1:], strict=False):
            for step in steps_between(before.counters, after.counters):
                if step.answered:
                    point = (after.at_s - begin, step.queue_ms, step.compute_ms)
                    series.setdefault(_short(step.model), []).append(point)
        for (name, points), color in zip(sorted(series.items()), _STEPS, strict=False):
            times, queues, computes = zip(*points, strict=True)
            axes.plot(times, computes, color=color, linewidth=1.6, label=f"{name}: compute")
            axes.plot(times, queues, color=color, linewidth=1.2, linestyle=(0, (2, 2)), label="queue")
        axes.set_ylim(bottom=0)
        axes.set_xlabel("seconds")
        axes.set_ylabel("ms per image")
        axes.legend(loc="upper left", ncols=max(1, len(series)), fontsize=8)

    return _draw(draw, height=2.6)


def _short(model: str) -> str:
    return model.rsplit("_", 1)[-1]


def _draw(draw: Callable[[Axes], None], *, height: float) -> str:
    with mpl.rc_context(_STYLE):
        figure = Figure(figsize=(8.6, height), layout="constrained")
        draw(figure.subplots())
        text = io.StringIO()
        figure.savefig(text, format="svg", metadata={"Date": None})
    return text.getvalue()[text.getvalue().index("<svg") :]
