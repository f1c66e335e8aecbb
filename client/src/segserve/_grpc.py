"""gRPC transport.

It uses gRPC's synchronous channel and hands each answer to the event loop that waits for it, rather than
``grpc.aio``, whose poller is shared by all event loops of a process and does not survive a fork.
"""

import asyncio
import contextlib
import os
import sys
import threading
from typing import Any

from segserve import contract
from segserve._config import Tls
from segserve._endpoint import Endpoint
from segserve._fork import call_in_child
from segserve._status import Kind, to_error
from segserve._wire import CallOptions, InferRequest, InferResponse, OutputTensor, Query, join_elements
from segserve.errors import ClientClosedError, ContractMismatchError, SegserveError, ServerConnectionError

# gRPC survives a fork only if it was told so before its first import; a program that decided otherwise is heard.
if "grpc" not in sys.modules:
    os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "1")

import grpc
from google.protobuf.json_format import MessageToDict
from tritonclient.grpc import service_pb2, service_pb2_grpc

_OPTIONS = (
    # gRPC's own limit is 4 MB; the server's cap on an image is what counts.
    ("grpc.max_send_message_length", -1),
    ("grpc.max_receive_message_length", -1),
    # Hospital firewalls drop idle connections without a word.
    ("grpc.keepalive_time_ms", 30_000),
    ("grpc.keepalive_timeout_ms", 10_000),
    ("grpc.http2.max_pings_without_data", 0),
    # Back within about a second of the server's own return.
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 5_000),  # in truth the time a connection attempt may take
    ("grpc.max_reconnect_backoff_ms", 1_000),
    # Clients of one process must not share a connection, or they would share its bandwidth and its failures.
    ("grpc.use_local_subchannel_pool", 1),
)

_KINDS = {
    grpc.StatusCode.INVALID_ARGUMENT: Kind.INVALID,
    grpc.StatusCode.FAILED_PRECONDITION: Kind.INVALID,
    grpc.StatusCode.UNIMPLEMENTED: Kind.INVALID,
    grpc.StatusCode.NOT_FOUND: Kind.NOT_FOUND,
    grpc.StatusCode.UNAVAILABLE: Kind.UNAVAILABLE,
    grpc.StatusCode.CANCELLED: Kind.CONNECTION,
    grpc.StatusCode.UNAUTHENTICATED: Kind.DENIED,
    grpc.StatusCode.PERMISSION_DENIED: Kind.DENIED,
    grpc.StatusCode.RESOURCE_EXHAUSTED: Kind.EXHAUSTED,
    grpc.StatusCode.DEADLINE_EXCEEDED: Kind.DEADLINE,
}


class _ForkGuard:
    """Notices a fork that happened while calls were in flight, after which gRPC hangs in the child."""

    def __init__(self) -> None:
        self.broken = False
        self._in_flight = 0
        self._lock = threading.Lock()
        call_in_child(self._reset)

    def _reset(self) -> None:
        enabled = os.environ.get("GRPC_ENABLE_FORK_SUPPORT", "").lower() in ("1", "true", "yes")
        self.broken = self._in_flight > 0 or not enabled
        self._in_flight = 0
        self._lock = threading.Lock()

    def enter(self) -> None:
        """Count a call. Raises ClientClosedError where gRPC would hang."""
        if self.broken:
            raise ClientClosedError(
                "gRPC does not work in this process, which was forked while calls were in flight or without "
                "GRPC_ENABLE_FORK_SUPPORT=1; start it with multiprocessing's 'spawn', or use http://"
            )
        with self._lock:
            self._in_flight += 1

    def leave(self) -> None:
        """The call has ended."""
        with self._lock:
            self._in_flight -= 1


_fork_guard = _ForkGuard()


