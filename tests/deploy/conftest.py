"""One Triton with the tiny pipeline behind one proxy, shared by the tests that do not break it."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.deploy.proxy import Callers, Proxy
from tests.deploy.repository import lay_tiny
from tests.deploy.triton import Triton


@pytest.fixture(scope="session")
def callers(tmp_path_factory: pytest.TempPathFactory) -> Callers:
    """A test authority and its callers."""
    return Callers.make(tmp_path_factory.mktemp("callers") / "secrets")


@pytest.fixture(scope="session")
def triton(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Triton]:
    """The tiny pipeline, version 1; nobody may kill it or its model processes."""
    folder = tmp_path_factory.mktemp("triton")
    with Triton(lay_tiny(folder / "models", version=1), log=folder / "log") as running:
        yield running


@pytest.fixture(scope="session")
def proxy(tmp_path_factory: pytest.TempPathFactory, callers: Callers, triton: Triton) -> Iterator[Proxy]:
    """The shipped proxy in front of ``triton``."""
    with Proxy(tmp_path_factory.mktemp("proxy"), callers, [triton.target()]) as running:
        yield running


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """An empty folder for a test that starts its own programs."""
    return tmp_path
