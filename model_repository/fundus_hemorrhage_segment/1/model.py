"""The CPU engine: the ONNX beside this file, run by OpenVINO (CPU variant only; a GPU loads the TensorRT plan)."""

# Triton puts its classes into pb_utils only after this file has been imported: annotations must not be evaluated.
from __future__ import annotations

import json
from pathlib import Path

import triton_python_backend_utils as pb_utils
from segserve.contract import MODEL_INPUT, PROBABILITY

from segserve_server.engines.openvino import OpenVinoEngine, Precision
from segserve_server.repository.weights import FILE_NAME
from segserve_server.steps.pacing import pace_of
from segserve_server.steps.requests import Outputs, answer_each, read_array


class TritonPythonModel:
    """The step that Triton loads."""

    def initialize(self, args: dict[str, str]) -> None:
        """Compile the graph for this CPU."""
        self._pace = pace_of(args)
        parameters = json.loads(args["model_config"])["parameters"]
        self._engine = OpenVinoEngine(
            Path(args["model_repository"]) / args["model_version"] / FILE_NAME,
            precision=Precision(parameters["precision"]["string_value"]),
            threads=int(parameters["threads"]["string_value"]),
        )

    def execute(self, requests: list[pb_utils.InferenceRequest]) -> list[pb_utils.InferenceResponse]:
        """Answer a batch, each request by itself."""
        return answer_each(requests, self._answer)

    def _answer(self, request: pb_utils.InferenceRequest) -> Outputs:
        with self._pace.engine():
            return {PROBABILITY: self._engine.infer(read_array(request, MODEL_INPUT))}
