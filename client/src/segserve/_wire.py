"""What goes over the wire, whichever protocol carries it."""

import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from math import prod
from typing import Any, Protocol

from segserve._config import Tls
from segserve._endpoint import Endpoint
from segserve.errors import ContractMismatchError

_LENGTH = struct.Struct("<I")


class Query(Enum):
    """Questions about the server and its models, answered by a JSON object (KServe v2 and Triton's extensions)."""

    SERVER = "server"
    LIVE = "live"
    READY = "ready"
    MODEL_READY = "model_ready"
    MODEL = "model"
    CONFIG = "config"
    INDEX = "index"
    STATISTICS = "statistics"


@dataclass(frozen=True)
class InferRequest:
    """One image for one ensemble. ``version`` empty: the server's choice."""

    model: str
    image: bytes = field(repr=False)
    outputs: tuple[str, ...]
    request_id: str
    version: str = ""


@dataclass(frozen=True)
class CallOptions:
    """``timeout_s``: what is left of the budget; it is also the limit of the server's queues. ``headers`` as sent."""

    timeout_s: float
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)

    @property
    def timeout_us(self) -> int:
        """In microseconds, as Triton's ``timeout`` parameter has it; at least 1, since 0 means none."""
        return max(1, int(self.timeout_s * 1e6))


@dataclass(frozen=True)
class OutputTensor:
    """One output: KServe datatype, shape with the batch dimension in front, and raw bytes."""

    datatype: str
    shape: tuple[int, ...]
    data: bytes = field(repr=False)

    def elements(self) -> tuple[bytes, ...]:
        """The elements of a BYTES tensor. Raises ContractMismatchError."""
        if self.datatype != "BYTES":
            raise ContractMismatchError(f"expected a BYTES tensor, not {self.datatype}")
        elements = split_elements(self.data)
        if len(elements) != prod(self.shape):
            raise ContractMismatchError(f"a tensor of shape {list(self.shape)} holds {len(elements)} elements")
        return elements


@dataclass(frozen=True)
class InferResponse:
    """The answer to an InferRequest; outputs by name, since their order is not fixed."""

    model: str
    version: str
    request_id: str
    outputs: Mapping[str, OutputTensor]

    def output(self, name: str) -> OutputTensor:
        """The output of this name. Raises ContractMismatchError."""
        try:
            return self.outputs[name]
        except KeyError:
            raise ContractMismatchError(f"the answer has no output {name}, but {', '.join(self.outputs)}") from None


class Transport(Protocol):
    """One connection to one endpoint: the only seam between the SDK and a server.

    Failures are raised as the errors of ``segserve.errors``, without their context, which the caller adds. A call is
    cancelled by cancelling its task, which gRPC passes on to the server.
    """

    async def infer(self, request: InferRequest, options: CallOptions) -> InferResponse:
        """Send an image and wait for the answer."""
        ...

    async def query(self, query: Query, options: CallOptions, *, model: str = "", version: str = "") -> Any:
        """Ask about the server or a model; the answer's JSON."""
        ...

    async def close(self) -> None:
        """Close the connection."""
        ...


class TransportFactory(Protocol):
    """Makes the transport to an endpoint; ``segserve.testing`` has one that needs no server."""

    def __call__(self, endpoint: Endpoint, tls: Tls | None) -> Transport:
        """Return a transport, without connecting yet."""
        ...


def join_elements(elements: list[bytes]) -> bytes:
    """BYTES elements as they go over the wire: each with its length, 4 bytes little-endian, in front."""
    return b"".join(part for element in elements for part in (_LENGTH.pack(len(element)), element))


def split_elements(data: bytes) -> tuple[bytes, ...]:
    """Take a BYTES tensor apart. Raises ContractMismatchError when the lengths do not fit the data."""
    elements, offset = [], 0
    while offset < len(data):
        end = offset + _LENGTH.size
        if end > len(data):
            raise ContractMismatchError("a BYTES tensor ends inside an element's length")
        (length,) = _LENGTH.unpack_from(data, offset)
        if end + length > len(data):
            raise ContractMismatchError("a BYTES tensor ends inside an element")
        elements.append(data[end : end + length])
        offset = end + length
    return tuple(elements)
