"""Triton's two protocols on real sockets, answered by a FakeServer: what transports are tested against.

The bytes on the wire are made here by hand (HTTP) or by NVIDIA's generated code (gRPC), never by the SDK's own encoder.
"""

import asyncio
import json
import ssl
import struct
import threading
import time
from concurrent import futures
from types import TracebackType
from typing import Any

import grpc
from aiohttp import web
from google.protobuf.json_format import ParseDict
from segserve.errors import InvalidImageError, ModelNotFoundError, OverloadedError, SegserveError, ServerFaultError
from segserve.testing import FakeServer
from tritonclient.grpc import service_pb2, service_pb2_grpc

_GRPC_STATUS: dict[type[SegserveError], grpc.StatusCode] = {
    InvalidImageError: grpc.StatusCode.INVALID_ARGUMENT,
    ModelNotFoundError: grpc.StatusCode.NOT_FOUND,
    OverloadedError: grpc.StatusCode.UNAVAILABLE,
    ServerFaultError: grpc.StatusCode.INTERNAL,
}
_HTTP_STATUS: dict[type[SegserveError], int] = {
    InvalidImageError: 400,
    ModelNotFoundError: 400,
    OverloadedError: 503,
    ServerFaultError: 500,
}


def _text(error: SegserveError) -> str:
    prefix = "in ensemble 'fundus_hemorrhage', " if isinstance(error, InvalidImageError) else ""
    return prefix + error.message


class _Servicer(service_pb2_grpc.GRPCInferenceServiceServicer):  # type: ignore[misc]
    def __init__(self, fake: FakeServer, owner: "GrpcLoopback") -> None:
        self._fake = fake
        self._owner = owner

    def ServerLive(self, request: Any, context: Any) -> Any:  # noqa: N802 - the protocol's name
        return service_pb2.ServerLiveResponse(live=True)

    def ServerReady(self, request: Any, context: Any) -> Any:  # noqa: N802
        return service_pb2.ServerReadyResponse(ready=self._fake.ready)

    def ServerMetadata(self, request: Any, context: Any) -> Any:  # noqa: N802
        return service_pb2.ServerMetadataResponse(name="triton", version="loopback")

    def ModelReady(self, request: Any, context: Any) -> Any:  # noqa: N802
        return service_pb2.ModelReadyResponse(ready=request.name in self._fake.models)

    def ModelMetadata(self, request: Any, context: Any) -> Any:  # noqa: N802
        return service_pb2.ModelMetadataResponse(name=request.name, versions=["1"])

    def ModelConfig(self, request: Any, context: Any) -> Any:  # noqa: N802
        model, probability = self._find(request.name, context)
        return ParseDict({"config": model.config(probability=probability)}, service_pb2.ModelConfigResponse())

    def RepositoryIndex(self, request: Any, context: Any) -> Any:  # noqa: N802
        models = [{"name": name, "version": "1", "state": "READY"} for name in self._fake.models]
        return ParseDict({"models": models}, service_pb2.RepositoryIndexResponse())

    def ModelInfer(self, request: Any, context: Any) -> Any:  # noqa: N802
        self._owner.headers = dict(context.invocation_metadata())
        self._owner.timeout_us = request.parameters["timeout"].int64_param
        ended = threading.Event()
        context.add_callback(ended.set)
        step = self._fake.next_step()
        if ended.wait(step.delay_s) and step.delay_s:
            self._owner.cancelled += 1
        if step.error is not None:
            if self._owner.retry_after:
                context.set_trailing_metadata([("retry-after", self._owner.retry_after)])
            context.abort(_GRPC_STATUS[type(step.error)], _text(step.error))
        model, _ = self._find(request.model_name, context)
        data = request.raw_input_contents[0]
        (length,) = struct.unpack_from("<I", data)
        try:
            outputs = model.answer(data[4 : 4 + length], tuple(output.name for output in request.outputs))
        except InvalidImageError as error:
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, _text(error))
        answer = service_pb2.ModelInferResponse(model_name=request.model_name, model_version="1", id=request.id)
        for name in reversed(outputs):  # Triton fixes no order
            answer.outputs.add(name=name, datatype=outputs[name].datatype, shape=outputs[name].shape)
            answer.raw_output_contents.append(outputs[name].data)
        return answer

    def _find(self, name: str, context: Any) -> Any:
        try:
            return self._fake.find(name)
        except ModelNotFoundError as error:
            context.abort(grpc.StatusCode.NOT_FOUND, error.message)


