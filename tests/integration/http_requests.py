"""Plain HTTP requests to a server that may be dying."""

import http.client
import json
import time
from collections.abc import Callable

from segserve_server.embedded import EmbeddedServer
from segserve_server.embedded.ports import LOOPBACK

#: Seconds in which anything that is waited for must come true; far more than it takes, for busy machines.
WITHIN_S = 90.0


def post(
    server: EmbeddedServer, path: str, body: bytes | str, headers: dict[str, str], *, timeout_s: float = WITHIN_S
) -> tuple[int | None, bytes]:
    """The status and body of the answer to a POST; None and nothing if there was no answer."""
    connection = http.client.HTTPConnection(LOOPBACK, server.ports.http, timeout=timeout_s)
    try:
        connection.request("POST", path, body, headers)
        response = connection.getresponse()
        return response.status, response.read()
    except (OSError, http.client.HTTPException):
        return None, b""
    finally:
        connection.close()


def echo(server: EmbeddedServer, text: str) -> str | None:
    """`text` in capitals and backwards, from the echo repository; None if the server did not answer so."""
    request = {"inputs": [{"name": "TEXT", "shape": [1, 1], "datatype": "BYTES", "data": [text]}]}
    status, answer = post(server, "/v2/models/echo/infer", json.dumps(request), {"Content-Type": "application/json"})
    return str(json.loads(answer)["outputs"][0]["data"][0]) if status == 200 else None


def segment(server: EmbeddedServer, image: bytes) -> int | None:
    """The status of the answer to a request of the shipped ensemble."""
    headers = {"Content-Type": "application/octet-stream", "Inference-Header-Content-Length": "0"}
    return post(server, "/v2/models/fundus_hemorrhage/infer", image, headers)[0]


def becomes_true(condition: Callable[[], bool]) -> bool:
    """Whether `condition` comes true within WITHIN_S."""
    deadline = time.monotonic() + WITHIN_S
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True
