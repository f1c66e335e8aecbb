"""How a photograph gets to a server: through the SDK, as an HTTP body or form, or with the work done here."""

import contextlib
import http.client
import json
import threading
from collections.abc import Iterator
from urllib.parse import urlsplit

import cv2
import numpy as np
from segserve import Client, RetryPolicy
from segserve.contract import MODEL_INPUT, PROBABILITY

from loadtest.bench.pipeline import Pipeline
from loadtest.calls import RejectedError, Send
from loadtest.errors import LoadTestError
from loadtest.paths import DEFAULT_MODEL

_TIMEOUT_S = 30.0


@contextlib.contextmanager
def open_sender(kind: str, url: str) -> Iterator[Send]:
    """A way to send by its name. Raises LoadTestError for an unknown one."""
    openers = {"sdk": _open_sdk, "body": _open_body, "form": _open_form, "client-side": _open_client_side}
    if kind not in openers:
        raise LoadTestError(f"no such sender: {kind!r}; there are {', '.join(openers)}")
    with openers[kind](url) as send:
        yield send


@contextlib.contextmanager
def _open_sdk(url: str) -> Iterator[Send]:
    with Client(url, model=DEFAULT_MODEL, timeout_s=_TIMEOUT_S, retry=RetryPolicy(max_attempts=1)) as client:
        yield client.segment


def _open_body(url: str) -> contextlib.AbstractContextManager[Send]:
    """POST the bytes of the file as they are."""
    return _open_http(url, "application/octet-stream", prefix=b"", suffix=b"")


def _open_form(url: str) -> contextlib.AbstractContextManager[Send]:
    """POST the file in a form, as a browser uploads it, in its field ``image``."""
    boundary = "segserve-loadtest-boundary"
    head = f'--{boundary}\r\nContent-Disposition: form-data; name="image"; filename="eye.jpg"\r\n'
    prefix = f"{head}Content-Type: image/jpeg\r\n\r\n".encode()
    return _open_http(
        url, f"multipart/form-data; boundary={boundary}", prefix=prefix, suffix=f"\r\n--{boundary}--\r\n".encode()
    )


@contextlib.contextmanager
def _open_http(url: str, content_type: str, *, prefix: bytes, suffix: bytes) -> Iterator[Send]:
    """The answer is JSON with ``report`` and base64 ``masks``, as every peer gives it."""
    parts = urlsplit(url)
    mine = threading.local()

    def send(photograph: bytes) -> object:
        connection = getattr(mine, "connection", None)
        if connection is None:
            connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=_TIMEOUT_S)
            mine.connection = connection
        try:
            connection.request("POST", parts.path, prefix + photograph + suffix, {"Content-Type": content_type})
            answer = connection.getresponse()
            body = answer.read()
        except (OSError, http.client.HTTPException) as error:
            mine.connection = None
            connection.close()
            raise OSError(f"{type(error).__name__}: {error}") from error
        if answer.status in (429, 503):
            raise RejectedError(f"HTTP {answer.status}")
        if answer.status != 200:
            raise OSError(f"HTTP {answer.status}: {body[:200]!r}")
        return json.loads(body)["report"]

    yield send


@contextlib.contextmanager
def _open_client_side(url: str) -> Iterator[Send]:
    """Imaging here, the engine alone on the server: pixels on the wire, both ways."""
    from tritonclient.grpc import InferenceServerClient, InferenceServerException, InferInput

    cv2.setNumThreads(1)
    work = Pipeline(threads=1)
    client = InferenceServerClient(urlsplit(url).netloc)

    def send(photograph: bytes) -> object:
        seen = work.preprocess(photograph)
        tensor = InferInput(MODEL_INPUT, [1, *seen.pixels.shape], "UINT8")
        tensor.set_data_from_numpy(seen.pixels[np.newaxis])
        try:
            answer = client.infer(f"{DEFAULT_MODEL}_segment", [tensor], client_timeout=_TIMEOUT_S)
        except InferenceServerException as error:
            if error.status() == "StatusCode.UNAVAILABLE":
                raise RejectedError(error.message()) from error
            raise OSError(f"{error.status()}: {error.message()}") from error
        return work.postprocess(answer.as_numpy(PROBABILITY)[0], seen)

    try:
        yield send
    finally:
        client.close()
