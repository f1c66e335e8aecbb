"""Callers of the proxy, over HTTP and gRPC."""

import contextlib
import http.client
import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import tritonclient.grpc as grpcclient

from tests.deploy.proxy import Callers, Proxy

INFER = "/v2/models/echo/infer"
RAW = {"Inference-Header-Content-Length": "0", "Content-Type": "application/octet-stream"}


@dataclass(frozen=True)
class Answer:
    """An HTTP answer."""

    status: int
    body: bytes
    headers: dict[str, str]

    @property
    def error(self) -> str:
        """The text of an error, as Triton writes them; KeyError if it is none."""
        return str(json.loads(self.body)["error"])

    @property
    def text(self) -> str:
        """What the tiny pipeline says: the one BYTES element behind the JSON header."""
        return self.body[int(self.headers["inference-header-content-length"]) + 4 :].decode()


def ask(
    proxy: Proxy,
    callers: Callers,
    path: str,
    *,
    method: str = "GET",
    body: bytes | Iterable[bytes] | None = None,
    headers: dict[str, str] | None = None,
    client: str | None = "first",
) -> Answer:
    """One request on a connection of its own, with the certificate of ``client``, if one is named."""
    connection = http.client.HTTPSConnection("localhost", proxy.port, context=callers.tls(client), timeout=30)
    try:
        # A refused body need not be read to its end; the answer is there all the same.
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            connection.request(method, path, body, headers or {})
        response = connection.getresponse()
        return Answer(response.status, response.read(), {k.lower(): v for k, v in response.getheaders()})
    finally:
        connection.close()


def infer(proxy: Proxy, callers: Callers, body: bytes | Iterable[bytes] = b"hello", **extra: Any) -> Answer:
    """One inference by the tiny pipeline over HTTP, the raw body being its text."""
    headers = RAW | extra.pop("headers", {})
    return ask(proxy, callers, INFER, method="POST", body=body, headers=headers, **extra)


#: gRPC's own repetition of a request that no server has taken, as the SDK does by itself: when a proxy's worker ends,
#: a request may be on its way to it just then. The limits on sizes are what tritonclient sets without such options.
REPEATING = [
    ("grpc.max_send_message_length", -1),
    ("grpc.max_receive_message_length", -1),
    (
        "grpc.service_config",
        json.dumps(
            {
                "methodConfig": [
                    {
                        "name": [{}],
                        "retryPolicy": {
                            "maxAttempts": 2,
                            "initialBackoff": "0.1s",
                            "maxBackoff": "0.1s",
                            "backoffMultiplier": 1,
                            "retryableStatusCodes": ["UNAVAILABLE"],
                        },
                    }
                ]
            }
        ),
    ),
]


def grpc_client(
    proxy: Proxy, callers: Callers, *, client: str | None = "first", options: list[tuple[str, Any]] | None = None
) -> Any:
    """A gRPC client with the certificate of ``client``, if one is named, and with options of gRPC."""
    certificate, key = callers.certificate(client) if client else (None, None)
    return grpcclient.InferenceServerClient(
        f"localhost:{proxy.port}",
        ssl=True,
        root_certificates=str(callers.authority),
        certificate_chain=certificate and str(certificate),
        private_key=key and str(key),
        channel_args=options,
    )


def grpc_infer(client: Any, text: bytes = b"hello", **extra: Any) -> str:
    """One inference by the tiny pipeline over gRPC."""
    tensor = grpcclient.InferInput("TEXT", [1, 1], "BYTES")
    tensor.set_data_from_numpy(np.array([[text]], dtype=object))
    return str(client.infer("echo", [tensor], **extra).as_numpy("ECHO")[0, 0].decode())
