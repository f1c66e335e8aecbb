"""``python -m training card``: docs/model-card.md and its plots, from the measured figures of runs alone."""

from collections.abc import Iterable, Sequence
from importlib.resources import files
from pathlib import Path
from string import Template
from typing import Any

from training.errors import RunError
from training.figures import read_json
from training.plots import plot_logs, plot_reliability
from training.run_facts import FILE_NAME as FACTS_NAME
from training.run_log import FILE_NAME as LOG_NAME
from training.run_log import Record, read_log, trained_seconds
from training.sweep import MAXIMUM_HEALTHY_SHARE
from training.temperature import MAXIMUM_LOSS

EVALUATION = "evaluation.json"
"""Cross-validated figures of the shipped settings, and of those they were chosen from: ``evaluate --cross-validation
--fit-temperature --sweep --json``."""
SHIPPED = "shipped.json"
"""Figures of the shipped weights, on photographs that trained them: ``evaluate --split all --json``."""
_TEMPLATE = "model_card.template.md"


def write_card(run: Path, *, docs: Path) -> None:
    """Write ``docs/model-card.md`` and ``docs/images/*.png``.

    ``run``: folder of the run that made the shipped weights, with log.jsonl, run.json and both files of figures;
    the runs of the folds lie beside it. Raises RunError for what is missing, and for figures of different weights or
    settings.
    """
    evaluation, shipped = (read_json(run / name) for name in (EVALUATION, SHIPPED))
    if "healthy" not in evaluation or "healthy" not in shipped:
        raise RunError(f"{run}: evaluate with the photographs of grade 0")
    if "across_folds" not in evaluation.get("sweep", {}) or "temperature_fit" not in evaluation:
        raise RunError(f"{run / EVALUATION} lacks figures: evaluate --cross-validation --fit-temperature --sweep")
    settings = [(f["threshold"], f["minimum_area_grid_px"]) for f in (evaluation, shipped)]
    if settings[0] != settings[1]:
        raise RunError(f"{run}: {EVALUATION} and {SHIPPED} were measured with different settings")
    last = [run, *(run.with_name(f"{network['run']}-fold{network['fold']}") for network in evaluation["networks"])]
    folders = [*last, *_earlier_stages(last)]
    facts = [read_json(folder / FACTS_NAME) for folder in folders]
    logs = {folder.name: read_log(folder / LOG_NAME) for folder in folders}
    values = _training_values(facts, logs) | _figure_values(evaluation) | _choice_values(evaluation)
    template = Template((files("training") / _TEMPLATE).read_text("utf-8"))
    docs.mkdir(parents=True, exist_ok=True)
    card = template.substitute(values | _shipped_values(shipped))
    (docs / "model-card.md").write_text(card, encoding="utf-8")
    plot_logs(logs, docs / "images" / "training-log.png")
    plot_reliability(evaluation["reliability"], docs / "images" / "reliability.png")


def _earlier_stages(folders: Sequence[Path]) -> list[Path]:
    """The runs that these started from, and those that they started from, as far as they lie beside them."""
    starts = [Path(read_json(folder / FACTS_NAME)["config"]["network"]["start"]).parent.name for folder in folders]
    found = dict.fromkeys(f.with_name(s) for f, s in zip(folders, starts, strict=True) if s)
    earlier = [folder for folder in found if folder not in folders and (folder / FACTS_NAME).exists()]
    return [*earlier, *_earlier_stages(earlier)] if earlier else []


def _training_values(runs: Sequence[dict[str, Any]], logs: dict[str, list[Record]]) -> dict[str, str]:
    network, data = runs[0]["config"]["network"], runs[0]["config"]["data"]
    rows = [_run_row(name, facts, logs[name]) for name, facts in zip(logs, runs, strict=True)]
    names = tuple(rows[0])
    return {
        "encoder": network["encoder"],
        "decoder": " ".join(str(width) for width in network["decoder_channels"]),
        "grid": str(data["grid"]),
        "split_seed": str(data["split_seed"]),
        "trained_count": str(len(runs[0]["training"])),
        "machines": "; ".join(dict.fromkeys(f"{facts['machine']}, torch {facts['torch']}" for facts in runs)),
        "bleeding": f"{runs[0]['config']['augment']['bleeding']:.0%}",
        "runs": _table([names, ("---",) * len(names), *(tuple(row.values()) for row in rows)]),
    }


