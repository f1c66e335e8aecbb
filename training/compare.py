"""``python -m training compare``: a table and plots of runs that differ in one thing, from their committed logs."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from training.card import EVALUATION
from training.errors import RunError
from training.figures import read_json
from training.plots import Curve, plot_curves
from training.run_facts import FILE_NAME as FACTS_NAME
from training.run_log import FILE_NAME as LOG_NAME
from training.run_log import Record, read_log, trained_seconds

BEGIN, END = "<!-- compare: begin -->", "<!-- compare: end -->"


@dataclass(frozen=True, slots=True)
class Fold:
    """One run: its figures on the photographs it held out, its log, and the hours of training and of pre-training."""

    number: int
    aupr: float
    dice: float
    log: list[Record]
    hours: float
    pretraining_hours: float


@dataclass(frozen=True, slots=True)
class Arm:
    """Runs of one configuration with one number of annotated photographs to learn from, one per fold."""

    name: str
    annotated: int
    folds: tuple[Fold, ...]


def compare(folder: Path, *, page: Path) -> str:
    """Put the table between BEGIN and END of ``page``, the plots into ``images`` beside it; returns the table."""
    arms = read_arms(folder)
    table = comparison_table(arms)
    text = page.read_text("utf-8") if page.exists() else ""
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise RunError(f"{page} lacks the lines {BEGIN} and {END}, between which the table goes")
    page.write_text(f"{before}{BEGIN}\n{table}\n{END}{after}", encoding="utf-8")
    _plot(arms, page.parent / "images")
    return table


def _plot(arms: Sequence[Arm], images: Path) -> None:
    """Learning curves of each configuration with most labels, and AUPR over labels where their number varies."""
    named = {arm.name: [a for a in arms if a.name == arm.name] for arm in arms}
    learning = [Curve(name, _mean_curve(own[-1])) for name, own in named.items()]
    plot_curves(learning, images / "learning-curves.png", x="step", y="AUPR of held-out photographs (model grid)")
    labels = [
        Curve(name, [(arm.annotated, _mean([f.aupr for f in arm.folds])) for arm in own])
        for name, own in named.items()
        if len(own) > 1
    ]
    if labels:
        plot_curves(labels, images / "label-efficiency.png", x="annotated photographs", y="AUPR")


def read_arms(folder: Path) -> list[Arm]:
    """Every run under ``folder`` that was evaluated, grouped and sorted by name and number of labels.

    The log of the pre-training that it starts from is looked for in the folder of that name.
    """
    groups: dict[tuple[str, int], list[Fold]] = {}
    for path in sorted(folder.rglob(EVALUATION)):
        facts, figures = read_json(path.parent / FACTS_NAME), read_json(path)
        log = read_log(path.parent / LOG_NAME)
        encoder = Path(facts["config"]["network"]["start"]).parent.name
        pretraining = read_log(folder / encoder / LOG_NAME) if encoder else []
        hours = [trained_seconds(records) / 3600 for records in (log, pretraining)]
        fold = Fold(facts["fold"], figures["aupr_served"], figures["dice"], log, *hours)
        groups.setdefault((facts["config"]["name"], len(facts["training"])), []).append(fold)
    if not groups:
        raise RunError(f"no evaluated run under {folder}: each needs run.json, log.jsonl and {EVALUATION}")
    return [Arm(name, annotated, tuple(folds)) for (name, annotated), folds in sorted(groups.items())]


def comparison_table(arms: Sequence[Arm]) -> str:
    """Mean and standard deviation over folds, best AUPR first.

    Folds differ more than arms do, so each is also compared with the best one's AUPR on the same fold.
    """
    ranked = sorted(arms, key=lambda arm: -_mean([f.aupr for f in arm.folds]))
    best = {fold.number: fold.aupr for fold in ranked[0].folds}
    columns = ["run", "annotated", "folds", "AUPR", "less than the best, by fold", "Dice"]
    columns += ["hours per fold", "hours of pre-training"]
    rows = [f"| {' | '.join(columns)} |", "|---" * len(columns) + "|"]
    for arm in ranked:
        hours = [_mean(values) for values in ([f.hours for f in arm.folds], [f.pretraining_hours for f in arm.folds])]
        aupr, dice = (_spread(values) for values in ([f.aupr for f in arm.folds], [f.dice for f in arm.folds]))
        less = [best[fold.number] - fold.aupr for fold in arm.folds if fold.number in best]
        behind = _spread(less) if less and arm is not ranked[0] else "-"
        cost = " | ".join(f"{value:.2f}" for value in hours)
        rows.append(f"| {arm.name} | {arm.annotated} | {len(arm.folds)} | {aupr} | {behind} | {dice} | {cost} |")
    return "\n".join(rows)


def _mean_curve(arm: Arm) -> list[tuple[float, float]]:
    """Mean over folds of the AUPR measured while training, at the steps that every fold has."""
    curves = [{r["step"]: r["validation_aupr"] for r in fold.log if "validation_aupr" in r} for fold in arm.folds]
    common = sorted(set.intersection(*(set(curve) for curve in curves)))
    return [(step, _mean([curve[step] for curve in curves])) for step in common]


def _mean(values: Sequence[float]) -> float:
    return statistics.fmean(values)


def _spread(values: Sequence[float]) -> str:
    deviation = f" ± {statistics.stdev(values):.3f}" if len(values) > 1 else ""
    return f"{_mean(values):.3f}{deviation}"
