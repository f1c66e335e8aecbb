"""The three ways to the server that the wire contract promises: gRPC, tritonclient's HTTP, a raw HTTP body."""

import io
import json
import struct
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import tritonclient.grpc as triton_grpc
import tritonclient.http as triton_http
from PIL import Image
from tritonclient.utils import InferenceServerException

from segserve_server.embedded import EmbeddedServer

MODEL = "fundus_hemorrhage"
_LENGTH = struct.Struct("<I")


@dataclass(frozen=True)
class Refusal(Exception):  # noqa: N818  (a refusal is an expected answer)
    """The server's error, its status as gRPC names it."""

    status: str
    message: str


@dataclass(frozen=True)
class Answer:
    """A decoded answer of one image."""

    report: dict[str, Any]
    masks: list[bytes]

    def mask(self) -> npt.NDArray[np.bool_]:
        """The first class's mask."""
        with Image.open(io.BytesIO(self.masks[0])) as image:
            return np.asarray(image)


Transport = Callable[[EmbeddedServer, bytes], Answer]
_STATUS_OF_HTTP = {400: "INVALID_ARGUMENT", 503: "UNAVAILABLE", 500: "INTERNAL", 404: "NOT_FOUND"}


def _column(encoded: bytes) -> npt.NDArray[np.object_]:
    return np.array([[encoded]], np.object_)


def over_grpc(server: EmbeddedServer, encoded: bytes, *, model: str = MODEL) -> Answer:
    """tritonclient's gRPC."""
    with triton_grpc.InferenceServerClient(server.grpc_url.removeprefix("grpc://")) as client:
        tensor = triton_grpc.InferInput("IMAGE", [1, 1], "BYTES")
        tensor.set_data_from_numpy(_column(encoded))
        try:
            result = client.infer(model, [tensor], client_timeout=60)
        except InferenceServerException as error:
            raise Refusal(str(error.status()).removeprefix("StatusCode."), str(error.message())) from error
        return Answer(json.loads(result.as_numpy("REPORT")[0, 0]), list(result.as_numpy("MASK")[0]))


def over_http(server: EmbeddedServer, encoded: bytes, *, model: str = MODEL) -> Answer:
    """tritonclient's HTTP."""
    client = triton_http.InferenceServerClient(server.http_url.removeprefix("http://"), network_timeout=60)
    try:
        tensor = triton_http.InferInput("IMAGE", [1, 1], "BYTES")
        tensor.set_data_from_numpy(_column(encoded))
        try:
            result = client.infer(model, [tensor])
        except InferenceServerException as error:
            raise Refusal(_STATUS_OF_HTTP[int(str(error.status()))], str(error.message())) from error
        return Answer(json.loads(result.as_numpy("REPORT")[0, 0]), list(result.as_numpy("MASK")[0]))
    finally:
        client.close()


def over_raw_http(server: EmbeddedServer, encoded: bytes, *, model: str = MODEL) -> Answer:
    """The file as the body of a POST, as curl --data-binary sends it."""
    request = urllib.request.Request(
        f"{server.http_url}/v2/models/{model}/infer",
        data=encoded,
        headers={"Content-Type": "application/octet-stream", "Inference-Header-Content-Length": "0"},
    )
    try:
        with urllib.request.urlopen(request, timeout=60) as response:
            body = response.read()
            header_length = int(response.headers["Inference-Header-Content-Length"])
    except urllib.error.HTTPError as error:
        with error:
            raise Refusal(_STATUS_OF_HTTP[error.code], json.loads(error.read())["error"]) from error
    outputs = split_body(body, header_length)
    return Answer(json.loads(outputs["REPORT"][0]), outputs["MASK"])


def split_body(body: bytes, header_length: int) -> dict[str, list[bytes]]:
    """The BYTES elements of each output, by name: a JSON header, then the outputs' bytes in the header's order."""
    outputs: dict[str, list[bytes]] = {}
    position = header_length
    for output in json.loads(body[:header_length])["outputs"]:
        end = position + output["parameters"]["binary_data_size"]
        elements = []
        while position < end:
            (length,) = _LENGTH.unpack_from(body, position)
            elements.append(body[position + _LENGTH.size : position + _LENGTH.size + length])
            position += _LENGTH.size + length
        outputs[output["name"]] = elements
    return outputs


TRANSPORTS: dict[str, Transport] = {"grpc": over_grpc, "http": over_http, "raw": over_raw_http}
