"""HTTP transport."""

import asyncio
import io
import json
import os
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import aiohttp

from segserve._config import Tls
from segserve._endpoint import Endpoint
from segserve._http_codec import HEADER_LENGTH, decode_response, encode_request
from segserve._status import Kind, to_error
from segserve._wire import CallOptions, InferRequest, InferResponse, Query
from segserve.errors import ContractMismatchError, InvalidInputError, SegserveError, ServerConnectionError, TlsError

_MAX_CONNECTIONS = 256  # threads beyond this wait for a connection inside their budget
_KEEPALIVE_S = 30

_KINDS = {
    400: Kind.INVALID,
    401: Kind.DENIED,
    403: Kind.DENIED,
    404: Kind.NOT_FOUND,
    405: Kind.INVALID,
    413: Kind.TOO_LARGE,
    415: Kind.INVALID,
    429: Kind.BUSY,
    502: Kind.CONNECTION,
    503: Kind.BUSY,  # unlike gRPC's UNAVAILABLE, it comes from a server that is there
    504: Kind.CONNECTION,
}


@dataclass(frozen=True)
class _Answer:
    status: int
    headers: Mapping[str, str]
    body: bytes


class HttpTransport:
    """A pool of connections to one endpoint, for one event loop."""

    def __init__(self, endpoint: Endpoint, tls: Tls | None) -> None:
        self._url = str(endpoint)
        self._ssl = _ssl_context(tls or Tls()) if endpoint.is_tls else None
        self._server_name = tls.server_name if tls else None
        self._session: aiohttp.ClientSession | None = None

    async def infer(self, request: InferRequest, options: CallOptions) -> InferResponse:
        """Send an image and wait for the answer."""
        path = _model_path(request.model, request.version)
        body, headers = encode_request(request, options)
        answer, header_length = await self._send("POST", f"{path}/infer", options, body=body, headers=headers)
        return decode_response(answer, header_length)

    async def query(self, query: Query, options: CallOptions, *, model: str = "", version: str = "") -> Any:
        """Ask about the server or a model."""
        named = _model_path(model, version)
        path = {
            Query.SERVER: "/v2",
            Query.LIVE: "/v2/health/live",
            Query.READY: "/v2/health/ready",
            Query.MODEL_READY: f"{named}/ready",
            Query.MODEL: named,
            Query.CONFIG: f"{named}/config",
            Query.INDEX: "/v2/repository/index",
            Query.STATISTICS: "/v2/models/stats",
        }[query]
        if query in (Query.LIVE, Query.READY, Query.MODEL_READY):
            return {"ready": await self._is_ready(path, options)}
        method, body = ("POST", b"{}") if query is Query.INDEX else ("GET", None)
        answer, _ = await self._send(method, path, options, body=body, headers={"Content-Type": "application/json"})
        try:
            return json.loads(answer)
        except ValueError as error:
            raise ContractMismatchError(f"the answer to {path} is not JSON") from error

    async def close(self) -> None:
        """Close the connections."""
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    async def _is_ready(self, path: str, options: CallOptions) -> bool:
        """Readiness is in the status; 400 and 503 both say no."""
        answer = await self._fetch("GET", path, options)
        if answer.status not in (200, 400, 404, 503):
            raise _to_error(answer)
        return answer.status == 200

    async def _send(
        self,
        method: str,
        path: str,
        options: CallOptions,
        *,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> tuple[bytes, str | None]:
        answer = await self._fetch(method, path, options, body=body, headers=headers)
        if answer.status != 200:
            raise _to_error(answer)
        return answer.body, answer.headers.get(HEADER_LENGTH)

    async def _fetch(
        self,
        method: str,
        path: str,
        options: CallOptions,
        *,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> _Answer:
        try:
            async with self._open_session().request(
                method,
                self._url + path,
                data=None if body is None else io.BytesIO(body),
                headers={**options.headers, **(headers or {})},
                timeout=aiohttp.ClientTimeout(total=options.timeout_s),
                ssl=True if self._ssl is None else self._ssl,
                server_hostname=self._server_name,
                allow_redirects=False,
            ) as response:
                return _Answer(response.status, response.headers, await response.read())
        except asyncio.TimeoutError as error:
            raise to_error(Kind.DEADLINE, "") from error
        except aiohttp.ClientSSLError as error:
            raise TlsError(str(error)) from error
        except aiohttp.ClientConnectorError as error:
            reason = os.strerror(error.errno) if error.errno else str(error.os_error)
            raise ServerConnectionError(f"cannot connect to {error.host}:{error.port}: {reason}") from error
        except (aiohttp.ClientError, OSError) as error:
            raise ServerConnectionError(f"{type(error).__name__}: {error}") from error

    def _open_session(self) -> aiohttp.ClientSession:
        if self._session is None:
            connector = aiohttp.TCPConnector(limit=_MAX_CONNECTIONS, keepalive_timeout=_KEEPALIVE_S)
            self._session = aiohttp.ClientSession(connector=connector)
        return self._session


def _model_path(model: str, version: str) -> str:
    path = f"/v2/models/{quote(model, safe='')}"
    return f"{path}/versions/{quote(version, safe='')}" if version else path


def _ssl_context(tls: Tls) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cafile=tls.ca_file)
        if tls.certificate_file is not None:
            context.load_cert_chain(tls.certificate_file, tls.key_file)
    except (OSError, ssl.SSLError) as error:
        raise InvalidInputError(f"cannot use the TLS files {tls}: {error}") from error
    return context


def _to_error(answer: _Answer) -> SegserveError:
    status = answer.status
    try:
        text = str(json.loads(answer.body)["error"])
    except (ValueError, KeyError, TypeError):
        text = f"HTTP status {status}: " + answer.body[:500].decode("utf-8", "replace")
    retry_after = answer.headers.get("Retry-After", "")
    pause = float(retry_after) if retry_after.isdigit() else None
    return to_error(_KINDS.get(status, Kind.FAULT if status >= 500 else Kind.INVALID), text, retry_after_s=pause)
