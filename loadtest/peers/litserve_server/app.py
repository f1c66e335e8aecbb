"""LitServe: its four verbs, one worker per core."""

import os
import sys
from typing import Any

import cv2
import litserve  # type: ignore[import-not-found]
from fastapi import Request

from loadtest.bench.pipeline import Answer, Pipeline
from loadtest.peers.answer import to_document


class Segmenter(litserve.LitAPI):  # type: ignore[misc]
    """Photograph in, report and masks out."""

    def setup(self, device: str) -> None:
        """Load the engine, once per worker process."""
        cv2.setNumThreads(1)
        self.pipeline = Pipeline(threads=1)

    def decode_request(self, request: Request) -> bytes:
        """The image file is the form's field ``image``: LitServe takes JSON or a form, no plain body.

        What arrives is the parsed form; the annotation tells LitServe to hand over what the request holds.
        """
        image: bytes = request["image"].file.read()
        return image

    def predict(self, image: bytes) -> Answer:
        """All three steps."""
        return self.pipeline.run(image)

    def encode_response(self, answer: Answer) -> dict[str, Any]:
        """As JSON."""
        return to_document(answer)


if __name__ == "__main__":
    workers = len(os.sched_getaffinity(0))
    server = litserve.LitServer(Segmenter(api_path="/segment"), accelerator="cpu", workers_per_device=workers)
    server.run(host="127.0.0.1", port=int(sys.argv[1]), generate_client_file=False)
