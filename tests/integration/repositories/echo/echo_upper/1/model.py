"""First step of the echo pipeline: TEXT in capitals. Its only job is to be a Python stub that can be killed."""

from typing import Any

import numpy as np
import triton_python_backend_utils as pb_utils

import segserve_server


class TritonPythonModel:
    def execute(self, requests: list[Any]) -> list[Any]:
        assert segserve_server.__doc__
        responses = []
        for request in requests:
            text = pb_utils.get_input_tensor_by_name(request, "TEXT").as_numpy()
            upper = np.array([item.upper() for item in text.reshape(-1)], dtype=object).reshape(text.shape)
            responses.append(pb_utils.InferenceResponse([pb_utils.Tensor("UPPER", upper)]))
        return responses
