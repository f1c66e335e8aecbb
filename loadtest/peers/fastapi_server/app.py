"""The plain server that anyone would write first: FastAPI on uvicorn.

As FastAPI's documentation advises: blocking work in a ``def`` endpoint, which runs in the thread pool; what is loaded
once, in the lifespan; one worker process per core (``uvicorn --workers 2``).
"""

import contextlib
import threading
from collections.abc import AsyncIterator
from typing import Annotated, Any

import cv2
from fastapi import Body, FastAPI, HTTPException

from loadtest.bench.pipeline import Pipeline
from loadtest.peers.answer import to_document
from segserve_server.imaging.errors import InvalidImageError


@contextlib.asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    """Load the engine once per process; its inference request is used by one thread at a time."""
    cv2.setNumThreads(1)
    app.state.pipeline = Pipeline(threads=1)
    app.state.lock = threading.Lock()
    yield


app = FastAPI(lifespan=lifespan)


@app.post("/segment")
def segment(image: Annotated[bytes, Body(media_type="application/octet-stream")]) -> dict[str, Any]:
    """Segment the image file in the body."""
    pipeline: Pipeline = app.state.pipeline
    try:
        seen = pipeline.preprocess(image)
    except InvalidImageError as error:
        raise HTTPException(400, str(error)) from error
    with app.state.lock:
        probability = pipeline.segment(seen.pixels).copy()
    return to_document(pipeline.postprocess(probability, seen))
