"""Second step of the echo pipeline: UPPER read backwards, after as many seconds as the text says (`SLEEP 2`)."""

import time
from typing import Any

import numpy as np
import triton_python_backend_utils as pb_utils


class TritonPythonModel:
    def execute(self, requests: list[Any]) -> list[Any]:
        responses = []
        for request in requests:
            text = pb_utils.get_input_tensor_by_name(request, "UPPER").as_numpy()
            for item in text.reshape(-1):
                if item.startswith(b"SLEEP "):
                    time.sleep(float(item.removeprefix(b"SLEEP ")))
            backwards = np.array([item[::-1] for item in text.reshape(-1)], dtype=object).reshape(text.shape)
            responses.append(pb_utils.InferenceResponse([pb_utils.Tensor("ECHO", backwards)]))
        return responses
