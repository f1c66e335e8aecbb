"""``python -m training card``: docs/model-card.md and its plots, from the measured figures of runs alone."""

from collections.abc import Iterable, Sequence
from importlib.resources import files
from pathlib import Path
from string import Template
from typing import Any

from training.errors import RunError
from training.figures import read_json
from training.plots import plot_log, plot_reliability
from training.run_facts import FILE_NAME as FACTS_NAME
from training.run_log import FILE_NAME as LOG_NAME
from training.run_log import Record, join_logs, read_log, trained_seconds
from training.sweep import MAXIMUM_HEALTHY_SHARE

EVALUATION = "evaluation.json"
"""Figures of the shipped settings: ``evaluate --json``."""
SELECTION = "selection.json"
"""Figures that they were chosen by: ``evaluate --fit-temperature --sweep --json``."""
_TEMPLATE = "model_card.template.md"


def write_card(stages: Sequence[Path], *, docs: Path) -> None:
    """Write ``docs/model-card.md`` and ``docs/images/*.png``.

    ``stages``: folders of the runs that led to the weights, first to last, each with log.jsonl and run.json; the last
    also holds evaluation.json and selection.json. Raises RunError for what is missing, and when the two were measured
    at different steps.
    """
    evaluation, selection = read_json(stages[-1] / EVALUATION), read_json(stages[-1] / SELECTION)
    facts, logs = [read_json(run / FACTS_NAME) for run in stages], [read_log(run / LOG_NAME) for run in stages]
    if "healthy" not in evaluation or "sweep" not in selection or "temperature_fit" not in selection:
        raise RunError(f"{stages[-1]} lacks figures: evaluate with grade 0 photographs, --fit-temperature and --sweep")
    if evaluation["weights"]["step"] != selection["weights"]["step"]:
        raise RunError(f"{stages[-1]}: evaluation and selection belong to different steps; measure both again")
    values = _training_values(facts, logs) | _figure_values(evaluation) | _choice_values(evaluation, selection)
    template = Template((files("training") / _TEMPLATE).read_text("utf-8"))
    docs.mkdir(parents=True, exist_ok=True)
    (docs / "model-card.md").write_text(template.substitute(values), encoding="utf-8")
    plot_log(join_logs(logs), docs / "images" / "training-log.png")
    plot_reliability(evaluation["reliability"], docs / "images" / "reliability.png")


def _training_values(stages: Sequence[dict[str, Any]], logs: Sequence[list[Record]]) -> dict[str, str]:
    last = stages[-1]
    network, data = last["config"]["network"], last["config"]["data"]
    return {
        "encoder": network["encoder"],
        "decoder": " ".join(str(width) for width in network["decoder_channels"]),
        "grid": str(data["grid"]),
        "split_seed": str(data["split_seed"]),
        "trained_count": str(len(last["training"])),
        "held_count": str(len(last["validation"])),
        "held_out": ", ".join(last["validation"]),
        "stages": _stage_table(stages, logs),
    }


def _stage_table(stages: Sequence[dict[str, Any]], logs: Sequence[list[Record]]) -> str:
    columns = [_stage_column(facts, log) for facts, log in zip(stages, logs, strict=True)]
    names, *rows = [(label, *(column[label] for column in columns)) for label in columns[0]]
    return _table([names, ("---",) * len(names), *rows])


def _stage_column(facts: dict[str, Any], log: list[Record]) -> dict[str, str]:
    config, optimiser = facts["config"], facts["config"]["optimiser"]
    done = max((record["step"] for record in log), default=0)
    return {
        "stage": config["name"],
        "starts from": config["network"]["start"],
        "steps": f"{done} of {optimiser['steps']}",
        "crops per step": f"{optimiser['batch']} annotated, {config['healthy']['batch']} healthy (grade 0), "
        f"{config['unlabelled']['batch']} unlabelled; {optimiser['crop']} pixels",
        "photographs": f"{len(facts['training'])} annotated, {facts['healthy']} healthy, "
        f"{facts['unlabelled']} unlabelled",
        "optimiser": f"AdamW, one cycle up to {optimiser['learning_rate']:g}, seed {optimiser['seed']}",
        "hours": f"{trained_seconds(log) / 3600:.1f}",
        "machine": f"{facts['machine']}, torch {facts['torch']}",
    }


def _figure_values(evaluation: dict[str, Any]) -> dict[str, str]:
    lesions, healthy = evaluation["lesions"], evaluation["healthy"]
    rows = (
        (p["stem"], f"{p['dice']:.3f}", f"{p['iou']:.3f}", _found(p["lesions"]), str(p["lesions"]["false"]))
        for p in evaluation["photographs"]
    )
    return {
        "step": str(evaluation["weights"]["step"]),
        "sha256": evaluation["weights"]["sha256"],
        "temperature": f"{evaluation['weights']['temperature']:g}",
        "threshold": f"{evaluation['threshold']:g}",
        "minimum_area": f"{evaluation['minimum_area_grid_px']:g}",
        "precision": evaluation["precision"],
        "count": str(len(evaluation["photographs"])),
        **{
            name: f"{evaluation[name]:.3f}"
            for name in ("aupr_served", "aupr_float", "dice", "median_dice", "iou", "median_iou")
        },
        "aupr_loss": f"{evaluation['aupr_loss']:.4f}",
        "calibration_error": f"{evaluation['calibration_error']:.4f}",
        "sensitivity": f"{evaluation['lesion_sensitivity']:.3f}",
        "found": str(lesions["found"]),
        "annotated": str(lesions["annotated"]),
        "false_per_image": f"{evaluation['false_lesions_per_image']:.1f}",
        "healthy_share": f"{healthy['share']:.1%}",
        "healthy_flagged": str(len(healthy["flagged"])),
        "healthy_count": str(healthy["photographs"]),
        "photographs": _table(rows),
    }


def _choice_values(evaluation: dict[str, Any], selection: dict[str, Any]) -> dict[str, str]:
    points, chosen = selection["sweep"]["points"], selection["sweep"]["chosen"]
    threshold, area = evaluation["threshold"], evaluation["minimum_area_grid_px"]
    reached = chosen["flagged_share"] <= MAXIMUM_HEALTHY_SHARE
    fitted = (
        (
            f"{p['temperature']:g}",
            f"{p['negative_log_likelihood']:.5f}",
            f"{p['calibration_error']:.5f}",
            f"{p['aupr_8bit']:.4f}",
            f"{p['aupr_float']:.4f}",
        )
        for p in selection["temperature_fit"]["points"]
    )
    return {
        "limit": f"{MAXIMUM_HEALTHY_SHARE:.0%}",
        "reach": "" if reached else " (no setting did, so this is the best Dice of all)",
        "temperatures": _table(fitted),
        "thresholds": _table(_sweep_row(p["threshold"], p) for p in points if p["minimum_area_grid_px"] == area),
        "areas": _table(_sweep_row(p["minimum_area_grid_px"], p) for p in points if p["threshold"] == threshold),
    }


def _sweep_row(setting: float, point: dict[str, Any]) -> tuple[str, ...]:
    return (
        f"{setting:g}",
        f"{point['dice']:.3f}",
        f"{point['sensitivity']:.3f}",
        f"{point['false_per_image']:.1f}",
        f"{point['flagged_share']:.1%}",
    )


def _found(lesions: dict[str, int]) -> str:
    return f"{lesions['found']} / {lesions['annotated']}"


def _table(rows: Iterable[tuple[str, ...]]) -> str:
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)
