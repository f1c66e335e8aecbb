"""What the SDK's tests share: a fake server, and real sockets that speak the wire contract."""

import io
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import trustme
from PIL import Image
from segserve.testing import FakeServer
from segserve.testing.fixtures import segserve_client, segserve_result, segserve_server

from client.tests.loopback import GrpcLoopback, HttpLoopback

__all__ = ["segserve_client", "segserve_result", "segserve_server"]


@pytest.fixture(autouse=True, scope="session")
def _hear_interrupts() -> None:
    """As in a terminal, also where the tests were started in the background, with SIGINT ignored."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture
def fake() -> FakeServer:
    """A fake server with one model."""
    return FakeServer()


@pytest.fixture
def png() -> bytes:
    """A 40 x 30 picture."""
    return encode_png(np.full((30, 40, 3), 90, np.uint8))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with images in subfolders, a hidden one and a text file."""
    root = tmp_path / "images"
    for index, name in enumerate(("b.png", "a.png", "sub/c.png", ".hidden/d.png")):
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(encode_png(np.full((20 + index, 24, 3), 60 + index, np.uint8)))
    (root / "notes.txt").write_text("not an image")
    (root / "loop").symlink_to(root, target_is_directory=True)
    return root


@pytest.fixture(params=["grpc", "http"])
def loopback(request: pytest.FixtureRequest, fake: FakeServer) -> Iterator["GrpcLoopback | HttpLoopback"]:
    """The fake server behind a real socket, once per protocol."""
    kinds: dict[str, Callable[[FakeServer], GrpcLoopback | HttpLoopback]] = {"grpc": GrpcLoopback, "http": HttpLoopback}
    with kinds[request.param](fake) as running:
        yield running


@pytest.fixture(scope="session")
def authority() -> trustme.CA:
    """A certificate authority of the tests' own."""
    return trustme.CA()


def encode_png(pixels: "np.ndarray[tuple[int, ...], np.dtype[np.uint8]]") -> bytes:
    """An array as PNG."""
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, format="PNG")
    return buffer.getvalue()
