"""The processes of a run: one, or as many as torchrun started."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, distributed


@dataclass(frozen=True, slots=True)
class Worker:
    """This process among ``count``; ``rank`` 0 writes files and talks. ``device``: its own GPU, or the CPU."""

    rank: int
    count: int
    device: torch.device

    @property
    def leads(self) -> bool:
        """Whether this process writes checkpoint, log and progress bar."""
        return self.rank == 0

    def wrap(self, module: torch.nn.Module) -> torch.nn.Module:
        """The module itself, or one that averages gradients over all workers."""
        if self.count == 1:
            return module
        devices = [self.device] if self.device.type == "cuda" else None
        return torch.nn.parallel.DistributedDataParallel(module, device_ids=devices)

    def gather(self, values: Tensor) -> Tensor:
        """``values`` [N, ...] of every worker, joined along the first axis in the order of ranks."""
        if self.count == 1:
            return values
        parts = [torch.empty_like(values) for _ in range(self.count)]
        distributed.all_gather(parts, values.contiguous())
        return torch.cat(parts)


@contextmanager
def join_workers() -> Iterator[Worker]:
    """This process's worker. Under torchrun joins the others (NCCL on GPUs, else Gloo) and leaves them at the end."""
    count, rank = int(os.environ.get("WORLD_SIZE", "1")), int(os.environ.get("RANK", "0"))
    local = int(os.environ.get("LOCAL_RANK", "0"))
    device = torch.device("cuda", local) if torch.cuda.is_available() else torch.device("cpu")
    if count == 1:
        yield Worker(0, 1, device)
        return
    if device.type == "cuda":
        torch.cuda.set_device(device)
    distributed.init_process_group("nccl" if device.type == "cuda" else "gloo")
    try:
        yield Worker(rank, count, device)
    finally:
        distributed.destroy_process_group()
