"""Plots for the model card and for watching a run, as PNG."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.figure import Figure

from training.errors import RunError
from training.run_log import Record

_SIZE = (7.0, 3.6)
_DPI = 110
_BLUE = "#4363d8"

mpl.use("agg")


def plot_logs(logs: Mapping[str, list[Record]], output: Path) -> None:
    """Loss and, where photographs are held out, AUPR over the steps of each run, by its name."""
    figure = Figure(figsize=_SIZE, layout="constrained")
    left, right = figure.subplots(1, 2)
    for name, records in logs.items():
        losses = [(r["step"], r["loss"]) for r in records if "loss" in r]
        if not losses:
            raise RunError(f"the log of {name} holds no loss yet: nothing to plot")
        (line,) = left.plot(*zip(*losses, strict=True), label=name)
        validated = [(r["step"], r["validation_aupr"]) for r in records if "validation_aupr" in r]
        if validated:
            right.plot(*zip(*validated, strict=True), color=line.get_color(), marker="o", label=name)
    left.set(xlabel="step", ylabel="training loss", yscale="log")
    left.legend(fontsize="small")
    right.set(xlabel="step", ylabel="AUPR of held-out photographs (model grid)", ylim=(0, 1))
    _save(figure, output)


def plot_reliability(bins: Sequence[dict[str, Any]], output: Path) -> None:
    """Observed share against mean probability (a calibrated model lies on the diagonal), and pixels per interval."""
    figure = Figure(figsize=_SIZE, layout="constrained")
    left, right = figure.subplots(1, 2)
    left.plot([0, 1], [0, 1], color="grey", linestyle=":")
    left.plot([b["mean_probability"] for b in bins], [b["observed_share"] for b in bins], color=_BLUE, marker="o")
    left.set(xlabel="mean probability", ylabel="annotated share", xlim=(0, 1), ylim=(0, 1), aspect="equal")
    middles = [(b["lower"] + b["upper"]) / 2 for b in bins]
    right.bar(middles, [b["pixels"] for b in bins], width=0.09, color=_BLUE)
    right.set(xlabel="probability", ylabel="pixels", yscale="log", xlim=(0, 1))
    _save(figure, output)


@dataclass(frozen=True, slots=True)
class Curve:
    """A named line of points (x, y)."""

    name: str
    points: list[tuple[float, float]]


def plot_curves(curves: Sequence[Curve], output: Path, *, x: str, y: str) -> None:
    """Lines in one plot; ``x``, ``y``: what the axes show."""
    figure = Figure(figsize=_SIZE, layout="constrained")
    axis = figure.subplots()
    for curve in curves:
        axis.plot([px for px, _ in curve.points], [py for _, py in curve.points], marker="o", label=curve.name)
    axis.set(xlabel=x, ylabel=y, ylim=(0, 1))
    axis.legend(fontsize="small")
    _save(figure, output)


def _save(figure: Figure, output: Path) -> None:
    output.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(output, dpi=_DPI, metadata={"Software": None})
