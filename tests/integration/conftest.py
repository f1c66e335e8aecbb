"""A real tritonserver for the integration tests."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from segserve_server.embedded import EmbeddedServer

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="session")
def server() -> Iterator[EmbeddedServer]:
    """The shipped model repository, served on the CPU; shared by all tests, so none may kill it or its models.

    As in a hospital, the model repository API is restricted, its index too (403, gRPC UNAVAILABLE): which models there
    are is told by the statistics of all, `GET /v2/models/stats` or ModelStatistics without a name.
    """
    with EmbeddedServer(ROOT / "model_repository", variant="cpu", log=print) as running:
        yield running


@pytest.fixture(scope="session")
def echo_repository() -> Path:
    """A repository of two tiny Python steps and an ensemble, which starts in a second."""
    return Path(__file__).parent / "repositories" / "echo"
