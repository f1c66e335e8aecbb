"""A web service of your own in front of the model: POST a photograph to /findings, get JSON back.

    pip install './client[examples]'
    SEGSERVE_URL=grpc://gpu01:8001 uvicorn fastapi_endpoint:app

One AsyncClient lives as long as the service. Errors become the status codes that a caller of yours can act on.
"""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse
from segserve import (
    AsyncClient,
    DeadlineExceededError,
    InvalidImageError,
    ModelUnavailableError,
    OverloadedError,
    SegserveError,
    ServerConnectionError,
)


def make_app(client: AsyncClient) -> FastAPI:
    """The service around a client; tests hand in one of a ``segserve.testing.FakeServer``."""

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        async with client:
            yield

    app = FastAPI(title="Findings", lifespan=lifespan)

    @app.post("/findings")
    async def findings(request: Request) -> dict[str, Any]:
        result = await client.segment(await request.body(), request_id=request.headers.get("x-request-id"))
        classes = result.report.classes.items()
        return {name: {"lesions": each.lesion_count, "area_px": each.area_px} for name, each in classes}

    @app.get("/ready")
    async def ready() -> JSONResponse:
        health = await client.health(timeout_s=2)
        return JSONResponse({"ready": health.ready}, status_code=200 if health.ready else 503)

    @app.exception_handler(SegserveError)
    async def explain(_: Request, error: SegserveError) -> JSONResponse:
        status, headers = 500, {}
        if isinstance(error, InvalidImageError):
            status = 422
        elif isinstance(error, OverloadedError):
            status, headers = 503, {"Retry-After": str(max(1, round(error.retry_after_s)))}
        elif isinstance(error, (ServerConnectionError, ModelUnavailableError)):
            status = 503
        elif isinstance(error, DeadlineExceededError):
            status = 504
        return JSONResponse({"error": error.message, "request_id": error.request_id}, status, headers)

    return app


def __getattr__(name: str) -> FastAPI:
    """``app`` for uvicorn, made when it is asked for."""
    if name != "app":
        raise AttributeError(name)
    return make_app(AsyncClient(os.environ["SEGSERVE_URL"], model="fundus_hemorrhage", timeout_s=10))
