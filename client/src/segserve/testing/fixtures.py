"""pytest fixtures; switch them on with ``pytest_plugins = ["segserve.testing.fixtures"]`` in conftest.py."""

from collections.abc import Iterator

import pytest

from segserve._client import Client
from segserve._result import SegmentationResult
from segserve.testing._example import example_recording, example_result
from segserve.testing._fake_server import FakeServer


@pytest.fixture
def segserve_server() -> FakeServer:
    """A fake server that knows the recorded example."""
    server = FakeServer()
    sha256, outputs = example_recording()
    server.recordings[sha256] = outputs
    return server


@pytest.fixture
def segserve_client(segserve_server: FakeServer) -> Iterator[Client]:
    """A client of the fake server, closed after the test."""
    with segserve_server.client() as client:
        yield client


@pytest.fixture
def segserve_result() -> SegmentationResult:
    """The recorded result."""
    return example_result()
