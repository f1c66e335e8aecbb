"""Measured figures as JSON, for the model card, and as tables, for a reader."""

import dataclasses
import json
from pathlib import Path
from typing import Any

from training.errors import RunError
from training.evaluation import Evaluation, HealthyFigures
from training.sweep import AcrossFolds, SweepPoint
from training.temperature import TemperatureFit

_SHOWN_THRESHOLDS = 6  # of the sweep's table, around the chosen one


def to_json(evaluation: Evaluation, healthy: HealthyFigures | None) -> dict[str, Any]:
    """All figures of an evaluation, the derived ones too."""
    figures = dataclasses.asdict(evaluation) | {
        "aupr_loss": evaluation.aupr_loss,
        "lesion_sensitivity": evaluation.lesions.sensitivity,
        "false_lesions_per_image": evaluation.false_lesions_per_image,
    }
    if healthy is not None:
        figures["healthy"] = dataclasses.asdict(healthy) | {"share": healthy.share}
    return figures


def write_json(path: Path, figures: dict[str, Any]) -> None:
    """Write figures, making the folder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")


def read_json(path: Path) -> dict[str, Any]:
    """Figures that ``write_json`` wrote. Raises RunError when there are none."""
    try:
        figures: dict[str, Any] = json.loads(path.read_text("utf-8"))
    except OSError as error:
        raise RunError(f"{path}: {error.strerror}; write it first (python -m training evaluate --json)") from error
    except json.JSONDecodeError as error:
        raise RunError(f"{path} is not valid JSON: {error}") from error
    return figures


def evaluation_table(evaluation: Evaluation, healthy: HealthyFigures | None) -> str:
    """One figure a line."""
    lesions = evaluation.lesions
    rows = [
        ("photographs", str(len(evaluation.photographs))),
        ("AUPR, served (8 bit)", f"{evaluation.aupr_served:.4f}"),
        ("AUPR, float32", f"{evaluation.aupr_float:.4f}"),
        ("lost by the served form", f"{evaluation.aupr_loss:.4f}"),
        ("Dice", f"{evaluation.dice:.4f}   median of photographs {evaluation.median_dice:.4f}"),
        ("IoU", f"{evaluation.iou:.4f}   median of photographs {evaluation.median_iou:.4f}"),
        ("lesion sensitivity", f"{lesions.sensitivity:.4f}   {lesions.found} of {lesions.annotated}"),
        ("false lesions per photograph", f"{evaluation.false_lesions_per_image:.2f}"),
        ("expected calibration error", f"{evaluation.calibration_error:.5f}"),
    ]
    if healthy is not None:
        flagged = f"{healthy.share:.4f}   {len(healthy.flagged)} of {healthy.photographs}"
        rows.append(("grade 0 with a reported lesion", flagged))
    return "\n".join(f"{name:<32}{value}" for name, value in rows)


def temperature_table(fit: TemperatureFit) -> str:
    """The fitted temperature beside others."""
    lines = ["temperature       NLL   calibration error   AUPR 8 bit   AUPR float"]
    for p in fit.points:
        mark = "*" if p.temperature == fit.chosen else " "
        lines.append(
            f"{p.temperature:>10.2f}{mark}{p.negative_log_likelihood:>10.5f}{p.calibration_error:>20.5f}"
            f"{p.aupr_8bit:>13.4f}{p.aupr_float:>13.4f}"
        )
    return "\n".join([*lines, "the first is the likeliest; * chosen"])


def sweep_table(points: list[SweepPoint], chosen: SweepPoint) -> str:
    """The trade-off around the chosen settings."""
    thresholds = sorted({p.threshold for p in points}, key=lambda t: abs(t - chosen.threshold))[:_SHOWN_THRESHOLDS]
    lines = ["threshold   min. area     Dice   sensitivity   false/photo   grade 0 flagged"]
    for p in points:
        if p.threshold in thresholds:
            mark = "*" if p == chosen else " "
            lines.append(
                f"{p.threshold:>9.2f}{p.minimum_area_grid_px:>12.0f}{mark}{p.dice:>8.4f}{p.sensitivity:>14.4f}"
                f"{p.false_per_image:>14.2f}{p.flagged_share:>18.4f}"
            )
    return "\n".join([*lines, "* chosen"])


def across_table(across: AcrossFolds) -> str:
    """What choosing on the other folds gives on each held-out one."""
    chosen = ", ".join(f"{threshold:g} and {area:g}" for threshold, area in across.choices)
    return (
        f"threshold and area chosen on the other folds ({chosen}): Dice {across.dice:.4f}, "
        f"sensitivity {across.sensitivity:.4f}, {across.false_per_image:.2f} false/photo, "
        f"grade 0 flagged {across.flagged_share:.4f}"
    )
