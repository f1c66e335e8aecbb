"""The verbs, once, for both clients."""

import asyncio
import hashlib
import logging
import re
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar

from segserve import contract
from segserve._caller import Budget, Call, Caller
from segserve._config import HedgePolicy, RetryPolicy, Tls
from segserve._counters import CounterBook
from segserve._endpoint import Endpoint, parse_endpoints
from segserve._fork import call_in_child
from segserve._geometry import Geometry
from segserve._model import EndpointHealth, Health, ModelInfo, describes_itself
from segserve._pool import EndpointPool
from segserve._probability import ProbabilityMap
from segserve._result import SegmentationResult
from segserve._source import EncodedImage, Named, load_image
from segserve._telemetry import NullTracer, OpenTelemetryTracer, Tracer
from segserve._wire import CallOptions, InferRequest, InferResponse, Query, Transport, TransportFactory
from segserve.errors import (
    AccessDeniedError,
    ContractMismatchError,
    InvalidInputError,
    ModelUnavailableError,
    SegserveError,
    ServerConnectionError,
)

if TYPE_CHECKING:
    from segserve._source import ImageSource

T = TypeVar("T")

DEFAULT_TIMEOUT_S = 30.0
_WAIT_STEP_S = 0.5
_HEADER_NAME = re.compile(r"[0-9a-z_.-]+")
_OWN_HEADERS = frozenset({"content-type", "content-length", "content-encoding", "inference-header-content-length"})

_log = logging.getLogger("segserve")


@dataclass(frozen=True)
class Options:
    """What a single call may set; None leaves it to the client."""

    model: str | None = None
    version: str | None = None
    timeout_s: float | None = None
    headers: Mapping[str, str] | None = field(default=None, repr=False)
    token: str | None = field(default=None, repr=False)
    request_id: str | None = None


@dataclass(frozen=True)
class Settings:
    """How a client was made."""

    url: str | Sequence[str]
    model: str | None = None
    timeout_s: float = DEFAULT_TIMEOUT_S
    tls: Tls | None = None
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    token: str | Callable[[], str] | None = field(default=None, repr=False)
    retry: RetryPolicy = field(default_factory=RetryPolicy)
    hedge: HedgePolicy | None = None
    tracing: bool = False
    transport: TransportFactory | None = None


