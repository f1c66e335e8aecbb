"""``python -m training train``: the segmentation network, from annotated and unlabelled photographs."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from torch import Tensor

from segserve_server.imaging.metrics import average_precision
from segserve_server.imaging.settings import PreprocessSettings
from training.batches import Source, healthy_batch, labelled_batch, overview_batch, to_network_input, unlabelled_batch
from training.config import TrainConfig, for_fold
from training.errors import ConfigError
from training.idrid import leave_out_copies, list_annotated, list_graded, list_unannotated
from training.loop import autocast, copy_module, run_task, update_average
from training.losses import multitask_loss, unlabelled_loss
from training.network import SegmentationNetwork, start_network, upsample
from training.run_facts import write_run_facts
from training.run_log import Record
from training.samples import Sample, UnlabelledSample, load_pseudo_labelled, load_samples, load_unlabelled
from training.split import split_healthy, split_stems
from training.workers import Worker, join_workers

_VALIDATION_STRIDE = 4  # every fourth pixel of the model grid is enough for a guide


class SegmentationTask:
    """A network, the moving average of its weights, and the photographs they see."""

    def __init__(
        self,
        config: TrainConfig,
        *,
        training: Sequence[Sample],
        validation: Sequence[Sample],
        pseudo_labelled: Sequence[Sample],
        healthy: Sequence[UnlabelledSample],
        unlabelled: Sequence[UnlabelledSample],
        worker: Worker,
    ) -> None:
        torch.manual_seed(config.optimiser.seed)
        self._config = config
        self._training, self._validation = training, validation
        self._pseudo_labelled, self._healthy, self._unlabelled = pseudo_labelled, healthy, unlabelled
        self._worker = worker
        network = SegmentationNetwork(config.network)
        start_network(network, config.network.start)
        self.module: torch.nn.Module = network.to(worker.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self._average = copy_module(self.module)

    def batch(self, step: int) -> tuple[Tensor, ...]:
        """Images (annotated, pseudo-labelled, overviews, healthy, unlabelled), masks of the first three, heat maps."""
        config, worker = self._config, self._worker
        optimiser, augment = config.optimiser, config.augment
        annotated = labelled_batch(self._training, optimiser, augment, size=optimiser.batch, step=step, worker=worker)
        pseudo_labelled = labelled_batch(
            self._pseudo_labelled,
            optimiser,
            augment,
            size=config.pseudo_labels.batch,
            step=step,
            worker=worker,
            source=Source.PSEUDO_LABELLED,
        )
        overviews = overview_batch(
            self._training, optimiser, augment, size=config.overview.batch, step=step, worker=worker
        )
        healthy = healthy_batch(self._healthy, optimiser, size=config.healthy.batch, step=step, worker=worker)
        unlabelled, heat_maps = unlabelled_batch(
            self._unlabelled, optimiser, size=config.unlabelled.batch, step=step, worker=worker
        )
        images, masks = zip(annotated, pseudo_labelled, overviews, strict=True)
        return torch.cat([*images, healthy, unlabelled]), torch.cat(masks), heat_maps

    def loss(self, module: torch.nn.Module, batch: tuple[Tensor, ...]) -> Tensor:
        """One pass over all crops, then each kind's own losses."""
        images, masks, heat_maps = batch
        with autocast(images.device):
            logits = module(images)
        logits = upsample(logits.float())
        judged = len(images) - len(heat_maps)
        loss = multitask_loss(logits[:judged], masks, images[:judged], self._config.loss)
        if len(heat_maps):
            loss = loss + unlabelled_loss(logits[judged:], heat_maps, images[judged:], self._config.loss)
        return loss

    def after_step(self, step: int) -> None:
        """Move the average; early on it follows faster, so that the first weights leave it."""
        update_average(self._average, self.module, min(self._config.optimiser.ema_decay, step / (step + 10)))

    @torch.inference_mode()
    def validate(self) -> Record:
        """AUPR of the averaged weights over pixels of the model grid, a quick guide; ``evaluate`` has the figure."""
        if not self._validation:
            return {}
        parts = []
        for sample in self._validation:
            with autocast(self._worker.device):
                logits = self._average(to_network_input(sample.image[np.newaxis]).to(self._worker.device))
            scores = upsample(logits.float())[0, 0].cpu().numpy().ravel()[::_VALIDATION_STRIDE]
            parts.append((scores, (sample.masks[:, :, 0] > 127).ravel()[::_VALIDATION_STRIDE]))
        return {"validation_aupr": average_precision(parts)}

    def state(self) -> dict[str, Any]:
        """``network``: the trained weights; ``average``: the ones to export."""
        return {"network": self.module.state_dict(), "average": self._average.state_dict()}

    def load_state(self, state: dict[str, Any]) -> None:
        """Take up a checkpoint."""
        self.module.load_state_dict(state["network"])
        self._average.load_state_dict(state["average"])


def train(config: TrainConfig, *, data: Path, output: Path, fold: int | None = None) -> Path:
    """Train or go on training; returns the checkpoint. Writes ``checkpoint.pt`` and ``log.jsonl`` into ``output``.

    Never trained on: photographs that are held out, their copies among the graded ones, and healthy ones that check.
    """
    config = for_fold(config, fold)
    cv2.setNumThreads(1)  # crops are cut in a thread beside the network's own
    photographs = list_annotated(data)
    split = split_stems([p.stem for p in photographs], config.data, fold=fold)
    if not split.training:
        raise ConfigError(f"{config.name} holds out all {len(photographs)} photographs: lower data.validation_count")
    settings = PreprocessSettings(grid=config.data.grid)
    needed = config.unlabelled.batch or config.healthy.batch
    graded = leave_out_copies(list_graded(data), split.validation) if needed else []
    halves = split_healthy(graded, config.data)
    healthy = [p for p in graded if p.stem in halves.training] if config.healthy.batch else []
    unlabelled = [p for p in graded if p.stem not in halves.validation] if config.unlabelled.batch else []
    pseudo_labelled = list_unannotated(data) if config.pseudo_labels.batch else []
    with join_workers() as worker:
        if worker.leads:
            write_run_facts(
                output,
                config,
                split=split,
                fold=fold,
                healthy=len(healthy),
                unlabelled=len(unlabelled),
                pseudo_labelled=len(pseudo_labelled),
            )
        task = SegmentationTask(
            config,
            training=load_samples([p for p in photographs if p.stem in split.training], settings),
            validation=load_samples([p for p in photographs if p.stem in split.validation], settings),
            pseudo_labelled=load_pseudo_labelled(pseudo_labelled, settings, Path(config.pseudo_labels.masks)),
            healthy=load_unlabelled(healthy, settings),
            unlabelled=load_unlabelled(unlabelled, settings),
            worker=worker,
        )
        return run_task(task, optimiser_config=config.optimiser, logging=config.logging, output=output, worker=worker)
