"""Second step: TEXT and the version of this step."""

from typing import Any

import numpy as np
import triton_python_backend_utils as pb_utils


class TritonPythonModel:
    def initialize(self, arguments: dict[str, str]) -> None:
        self.version = arguments["model_version"].encode()

    def execute(self, requests: list[Any]) -> list[Any]:
        return [self._answer(request) for request in requests]

    def _answer(self, request: Any) -> Any:
        text = pb_utils.get_input_tensor_by_name(request, "TEXT").as_numpy().reshape(-1)[0]
        echo = np.array([[text + b" from version " + self.version]], dtype=object)
        return pb_utils.InferenceResponse([pb_utils.Tensor("ECHO", echo)])
