"""Bytes of an image file to the model's input: an adapter around ``imaging.pipeline.preprocess``."""

# Triton puts its classes into pb_utils only after this file has been imported: annotations must not be evaluated.
from __future__ import annotations

from pathlib import Path

import cv2
import triton_python_backend_utils as pb_utils
from segserve.contract import GEOMETRY, IMAGE, MODEL_INPUT

from segserve_server.imaging.pipeline import preprocess
from segserve_server.repository.settings import FILE_NAME, load_preprocess_settings
from segserve_server.steps.pacing import pace_of
from segserve_server.steps.photograph import Photograph
from segserve_server.steps.requests import Outputs, answer_each, bytes_column, read_bytes, stack


class TritonPythonModel:
    """The step that Triton loads."""

    def initialize(self, args: dict[str, str]) -> None:
        """Read this version's settings."""
        cv2.setNumThreads(1)  # instances are the parallelism
        version_folder = Path(args["model_repository"]) / args["model_version"]
        self._pace = pace_of(args)
        self._file = load_preprocess_settings(version_folder / FILE_NAME)

    def execute(self, requests: list[pb_utils.InferenceRequest]) -> list[pb_utils.InferenceResponse]:
        """Answer a batch, each request by itself."""
        return answer_each(requests, self._answer)

    def _answer(self, request: pb_utils.InferenceRequest) -> Outputs:
        with self._pace.place():
            seen = [preprocess(encoded, self._file.settings) for encoded in read_bytes(request, IMAGE)]
        photographs = [Photograph.from_preprocessed(one, settings_sha256=self._file.sha256) for one in seen]
        return {
            MODEL_INPUT: stack([one.pixels for one in seen]),
            GEOMETRY: bytes_column([photograph.to_json() for photograph in photographs]),
        }
