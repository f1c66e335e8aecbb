"""The loop that every kind of run goes through: batches, optimiser, log, checkpoints, going on after a kill."""

import copy
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from training.checkpoint import FILE_NAME, load_checkpoint, save_checkpoint
from training.config import LoggingConfig, OptimiserConfig
from training.errors import ConfigError, RunError
from training.run_log import FILE_NAME as LOG_NAME
from training.run_log import Record, append_record, rewind_log
from training.workers import Worker

_PREFETCH = 3
_GRADIENT_NORM = 5.0
_WARM_UP = 0.15  # share of the steps in which the one-cycle schedule climbs


class Task(Protocol):
    """What a run trains. All chance in a batch comes from the step's number, so that a resumed run repeats it."""

    module: torch.nn.Module

    def batch(self, step: int) -> tuple[Tensor, ...]:
        """This worker's part of the batch of a step, on the CPU; called from another thread."""

    def loss(self, module: torch.nn.Module, batch: tuple[Tensor, ...]) -> Tensor:
        """The loss of a batch; ``module`` is the task's own, wrapped for several workers."""

    def after_step(self, step: int) -> None:
        """Called when the optimiser has taken step number ``step``, counted from 1."""

    def validate(self) -> Record:
        """Figures for the log."""

    def state(self) -> dict[str, Any]:
        """What a checkpoint holds of the task."""

    def load_state(self, state: dict[str, Any]) -> None:
        """Take up a checkpoint."""


def run_task(
    task: Task, *, optimiser_config: OptimiserConfig, logging: LoggingConfig, output: Path, worker: Worker
) -> Path:
    """Run, or go on with, a task until its last step; returns the checkpoint, which lies in ``output`` with the log."""
    output.mkdir(parents=True, exist_ok=True)
    checkpoint, log = output / FILE_NAME, output / LOG_NAME
    steps = optimiser_config.steps
    if optimiser_config.batch % worker.count:
        raise ConfigError(
            f"a batch of {optimiser_config.batch} crops cannot be shared evenly by {worker.count} workers"
        )
    optimiser = torch.optim.AdamW(
        task.module.parameters(), lr=optimiser_config.learning_rate, weight_decay=optimiser_config.weight_decay
    )
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, max_lr=optimiser_config.learning_rate, total_steps=steps, pct_start=_WARM_UP
    )
    first = _resume(checkpoint, task, optimiser, schedule)
    if worker.leads:
        rewind_log(log, first)
    module = worker.wrap(task.module)
    losses: list[float] = []
    started = time.monotonic()
    progress = tqdm(total=steps, initial=first, unit="step", disable=None if worker.leads else True)
    for step, batch in enumerate(_prefetch(task, first, steps), start=first + 1):
        task.module.train()
        loss = task.loss(module, tuple(tensor.to(worker.device) for tensor in batch))
        optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(task.module.parameters(), _GRADIENT_NORM)
        optimiser.step()
        schedule.step()
        task.after_step(step)
        losses.append(float(loss.detach()))
        progress.update()
        if not worker.leads:
            continue
        record: Record = {}
        if step % logging.log_every == 0:
            record = {"loss": float(np.mean(losses)), "seconds": round(time.monotonic() - started, 1)}
            losses.clear()
        if step % logging.validate_every == 0 or step == steps:
            record |= task.validate()
        if record:
            append_record(log, {"step": step, **record})
            progress.set_postfix({key: f"{value:.3f}" for key, value in record.items() if key != "seconds"})
        if step % logging.checkpoint_every == 0 or step == steps:
            state = {"optimiser": optimiser.state_dict(), "schedule": schedule.state_dict(), "step": step}
            save_checkpoint(checkpoint, task.state() | state)
    progress.close()
    return checkpoint


def autocast(device: torch.device) -> torch.autocast:
    """Bfloat16 where it is safe; float32 weights stay the master copy.

    Nothing on a CPU that has no instructions for it: emulated, it takes ten times as long as float32 or more.
    """
    emulated = device.type == "cpu" and not torch.cpu.get_capabilities().get("avx512_bf16")
    return torch.autocast(device.type, torch.bfloat16, enabled=not emulated)


def copy_module(module: torch.nn.Module) -> torch.nn.Module:
    """A copy that no optimiser trains, for a moving average."""
    return copy.deepcopy(module).eval().requires_grad_(False)


@torch.no_grad()
def update_average(average: torch.nn.Module, module: torch.nn.Module, decay: float) -> None:
    """Exponential moving average of every float in the state; counters are copied."""
    for old, new in zip(average.state_dict().values(), module.state_dict().values(), strict=True):
        if old.is_floating_point():
            old.lerp_(new, 1 - decay)
        else:
            old.copy_(new)


def _resume(
    checkpoint: Path, task: Task, optimiser: torch.optim.Optimizer, schedule: torch.optim.lr_scheduler.LRScheduler
) -> int:
    if not checkpoint.exists():
        return 0
    state = load_checkpoint(checkpoint)
    try:
        task.load_state(state)
        optimiser.load_state_dict(state["optimiser"])
        schedule.load_state_dict(state["schedule"])
    except (KeyError, RuntimeError, ValueError) as error:
        raise RunError(
            f"{checkpoint} belongs to a run with another configuration; choose another output folder"
        ) from error
    return int(state["step"])


def _prefetch(task: Task, first: int, steps: int) -> Iterator[tuple[Tensor, ...]]:
    """Batches of steps ``first`` .. ``steps`` - 1, a few made ahead."""
    with ThreadPoolExecutor(1) as pool:
        queue = [pool.submit(task.batch, s) for s in range(first, min(first + _PREFETCH, steps))]
        for step in range(first, steps):
            batch = queue.pop(0).result()
            if step + _PREFETCH < steps:
                queue.append(pool.submit(task.batch, step + _PREFETCH))
            yield batch