class GrpcTransport:
    """One channel to one endpoint; safe for any number of threads and event loops."""

    def __init__(self, endpoint: Endpoint, tls: Tls | None) -> None:
        options: list[tuple[str, Any]] = list(_OPTIONS)
        if endpoint.is_tls:
            tls = tls or Tls()
            if tls.server_name:
                options.append(("grpc.ssl_target_name_override", tls.server_name))
            credentials = grpc.ssl_channel_credentials(
                tls.read("ca_file"), tls.read("key_file"), tls.read("certificate_file")
            )
            self._channel = grpc.secure_channel(endpoint.authority, credentials, options)
        else:
            self._channel = grpc.insecure_channel(endpoint.authority, options)
        self._stub = service_pb2_grpc.GRPCInferenceServiceStub(self._channel)

    async def infer(self, request: InferRequest, options: CallOptions) -> InferResponse:
        """Send an image and wait for the answer."""
        message = service_pb2.ModelInferRequest(
            model_name=request.model,
            model_version=request.version,
            id=request.request_id,
            inputs=[{"name": contract.IMAGE, "datatype": "BYTES", "shape": [1, 1]}],
            outputs=[{"name": name} for name in request.outputs],
            raw_input_contents=[join_elements([request.image])],
        )
        message.parameters["timeout"].int64_param = options.timeout_us
        answer = await self._call(self._stub.ModelInfer, message, options)
        if len(answer.raw_output_contents) != len(answer.outputs):
            raise ContractMismatchError("the answer's outputs are not in binary form")
        return InferResponse(
            model=answer.model_name,
            version=answer.model_version,
            request_id=answer.id,
            outputs={
                output.name: OutputTensor(output.datatype, tuple(output.shape), data)
                for output, data in zip(answer.outputs, answer.raw_output_contents, strict=True)
            },
        )

    async def query(self, query: Query, options: CallOptions, *, model: str = "", version: str = "") -> Any:
        """Ask about the server or a model."""
        pb, stub = service_pb2, self._stub
        named = {"name": model, "version": version}
        call, message = {
            Query.SERVER: (stub.ServerMetadata, pb.ServerMetadataRequest()),
            Query.LIVE: (stub.ServerLive, pb.ServerLiveRequest()),
            Query.READY: (stub.ServerReady, pb.ServerReadyRequest()),
            Query.MODEL_READY: (stub.ModelReady, pb.ModelReadyRequest(**named)),
            Query.MODEL: (stub.ModelMetadata, pb.ModelMetadataRequest(**named)),
            Query.CONFIG: (stub.ModelConfig, pb.ModelConfigRequest(**named)),
            Query.INDEX: (stub.RepositoryIndex, pb.RepositoryIndexRequest()),
            Query.STATISTICS: (stub.ModelStatistics, pb.ModelStatisticsRequest()),
        }[query]
        answer = MessageToDict(await self._call(call, message, options), preserving_proto_field_name=True)
        if query in (Query.LIVE, Query.READY, Query.MODEL_READY):
            return {"ready": bool(answer.get("live" if query is Query.LIVE else "ready", False))}
        if query is Query.CONFIG:
            return answer.get("config", {})
        return answer.get("models", []) if query is Query.INDEX else answer

    async def close(self) -> None:
        """Close the channel."""
        self._channel.close()

    async def _call(self, call: Any, message: Any, options: CallOptions) -> Any:
        loop = asyncio.get_running_loop()
        waiter: asyncio.Future[None] = loop.create_future()
        metadata = [(name.lower(), value) for name, value in options.headers.items()]
        _fork_guard.enter()
        try:
            answer = call.future(message, timeout=options.timeout_s, metadata=metadata)
        except ValueError as error:  # gRPC's way to say that the channel is closed
            _fork_guard.leave()
            raise ServerConnectionError(f"the connection is closed: {error}") from error

        def wake() -> None:
            if not waiter.done():
                waiter.set_result(None)

        def finish(_: object) -> None:
            _fork_guard.leave()
            # Where the event loop has ended, nobody waits for the answer any more.
            with contextlib.suppress(RuntimeError):
                loop.call_soon_threadsafe(wake)

        answer.add_done_callback(finish)
        try:
            await waiter
        except asyncio.CancelledError:
            answer.cancel()
            raise
        failure = answer.exception()
        if failure is not None:
            raise _to_error(failure) from None
        return answer.result()


def _to_error(error: Any) -> SegserveError:
    retry_after = None
    for name, value in error.trailing_metadata() or ():
        if name == "retry-after" and value.isdigit():
            retry_after = float(value)
    return to_error(_KINDS.get(error.code(), Kind.FAULT), error.details() or "", retry_after_s=retry_after)
