"""The training loop: resumable at any checkpoint, one log line per hundred steps."""

import copy
import json
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import numpy as np
import torch
from torch import Tensor

from training.augment import random_crop
from training.config import TrainConfig
from training.idrid import Sample, load_samples, split_stems
from training.losses import multitask_loss
from training.network import IMAGENET_MEAN, IMAGENET_STD, SegmentationNetwork, upsample

_PREFETCH = 3


def train(config: TrainConfig, *, data: Path, output: Path) -> Path:
    """Train or go on training; returns the checkpoint. Writes ``checkpoint.pt`` and ``log.jsonl`` into ``output``."""
    output.mkdir(parents=True, exist_ok=True)
    checkpoint = output / "checkpoint.pt"
    cv2.setNumThreads(1)
    torch.manual_seed(config.optimiser.seed)
    samples = load_samples(data, grid=config.data.grid)
    fit_stems, held_out = split_stems(
        [s.stem for s in samples], seed=config.data.split_seed, validation_count=config.data.validation_count
    )
    fit = [s for s in samples if s.stem in fit_stems]
    validation = [s for s in samples if s.stem in held_out]
    network = SegmentationNetwork(config.network).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    average = copy.deepcopy(network).eval()
    settings = config.optimiser
    optimiser = torch.optim.AdamW(
        network.parameters(), lr=settings.learning_rate, weight_decay=settings.weight_decay
    )
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, max_lr=settings.learning_rate, total_steps=settings.steps, pct_start=0.15
    )
    step = 0
    if checkpoint.exists():
        state = torch.load(checkpoint, weights_only=True)
        network.load_state_dict(state["network"])
        average.load_state_dict(state["average"])
        optimiser.load_state_dict(state["optimiser"])
        schedule.load_state_dict(state["schedule"])
        step = state["step"]
        print(f"resumed at step {step}", flush=True)
    losses: list[float] = []
    started = time.monotonic()
    for images, targets in _batches(fit, config, first=step):
        network.train()
        with torch.autocast("cpu", torch.bfloat16):
            logits = network(images)
        loss = multitask_loss(upsample(logits.float()), targets, images, config.loss)
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 5.0)
        optimiser.step()
        schedule.step()
        step += 1
        _update_average(average, network, min(settings.ema_decay, step / (step + 10)))
        losses.append(loss.item())
        record: dict[str, float | int] = {}
        if step % 100 == 0:
            record = {"step": step, "loss": float(np.mean(losses)), "seconds": time.monotonic() - started}
            losses.clear()
        if step % config.logging.validate_every == 0 or step == settings.steps:
            record |= {"step": step, "validation_aupr": _validation_aupr(average, validation)}
        if record:
            with (output / "log.jsonl").open("a") as log:
                log.write(json.dumps(record) + "\n")
            print(record, flush=True)
        if step % config.logging.checkpoint_every == 0 or step == settings.steps:
            temporary = checkpoint.with_suffix(".tmp")
            torch.save(
                {
                    "network": network.state_dict(),
                    "average": average.state_dict(),
                    "optimiser": optimiser.state_dict(),
                    "schedule": schedule.state_dict(),
                    "step": step,
                },
                temporary,
            )
            temporary.replace(checkpoint)
    return checkpoint


def to_network_input(images: np.ndarray) -> Tensor:
    """uint8 [N, H, W, 3] RGB to the normalised float [N, 3, H, W] that the network reads."""
    tensor = torch.from_numpy(np.ascontiguousarray(images)).permute(0, 3, 1, 2).float() / 255
    mean, std = (torch.tensor(v).view(1, 3, 1, 1) for v in (IMAGENET_MEAN, IMAGENET_STD))
    return ((tensor - mean) / std).contiguous(memory_format=torch.channels_last)


def _batches(samples: list[Sample], config: TrainConfig, *, first: int) -> Iterator[tuple[Tensor, Tensor]]:
    """Batches of steps ``first`` .. steps - 1; each step has its own seed, so a resumed run sees what it would have."""
    settings = config.optimiser

    def make(step: int) -> tuple[Tensor, Tensor]:
        rng = np.random.default_rng((settings.seed, step))
        chosen = rng.choice(len(samples), size=settings.batch, replace=len(samples) < settings.batch)
        crops = [random_crop(samples[i], crop=settings.crop, rng=rng) for i in chosen]
        images = to_network_input(np.stack([image for image, _ in crops]))
        targets = torch.from_numpy(np.stack([masks for _, masks in crops])).permute(0, 3, 1, 2).float() / 255
        return images, targets

    with ThreadPoolExecutor(1) as pool:
        queue = [pool.submit(make, s) for s in range(first, min(first + _PREFETCH, settings.steps))]
        for step in range(first, settings.steps):
            batch = queue.pop(0).result()
            if step + _PREFETCH < settings.steps:
                queue.append(pool.submit(make, step + _PREFETCH))
            yield batch


@torch.no_grad()
def _update_average(average: torch.nn.Module, network: torch.nn.Module, decay: float) -> None:
    for old, new in zip(average.state_dict().values(), network.state_dict().values(), strict=True):
        if old.is_floating_point():
            old.lerp_(new, 1 - decay)
        else:
            old.copy_(new)


@torch.inference_mode()
def _validation_aupr(network: torch.nn.Module, samples: list[Sample]) -> float:
    """Average precision over the pixels of the model grid, a quick guide; ``evaluate`` has the exact figure."""
    from sklearn.metrics import average_precision_score

    truth, scores = [], []
    for sample in samples:
        with torch.autocast("cpu", torch.bfloat16):
            logits = network(to_network_input(sample.image[np.newaxis]))
        scores.append(upsample(logits.float())[0, 0].numpy().ravel()[::4])
        truth.append((sample.masks[:, :, 0] > 127).ravel()[::4])
    return float(average_precision_score(np.concatenate(truth), np.concatenate(scores)))