class GrpcLoopback:
    """A gRPC server on a free port of this machine."""

    scheme = "grpc"

    def __init__(self, fake: FakeServer, credentials: grpc.ServerCredentials | None = None, port: int = 0) -> None:
        self.headers: dict[str, str] = {}
        self.timeout_us = 0
        self.cancelled = 0
        self.retry_after: str | None = None
        self._server = grpc.server(
            futures.ThreadPoolExecutor(32),
            options=[("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)],
        )
        service_pb2_grpc.add_GRPCInferenceServiceServicer_to_server(_Servicer(fake, self), self._server)
        if credentials is None:
            self.port = self._server.add_insecure_port(f"127.0.0.1:{port}")
        else:
            self.port = self._server.add_secure_port(f"localhost:{port}", credentials)

    def __enter__(self) -> "GrpcLoopback":
        self._server.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.stop(0).wait()

    @property
    def url(self) -> str:
        """Where it is."""
        return f"grpc://127.0.0.1:{self.port}"

    def wait_until_cancelled(self) -> None:
        """Until a handler has noticed that its request was cancelled."""
        _wait_until(lambda: self.cancelled > 0)


class HttpLoopback:
    """An HTTP server on a free port of this machine, in a thread of its own."""

    scheme = "http"

    def __init__(self, fake: FakeServer, context: ssl.SSLContext | None = None, port: int = 0) -> None:
        self.headers: dict[str, str] = {}
        self.timeout_us = 0
        self.cancelled = 0
        self.port = port
        self.retry_after: str | None = None
        self._fake = fake
        self._context = context
        self._loop = asyncio.new_event_loop()
        self._started = threading.Event()
        self._thread = threading.Thread(target=self._serve)

    def __enter__(self) -> "HttpLoopback":
        self._thread.start()
        self._started.wait()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()

    @property
    def url(self) -> str:
        """Where it is."""
        return f"{'https://localhost' if self._context else 'http://127.0.0.1'}:{self.port}"

    def _serve(self) -> None:
        asyncio.set_event_loop(self._loop)
        app = web.Application(client_max_size=1 << 30)
        app.router.add_get("/v2", self._json({"name": "triton", "version": "loopback"}))
        app.router.add_get("/v2/health/live", self._json({}))
        app.router.add_get("/v2/health/ready", self._ready)
        app.router.add_post("/v2/repository/index", self._index)
        app.router.add_get("/v2/models/{name}/ready", self._model_ready)
        app.router.add_get("/v2/models/{name}/config", self._config)
        app.router.add_get("/v2/models/{name}", self._json({"versions": ["1"]}))
        app.router.add_post("/v2/models/{name}/infer", self._infer)
        runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=0.1)
        self._loop.run_until_complete(runner.setup())
        site = web.TCPSite(runner, "127.0.0.1", self.port, ssl_context=self._context)
        self._loop.run_until_complete(site.start())
        self.port = runner.addresses[0][1]
        self._started.set()
        self._loop.run_forever()
        self._loop.run_until_complete(runner.cleanup())
        self._loop.close()

    def _json(self, value: Any) -> Any:
        async def answer(request: web.Request) -> web.Response:
            return web.json_response(value)

        return answer

    async def _ready(self, request: web.Request) -> web.Response:
        return web.Response(status=200 if self._fake.ready else 400)

    async def _model_ready(self, request: web.Request) -> web.Response:
        return web.Response(status=200 if request.match_info["name"] in self._fake.models else 400)

    async def _index(self, request: web.Request) -> web.Response:
        return web.json_response([{"name": name, "version": "1", "state": "READY"} for name in self._fake.models])

    async def _config(self, request: web.Request) -> web.Response:
        try:
            model, probability = self._fake.find(request.match_info["name"])
        except ModelNotFoundError as error:
            return web.json_response({"error": error.message}, status=400)
        return web.json_response(model.config(probability=probability))

    async def _infer(self, request: web.Request) -> web.Response:
        self.headers = {name.lower(): value for name, value in request.headers.items()}
        body = await request.read()
        length = int(request.headers["Inference-Header-Content-Length"])
        header = json.loads(body[:length])
        self.timeout_us = header["parameters"]["timeout"]
        step = self._fake.next_step()
        try:
            await asyncio.sleep(step.delay_s)
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        if step.error is not None:
            headers = {"Retry-After": self.retry_after} if self.retry_after else {}
            return web.json_response(
                {"error": _text(step.error)}, status=_HTTP_STATUS[type(step.error)], headers=headers
            )
        wanted = tuple(output["name"] for output in header["outputs"])
        try:
            model, _ = self._fake.find(request.match_info["name"])
            outputs = dict(reversed(model.answer(body[length + 4 :], wanted).items()))
        except (InvalidImageError, ModelNotFoundError) as error:
            return web.json_response({"error": _text(error)}, status=400)
        described = [
            {
                "name": name,
                "datatype": output.datatype,
                "shape": output.shape,
                "parameters": {"binary_data_size": len(output.data)},
            }
            for name, output in outputs.items()
        ]
        name = request.match_info["name"]
        head = json.dumps({"id": header["id"], "model_name": name, "model_version": "1", "outputs": described}).encode()
        return web.Response(
            body=head + b"".join(output.data for output in outputs.values()),
            headers={"Inference-Header-Content-Length": str(len(head)), "Content-Type": "application/octet-stream"},
        )

    def wait_until_cancelled(self) -> None:
        """Until a handler has noticed that its request was cancelled."""
        _wait_until(lambda: self.cancelled > 0)


def _wait_until(condition: Any) -> None:
    for _ in range(500):
        if condition():
            return
        time.sleep(0.02)
    raise AssertionError("the server never noticed")
