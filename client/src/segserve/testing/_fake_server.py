"""A server that is not there: answers, delays and failures by script, through the SDK's own transport seam."""

import asyncio
import hashlib
import threading
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from segserve import contract
from segserve._async_client import AsyncClient
from segserve._client import Client
from segserve._config import Tls
from segserve._endpoint import Endpoint
from segserve._wire import CallOptions, InferRequest, InferResponse, OutputTensor, Query, Transport
from segserve.errors import AccessDeniedError, ModelNotFoundError, SegserveError, ServerConnectionError
from segserve.testing._synthetic import FakeModel

FAKE_URL = "grpc://fake:8001"


@dataclass(frozen=True)
class Step:
    """What becomes of one request.

    Parameters
    ----------
    delay_s
        Seconds before anything comes back.
    error
        Raised instead of an answer: the class as a real server's answer would be translated to.
    change
        Called with the outputs, to change them before they are sent.
    """

    delay_s: float = 0.0
    error: SegserveError | None = None
    change: Callable[[dict[str, OutputTensor]], None] | None = None


@dataclass(frozen=True)
class SeenRequest:
    """One request that reached the fake server, as far as a test may ask about it."""

    endpoint: str
    model: str
    version: str
    request_id: str
    timeout_s: float
    headers: Mapping[str, str]
    image_sha256: str
    image_size: int = field(default=0)


class FakeServer:
    """Answers like a Triton with the given models, from memory; safe for threads.

    Every image gets one round lesion per class, in its middle, unless ``recordings`` holds an answer for it.

    Parameters
    ----------
    models
        What the server has.
    delay_s
        Seconds that every answer takes.

    Attributes
    ----------
    ready
        What the server says of itself.
    seen
        The requests for images that reached it.
    cancelled
        How many of them were cancelled while they waited.
    recordings
        Answers for known images, by the sha256 of their bytes.
    closed
        Queries that an operator has closed.
    """

    def __init__(self, *models: FakeModel, delay_s: float = 0.0) -> None:
        self.models = {model.name: model for model in models or (FakeModel(),)}
        self.delay_s = delay_s
        self.ready = True
        self.closed: set[Query] = set()
        self.seen: list[SeenRequest] = []
        self.cancelled = 0
        self.recordings: dict[str, Mapping[str, OutputTensor]] = {}
        self._down: set[str] = set()
        self._script: deque[Step] = deque()
        self._lock = threading.Lock()

    def script(self, *steps: Step | SegserveError) -> "FakeServer":
        """Say what becomes of the next requests for an image, one step each; afterwards all is well again."""
        with self._lock:
            self._script.extend(step if isinstance(step, Step) else Step(error=step) for step in steps)
        return self

    def take_down(self, url: str = FAKE_URL) -> None:
        """Refuse connections to a URL."""
        self._down.add(str(Endpoint.parse(url)))

    def bring_up(self, url: str = FAKE_URL) -> None:
        """Accept them again."""
        self._down.discard(str(Endpoint.parse(url)))

    def client(self, url: str = FAKE_URL, **settings: Any) -> Client:
        """A Client of this server; ``settings`` as Client takes them, the model being the first one."""
        return Client(url, **{"model": next(iter(self.models)), "transport": self.connect, **settings})

    def async_client(self, url: str = FAKE_URL, **settings: Any) -> AsyncClient:
        """An AsyncClient of this server."""
        return AsyncClient(url, **{"model": next(iter(self.models)), "transport": self.connect, **settings})

    def connect(self, endpoint: Endpoint, tls: Tls | None) -> Transport:
        """The ``transport=`` of a client."""
        return _FakeTransport(self, endpoint)

    def next_step(self) -> Step:
        """The next step of the script."""
        with self._lock:
            return self._script.popleft() if self._script else Step()

    def is_down(self, endpoint: Endpoint) -> bool:
        """Whether connections to an endpoint are refused."""
        return str(endpoint) in self._down

    def find(self, name: str) -> tuple[FakeModel, bool]:
        """A model, and whether its probability ensemble was meant. Raises ModelNotFoundError."""
        model = self.models.get(name) or self.models.get(name.removesuffix(contract.PROBABILITY_SUFFIX))
        if model is None:
            raise ModelNotFoundError(f"Request for unknown model: '{name}' is not found")
        return model, name != model.name


class _FakeTransport:
    """One connection to a fake server."""

    def __init__(self, server: FakeServer, endpoint: Endpoint) -> None:
        self._server = server
        self._endpoint = endpoint

    async def infer(self, request: InferRequest, options: CallOptions) -> InferResponse:
        """Answer by the script."""
        server = self._server
        self._require_up()
        sha256 = hashlib.sha256(request.image).hexdigest()
        server.seen.append(
            SeenRequest(
                endpoint=str(self._endpoint),
                model=request.model,
                version=request.version,
                request_id=request.request_id,
                timeout_s=options.timeout_s,
                headers=dict(options.headers),
                image_sha256=sha256,
                image_size=len(request.image),
            )
        )
        step = server.next_step()
        await self._pause(server.delay_s + step.delay_s)
        if step.error is not None:
            raise step.error
        model, _ = server.find(request.model)
        recorded = server.recordings.get(sha256)
        if recorded is not None and set(request.outputs) <= set(recorded):
            outputs = dict(recorded)
        else:
            outputs = await asyncio.to_thread(model.answer, request.image, request.outputs)
        if step.change is not None:
            step.change(outputs)
        return InferResponse(request.model, "1", request.request_id, outputs)

    async def query(self, query: Query, options: CallOptions, *, model: str = "", version: str = "") -> Any:
        """Answer from what the server has."""
        self._require_up()
        server = self._server
        if query in (Query.LIVE, Query.READY):
            return {"ready": query is Query.LIVE or server.ready}
        if query is Query.SERVER:
            return {"name": "triton", "version": "fake"}
        if query in (Query.INDEX, Query.STATISTICS):
            if query in server.closed:
                raise AccessDeniedError("This protocol is restricted")
            names = [name + suffix for name in server.models for suffix in ("", contract.PROBABILITY_SUFFIX)]
            entries = [{"name": name, "version": "1", "state": "READY"} for name in names]
            return entries if query is Query.INDEX else {"model_stats": entries}
        if query is Query.MODEL_READY and model.removesuffix(contract.PROBABILITY_SUFFIX) not in server.models:
            return {"ready": False}
        found, probability = server.find(model)
        return {
            Query.MODEL_READY: {"ready": server.ready},
            Query.MODEL: {"name": model, "versions": ["1"]},
            Query.CONFIG: found.config(probability=probability),
        }[query]

    async def close(self) -> None:
        """Nothing to close."""

    async def _pause(self, seconds: float) -> None:
        try:
            await asyncio.sleep(seconds)
        except asyncio.CancelledError:
            self._server.cancelled += 1
            raise

    def _require_up(self) -> None:
        if self._server.is_down(self._endpoint):
            raise ServerConnectionError(f"connection to {self._endpoint} refused")