class Core:
    """Everything a client does, as coroutines. Both clients hold one and add only how they wait for it."""

    def __init__(self, settings: Settings) -> None:
        check_timeout(settings.timeout_s)
        self.settings = settings
        self._endpoints = parse_endpoints(settings.url)
        self._factory: TransportFactory = settings.transport or open_transport
        self._tracer: Tracer = OpenTelemetryTracer() if settings.tracing else NullTracer()
        self._transports: dict[Endpoint, Transport] = {}
        self._inherited: list[Transport] = []
        self._reset()
        call_in_child(self._reset)

    def _reset(self) -> None:
        """Begin anew; in a forked child connections belong to the parent, and locks may be held by nobody."""
        self.counters = CounterBook()
        self._pool = EndpointPool(self._endpoints)
        settings = self.settings
        self._caller = Caller(self._pool, retry=settings.retry, hedge=settings.hedge, counters=self.counters)
        # Kept, since what their libraries do when they are collected would disturb the parent's connections.
        self._inherited.extend(self._transports.values())
        self._transports = {}

    async def segment(self, source: "ImageSource | Named", options: Options) -> SegmentationResult:
        """Segment one image."""
        outputs = (contract.REPORT, contract.MASK)
        image, response = await self._infer(source, options, suffix="", outputs=outputs)
        with _reading(response):
            result = SegmentationResult.from_response(response, name=image.name, image=image.data)
            _check_identity(image, result.report.image.sha256)
        return result

    async def probability(self, source: "ImageSource | Named", options: Options) -> ProbabilityMap:
        """The probability map of one image."""
        outputs = (contract.PROBABILITY, contract.GEOMETRY)
        image, response = await self._infer(source, options, suffix=contract.PROBABILITY_SUFFIX, outputs=outputs)
        with _reading(response):
            (text,) = response.output(contract.GEOMETRY).elements()
            geometry = Geometry.parse(text)
            _check_identity(image, geometry.image.sha256)
            output = response.output(contract.PROBABILITY)
            return ProbabilityMap.from_output(output, geometry, request_id=response.request_id)

    async def model(self, options: Options) -> ModelInfo:
        """What a model says of itself."""
        name = self.model_name(options)
        config = await self._query(Query.CONFIG, options, model=name)
        metadata = await self._query(Query.MODEL, options, model=name)
        return ModelInfo.from_config(config, versions=tuple(metadata.get("versions", ())))

    async def models(self, options: Options) -> tuple[ModelInfo, ...]:
        """All loaded ensembles of the contract, sorted by name; other models of the server are left out.

        A server that does not say which models it has is asked for the client's own by name.
        """
        found = []
        for name in await self._model_names(options):
            try:
                config = await self._query(Query.CONFIG, options, model=name)
            except ModelUnavailableError:  # unloaded since the list was made
                continue
            if describes_itself(config):
                metadata = await self._query(Query.MODEL, options, model=name)
                found.append(ModelInfo.from_config(config, versions=tuple(metadata.get("versions", ()))))
        return tuple(found)

    async def _model_names(self, options: Options) -> list[str]:
        """Loaded models. The repository's index is often closed, since loading is; statistics name them as well."""
        try:
            index = await self._query(Query.INDEX, options)
            return sorted({entry["name"] for entry in index if entry.get("state") == "READY"})
        except AccessDeniedError:
            pass
        try:
            statistics = await self._query(Query.STATISTICS, options)
            return sorted({entry["name"] for entry in statistics["model_stats"]})
        except AccessDeniedError:
            own = self.settings.model
            if own is None:
                raise
            return [own, own + contract.PROBABILITY_SUFFIX]

    async def health(self, options: Options) -> Health:
        """Ask every endpoint, once each, without retries; unreachable ones are part of the answer."""
        model = options.model or self.settings.model
        checks = (self._endpoint_health(endpoint, model, options) for endpoint in self._endpoints)
        return Health(model, tuple(await asyncio.gather(*checks)))

    async def wait_ready(self, options: Options) -> Health:
        """Ask until a server is ready. Raises ServerConnectionError when the time budget ends first."""
        budget = Budget(self._timeout(options))
        while True:
            step = Options(model=options.model, timeout_s=min(5.0, max(0.1, budget.remaining_s)))
            health = await self.health(step)
            if health.ready:
                return health
            if budget.remaining_s <= _WAIT_STEP_S:
                problems = "; ".join(f"{each.endpoint}: {each.problem or 'not ready'}" for each in health.endpoints)
                error = ServerConnectionError(f"no server became ready: {problems}")
                error.elapsed_s = budget.elapsed_s
                raise error
            await asyncio.sleep(_WAIT_STEP_S)

    async def close(self) -> None:
        """Close all connections."""
        transports, self._transports = list(self._transports.values()), {}
        for transport in transports:
            await transport.close()

    async def _infer(
        self, source: "ImageSource | Named", options: Options, *, suffix: str, outputs: tuple[str, ...]
    ) -> tuple[EncodedImage, InferResponse]:
        budget = Budget(self._timeout(options))
        model = self.model_name(options) + suffix
        request_id = options.request_id or uuid.uuid4().hex
        try:
            image = load_image(source) if isinstance(source, bytes) else await asyncio.to_thread(load_image, source)
        except InvalidInputError as error:
            error.request_id, error.model = request_id, model
            raise
        request = InferRequest(
            model=model, image=image.data, outputs=outputs, request_id=request_id, version=options.version or ""
        )
        attributes = {"segserve.model": model, "segserve.request_id": request_id, "segserve.bytes": len(image.data)}
        with self._tracer.span("segserve.infer", attributes) as span:
            headers = await self._headers(options)

            async def send(endpoint: Endpoint, left_s: float) -> InferResponse:
                span.set_attribute("segserve.endpoint", str(endpoint))
                return await self._transport(endpoint).infer(request, CallOptions(left_s, headers))

            call = Call(send, budget, hedged=True)
            try:
                response = await self._caller.run(call)
            except SegserveError as error:
                error.request_id, error.model = request_id, model
                raise
            finally:
                span.set_attribute("segserve.attempts", call.attempts)
        if response.request_id != request_id:
            raise ContractMismatchError(f"the answer belongs to request {response.request_id!r}, not {request_id!r}")
        return image, response

    async def _query(self, query: Query, options: Options, *, model: str = "") -> Any:
        headers = await self._headers(options)

        async def send(endpoint: Endpoint, left_s: float) -> Any:
            return await self._transport(endpoint).query(query, CallOptions(left_s, headers), model=model)

        try:
            return await self._caller.run(Call(send, Budget(self._timeout(options))))
        except SegserveError as error:
            error.model = model or None
            raise

    async def _endpoint_health(self, endpoint: Endpoint, model: str | None, options: Options) -> EndpointHealth:
        headers = await self._headers(options)
        budget = Budget(self._timeout(options))
        live = ready = False
        model_ready: bool | None = None
        version = ""

        async def ask(query: Query) -> Any:
            call = self._transport(endpoint).query(
                query, CallOptions(max(0.01, budget.remaining_s), headers), model=model or ""
            )
            return await asyncio.wait_for(call, max(0.01, budget.remaining_s))

        try:
            live = (await ask(Query.LIVE))["ready"]
            ready = (await ask(Query.READY))["ready"]
            version = str((await ask(Query.SERVER)).get("version", ""))
            if model:
                model_ready = (await ask(Query.MODEL_READY))["ready"]
            return EndpointHealth(str(endpoint), live, ready, model_ready, version)
        except SegserveError as error:
            problem = error.message
        except asyncio.TimeoutError:
            problem = "no answer in time"
        return EndpointHealth(str(endpoint), live, ready, model_ready, version, problem)

    def _transport(self, endpoint: Endpoint) -> Transport:
        transport = self._transports.get(endpoint)
        if transport is None:
            transport = self._transports[endpoint] = self._factory(endpoint, self.settings.tls)
        return transport

    def model_name(self, options: Options) -> str:
        """The model of a call. Raises InvalidInputError when neither it nor the client names one."""
        model = options.model or self.settings.model
        if not model:
            raise InvalidInputError("no model named: pass model= to the client or to the call")
        return model

    def _timeout(self, options: Options) -> float:
        timeout_s = self.settings.timeout_s if options.timeout_s is None else options.timeout_s
        check_timeout(timeout_s)
        return timeout_s

    async def _headers(self, options: Options) -> dict[str, str]:
        headers = {name.lower(): value for name, value in self.settings.headers.items()}
        headers |= {name.lower(): value for name, value in (options.headers or {}).items()}
        token = options.token or self.settings.token
        if callable(token):  # it may ask another server, and must not hold up this client's other calls
            token = await asyncio.to_thread(token)
        if token is not None:
            headers["authorization"] = f"Bearer {token}"
        for name, value in headers.items():
            check_header(name, value)
        self._tracer.inject(headers)
        return headers


