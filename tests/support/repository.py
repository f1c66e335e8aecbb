"""The shipped model repository, as a copy that a test may change."""

import shutil
from pathlib import Path

_SHIPPED = Path(__file__).resolve().parents[2] / "model_repository"
_BUILT = ("*.blob", "*.engine", "*.plan", "*.manifest.json", "*.onnxruntime.onnx", "__pycache__")


def copy_shipped_repository(folder: Path) -> Path:
    """Copy it into ``folder``, without what may have been built in it; returns the copy."""
    copy = folder / _SHIPPED.name
    shutil.copytree(_SHIPPED, copy, ignore=shutil.ignore_patterns(*_BUILT))
    return copy
