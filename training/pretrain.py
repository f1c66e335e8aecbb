"""``python -m training pretrain``: momentum contrast on unlabelled photographs, for a better encoder.

Source: He et al., Momentum Contrast for Unsupervised Visual Representation Learning, CVPR 2020, with the projection
head and augmentation of Chen et al., Improved Baselines with Momentum Contrastive Learning, 2020 (MoCo v2).
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import torch
from torch import Tensor, nn
from torch.nn import functional

from segserve_server.imaging.settings import PreprocessSettings
from training.batches import contrastive_batch
from training.config import PretrainConfig
from training.idrid import list_graded
from training.loop import autocast, copy_module, run_task, update_average
from training.network import SegmentationNetwork, start_network
from training.run_log import Record
from training.samples import UnlabelledSample, load_unlabelled
from training.split import split_healthy
from training.workers import Worker, join_workers


class Projection(nn.Module):
    """Encoder, mean over the deepest features, and a two-layer head: float [N, 3, H, W] to unit vectors [N, D]."""

    def __init__(self, encoder: nn.Module, *, features: int, dimension: int) -> None:
        super().__init__()
        self.encoder = encoder
        self.head = nn.Sequential(nn.Linear(features, features), nn.ReLU(), nn.Linear(features, dimension))

    def forward(self, images: Tensor) -> Tensor:
        """Unit vectors."""
        deepest = self.encoder(images)[-1].float().mean(dim=(2, 3))
        return functional.normalize(self.head(deepest).float(), dim=1)


class ContrastTask:
    """Two views of a photograph should agree, and differ from the last few thousand other ones (the queue)."""

    def __init__(self, config: PretrainConfig, *, samples: Sequence[UnlabelledSample], worker: Worker) -> None:
        torch.manual_seed(config.optimiser.seed)
        self._config, self._samples, self._worker = config, samples, worker
        network = SegmentationNetwork(config.network)
        start_network(network, config.network.start)
        encoder = network.encoder
        query = Projection(encoder, features=encoder.out_channels[-1], dimension=config.moco.dimension)
        self.module: torch.nn.Module = query.to(worker.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self._keys = copy_module(self.module).train()  # batch norm by batch, as in the query encoder
        queue = functional.normalize(torch.randn(config.moco.queue, config.moco.dimension), dim=1)
        self._queue = queue.to(worker.device)
        self._next = 0

    def batch(self, step: int) -> tuple[Tensor, ...]:
        """Two views of each photograph."""
        return contrastive_batch(self._samples, self._config.optimiser, step=step, worker=self._worker)

    def loss(self, module: torch.nn.Module, batch: tuple[Tensor, ...]) -> Tensor:
        """InfoNCE of the first views against the keys of the second, which then enter the queue."""
        first, second = batch
        update_average(self._keys, self.module, self._config.moco.momentum)
        with torch.no_grad(), autocast(first.device):
            keys = self._keys(second)
        with autocast(first.device):
            queries = module(first)
        same = (queries * keys).sum(dim=1, keepdim=True)
        others = queries @ self._queue.clone().T
        logits = torch.cat([same, others], dim=1) / self._config.moco.temperature
        loss = functional.cross_entropy(logits, torch.zeros(len(logits), dtype=torch.long, device=logits.device))
        self._enqueue(self._worker.gather(keys))
        return loss

    def _enqueue(self, keys: Tensor) -> None:
        self._queue[self._next : self._next + len(keys)] = keys
        self._next = (self._next + len(keys)) % len(self._queue)

    def after_step(self, step: int) -> None:
        """Nothing: the key encoder moves before each batch."""

    def validate(self) -> Record:
        """Nothing to measure but the loss: what the encoder is worth shows in training."""
        return {}

    def state(self) -> dict[str, Any]:
        """``encoder``: what ``train`` starts from (NetworkConfig.start); the rest is for going on."""
        encoder = self.module.encoder.state_dict()  # type: ignore[union-attr]
        return {
            "encoder": encoder,
            "query": self.module.state_dict(),
            "keys": self._keys.state_dict(),
            "queue": self._queue,
            "next": self._next,
        }

    def load_state(self, state: dict[str, Any]) -> None:
        """Take up a checkpoint."""
        self.module.load_state_dict(state["query"])
        self._keys.load_state_dict(state["keys"])
        self._queue.copy_(state["queue"])
        self._next = state["next"]


def pretrain(config: PretrainConfig, *, data: Path, output: Path) -> Path:
    """Pre-train or go on; returns the checkpoint.

    Not looked at: copies of annotated photographs, so that one encoder serves every fold, and the healthy photographs
    that only check.
    """
    cv2.setNumThreads(1)
    graded = [p for p in list_graded(data) if not p.same_as]
    checking = split_healthy(graded, config.data).validation
    photographs = [p for p in graded if p.stem not in checking]
    settings = PreprocessSettings(grid=config.data.grid)
    with join_workers() as worker:
        task = ContrastTask(config, samples=load_unlabelled(photographs, settings), worker=worker)
        return run_task(task, optimiser_config=config.optimiser, logging=config.logging, output=output, worker=worker)