def check_timeout(timeout_s: float) -> None:
    """Raise InvalidInputError for a budget in which nothing can be done."""
    if not 0 < timeout_s < float("inf"):
        raise InvalidInputError(f"timeout_s must be a positive number of seconds, not {timeout_s}")


def check_header(name: str, value: str) -> None:
    """Raise InvalidInputError for a header that a protocol refuses or that would change what the body means."""
    if name in _OWN_HEADERS:
        raise InvalidInputError(f"header {name} is the SDK's own to set")
    if _HEADER_NAME.fullmatch(name) is None or not value.isascii() or not value.isprintable():
        raise InvalidInputError(f"header {name!r} has a name or value that cannot be sent; use printable ASCII")


def open_transport(endpoint: Endpoint, tls: Tls | None) -> Transport:
    """The transport of an endpoint's scheme; imports its library only now."""
    if endpoint.is_grpc:
        from segserve._grpc import GrpcTransport

        return GrpcTransport(endpoint, tls)
    from segserve._http import HttpTransport

    return HttpTransport(endpoint, tls)


@contextmanager
def _reading(response: InferResponse) -> Iterator[None]:
    """Adds an answer's request id and model to errors raised while it is read."""
    try:
        yield
    except SegserveError as error:
        error.request_id, error.model = response.request_id, response.model
        raise


def _check_identity(image: EncodedImage, sha256: str) -> None:
    """A report that belongs to another patient's image is the one mistake that must not pass."""
    if hashlib.sha256(image.data).hexdigest() != sha256:
        raise ContractMismatchError("the answer belongs to another image: the sha256 of the bytes differs")
