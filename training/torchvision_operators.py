"""Declares two operators that torchvision wants at import when its compiled half does not fit a CPU build of torch.

segmentation-models-pytorch and timm import torchvision, which has no CPU build on some registries; nothing here calls
its operators. Does nothing where torchvision is whole.
"""

import importlib.util

import torch

_SCHEMA = "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"

if torch.version.cuda is None and importlib.util.find_spec("torchvision") is not None:
    library = torch.library.Library("torchvision", "DEF")  # type: ignore[no-untyped-call]
    for operator in ("nms", "qnms"):
        library.define(f"{operator}{_SCHEMA}")  # type: ignore[no-untyped-call]