def _shipped_values(shipped: dict[str, Any]) -> dict[str, str]:
    (network,), healthy = shipped["networks"], shipped["healthy"]
    return {
        "sha256": network["sha256"],
        "temperature": f"{network['temperature']:g}",
        "coarse": f"{network['coarse']:g}",
        "coarse_negative": f"{network['coarse'] * network['coarse_negative_slope']:g}",
        "shipped_healthy_share": f"{healthy['share']:.1%}",
        "shipped_healthy_flagged": str(len(healthy["flagged"])),
        "shipped_healthy_count": str(healthy["photographs"]),
        "shipped_aupr": f"{shipped['aupr_served']:.3f}",
        "shipped_aupr_loss": f"{shipped['aupr_loss']:.4f}",
    }


def _run_row(name: str, facts: dict[str, Any], log: list[Record]) -> dict[str, str]:
    config, optimiser = facts["config"], facts["config"]["optimiser"]
    done = max((record["step"] for record in log), default=0)
    crops = {
        "annotated": optimiser["batch"],
        "pseudo-labelled": config.get("pseudo_labels", {}).get("batch", 0),
        "overview": config.get("overview", {}).get("batch", 0),
        "healthy (grade 0)": config["healthy"]["batch"],
        "unlabelled": config["unlabelled"]["batch"],
    }
    photographs = {
        "annotated": len(facts["training"]),
        "pseudo-labelled": facts.get("pseudo_labelled", 0),
        "healthy": facts["healthy"],
        "unlabelled": facts["unlabelled"],
    }
    return {
        "run": name,
        "starts from": config["network"]["start"],
        "steps": f"{done} of {optimiser['steps']}",
        f"crops per step, {optimiser['crop']} pixels": _counts(crops),
        "photographs": _counts(photographs),
        "peak learning rate": f"{optimiser['learning_rate']:g}",
        "seed": str(optimiser["seed"]),
        "hours": f"{trained_seconds(log) / 3600:.1f}",
    }


def _counts(counts: dict[str, int]) -> str:
    return ", ".join(f"{count} {name}" for name, count in counts.items() if count)


def _figure_values(evaluation: dict[str, Any]) -> dict[str, str]:
    lesions, healthy = evaluation["lesions"], evaluation["healthy"]
    rows = (
        (p["stem"], f"{p['dice']:.3f}", f"{p['iou']:.3f}", _found(p["lesions"]), str(p["lesions"]["false"]))
        for p in evaluation["photographs"]
    )
    return {
        "threshold": f"{evaluation['threshold']:g}",
        "minimum_area": f"{evaluation['minimum_area_grid_px']:g}",
        "precision": evaluation["precision"],
        "count": str(len(evaluation["photographs"])),
        "folds": str(len(evaluation["networks"])),
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


def _choice_values(evaluation: dict[str, Any]) -> dict[str, str]:
    points, chosen = evaluation["sweep"]["points"], evaluation["sweep"]["chosen"]
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
        for p in evaluation["temperature_fit"]["points"]
    )
    across = evaluation["sweep"]["across_folds"]
    return {
        "across_choices": ", ".join(f"{t:g} and {a:g}" for t, a in across["choices"]),
        "across_dice": f"{across['dice']:.3f}",
        "across_sensitivity": f"{across['sensitivity']:.3f}",
        "across_false": f"{across['false_per_image']:.1f}",
        "across_flagged": f"{across['flagged_share']:.1%}",
        "limit": f"{MAXIMUM_HEALTHY_SHARE:.0%}",
        "reach": "" if reached else " (no setting did, so this is the best Dice of all)",
        "best": f"{chosen['threshold']:g} and {chosen['minimum_area_grid_px']:g} ({chosen['flagged_share']:.1%})",
        "served": f"{threshold:g} and {area:g}",
        "likeliest": f"{evaluation['temperature_fit']['likeliest']:g}",
        "maximum_loss": f"{MAXIMUM_LOSS:g}",
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
