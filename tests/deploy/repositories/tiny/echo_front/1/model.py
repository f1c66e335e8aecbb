"""First step: the size of TEXT, after as many seconds as it says (`sleep 0.5`); `bad` is refused, `broken` fails."""

import time
from typing import Any

import numpy as np
import triton_python_backend_utils as pb_utils


class TritonPythonModel:
    def execute(self, requests: list[Any]) -> list[Any]:
        return [self._answer(request) for request in requests]

    def _answer(self, request: Any) -> Any:
        text = pb_utils.get_input_tensor_by_name(request, "TEXT").as_numpy().reshape(-1)[0]
        if text == b"bad":
            return pb_utils.InferenceResponse(error=pb_utils.TritonError("bad text", pb_utils.TritonError.INVALID_ARG))
        if text == b"broken":
            return pb_utils.InferenceResponse(error=pb_utils.TritonError("broken", pb_utils.TritonError.INTERNAL))
        if text.startswith(b"sleep "):
            time.sleep(float(text[6:32]))
        size = np.array([[b"%d bytes" % len(text)]], dtype=object)
        return pb_utils.InferenceResponse([pb_utils.Tensor("ECHO", size)])
