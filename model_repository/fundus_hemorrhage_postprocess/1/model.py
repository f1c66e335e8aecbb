"""Probabilities to masks and a report: an adapter around ``imaging.pipeline.postprocess``."""

# Triton puts its classes into pb_utils only after this file has been imported: annotations must not be evaluated.
from __future__ import annotations

from pathlib import Path

import cv2
import triton_python_backend_utils as pb_utils
from segserve.contract import GEOMETRY, MASK, PROBABILITY, REPORT

from segserve_server.imaging.pipeline import postprocess
from segserve_server.repository.settings import FILE_NAME, load_postprocess_settings
from segserve_server.repository.weights import require_matching_weights
from segserve_server.steps.photograph import Photograph
from segserve_server.steps.report import build_report
from segserve_server.steps.requests import Outputs, answer_each, bytes_column, bytes_table, read_array, read_bytes


class TritonPythonModel:
    """The step that Triton loads."""

    def initialize(self, args: dict[str, str]) -> None:
        """Read this version's settings; refuse to load beside weights they were not made for."""
        cv2.setNumThreads(1)  # instances are the parallelism
        model_folder = Path(args["model_repository"])
        self._file = load_postprocess_settings(model_folder / args["model_version"] / FILE_NAME)
        require_matching_weights(model_folder.parent, self._file.model)

    def execute(self, requests: list[pb_utils.InferenceRequest]) -> list[pb_utils.InferenceResponse]:
        """Answer a batch, each request by itself."""
        return answer_each(requests, self._answer)

    def _answer(self, request: pb_utils.InferenceRequest) -> Outputs:
        photographs = [Photograph.from_json(encoded) for encoded in read_bytes(request, GEOMETRY)]
        reports, masks = [], []
        for probability, photograph in zip(read_array(request, PROBABILITY), photographs, strict=True):
            findings = postprocess(probability, photograph.geometry, self._file.settings)
            reports.append(build_report(photograph, findings, self._file))
            masks.append([found.mask_png() for found in findings])
        return {REPORT: bytes_column(reports), MASK: bytes_table(masks)}
