"""BentoML: a service with one worker per core and its own admission control."""

from pathlib import Path
from typing import Annotated, Any

import bentoml  # type: ignore[import-not-found]
import cv2
from bentoml.validators import ContentType  # type: ignore[import-not-found]

from loadtest.bench.pipeline import Pipeline
from loadtest.peers.answer import to_document


@bentoml.service(workers="cpu_count", traffic={"timeout": 30, "max_concurrency": 64})
class Segmenter:
    """Photograph in, report and masks out."""

    def __init__(self) -> None:
        cv2.setNumThreads(1)
        self.pipeline = Pipeline(threads=1)

    @bentoml.api(route="/segment")  # type: ignore[untyped-decorator]
    def segment(self, image: Annotated[Path, ContentType("application/octet-stream")], /) -> dict[str, Any]:
        """All three steps; a root input is the body itself."""
        return to_document(self.pipeline.run(image.read_bytes()))
