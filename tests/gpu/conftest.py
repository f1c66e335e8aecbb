"""Tests of what needs a GPU; each is skipped with its reason where something is missing (docs/gpu-runner.md)."""

import importlib.util
import shutil
from pathlib import Path

import pytest

from segserve_server.engines.machine import this_machine
from tests.support.repository import copy_shipped_repository


def _missing() -> str | None:
    if this_machine().gpu is None:
        return "no NVIDIA GPU on this machine (nvidia-smi)"
    lacking = [name for name in ("tensorrt", "polygraphy") if importlib.util.find_spec(name) is None]
    return f"not installed: {', '.join(lacking)}" if lacking else None


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip everything in this folder with the reason, never silently."""
    reason = _missing()
    if reason is not None:
        for item in items:
            if Path(__file__).parent in item.path.parents:
                item.add_marker(pytest.mark.skip(reason=reason))


@pytest.fixture(scope="session")
def tritonserver() -> str:
    """The container's server."""
    found = shutil.which("tritonserver") or "/opt/tritonserver/bin/tritonserver"
    if not Path(found).is_file():
        pytest.skip("no tritonserver on PATH: run this in NVIDIA's Triton container")
    return found


@pytest.fixture(scope="session")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The shipped repository without what may have been built in it."""
    return copy_shipped_repository(tmp_path_factory.mktemp("gpu"))
