"""Versions of the tiny pipeline, laid as an operator lays a release: a folder per version, the ensemble pins them."""

import shutil
from pathlib import Path

TINY = Path(__file__).parent / "repositories" / "tiny"


def lay_tiny(folder: Path, *, version: int) -> Path:
    """A copy of the tiny repository in ``folder`` in which each model has this version and no other."""
    shutil.copytree(TINY, folder, ignore=shutil.ignore_patterns("__pycache__"))
    for model in folder.iterdir():
        if version != 1:
            (model / "1").rename(model / f"{version}")
    config = folder / "echo" / "config.pbtxt"
    config.write_text(config.read_text().replace("model_version: 1", f"model_version: {version}"))
    return folder
