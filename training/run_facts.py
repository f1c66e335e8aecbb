"""What ran, on what, with which photographs: ``run.json`` beside a run's log."""

import dataclasses
import json
import os
from dataclasses import dataclass
from pathlib import Path

import torch

from training.config import TrainConfig
from training.split import Split

FILE_NAME = "run.json"
_CPU_INFO = Path("/proc/cpuinfo")


@dataclass(frozen=True, slots=True)
class RunFacts:
    """``fold``: the part held out by cross-validation, or None for the configuration's own split.

    ``healthy``, ``unlabelled``, ``pseudo_labelled``: how many graded photographs taught what a healthy eye looks like,
    reconstruction, and what other networks had marked in them.
    """

    config: TrainConfig
    machine: str
    torch: str
    fold: int | None
    training: tuple[str, ...]
    validation: tuple[str, ...]
    healthy: int
    unlabelled: int
    pseudo_labelled: int


def write_run_facts(
    output: Path,
    config: TrainConfig,
    *,
    split: Split,
    fold: int | None,
    healthy: int,
    unlabelled: int,
    pseudo_labelled: int,
) -> None:
    """Write ``run.json`` into the run's folder."""
    facts = RunFacts(
        config=config,
        machine=_describe_machine(),
        torch=torch.__version__,
        fold=fold,
        training=split.training,
        validation=split.validation,
        healthy=healthy,
        unlabelled=unlabelled,
        pseudo_labelled=pseudo_labelled,
    )
    output.mkdir(parents=True, exist_ok=True)
    (output / FILE_NAME).write_text(json.dumps(dataclasses.asdict(facts), indent=1) + "\n", encoding="utf-8")


def _describe_machine() -> str:
    if torch.cuda.is_available():
        return f"{torch.cuda.device_count()} x {torch.cuda.get_device_name()}"
    lines = _CPU_INFO.read_text("utf-8").splitlines() if _CPU_INFO.exists() else []
    model = next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "unknown CPU")
    return f"{len(os.sched_getaffinity(0))} cores of {model}"
