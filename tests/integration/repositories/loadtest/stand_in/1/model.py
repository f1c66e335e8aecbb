"""Answers with an empty report after a pause, or fails, as the config says. It does not look at the image."""

import hashlib
import json
import time
from typing import Any

import numpy as np
import triton_python_backend_utils as pb_utils

from segserve_server.imaging.png import encode_mask

SIDE = 8


class TritonPythonModel:
    def initialize(self, args: dict[str, str]) -> None:
        parameters = json.loads(args["model_config"])["parameters"]
        self._seconds = float(parameters["seconds"]["string_value"])
        self._fail_every = int(parameters["fail_every"]["string_value"])
        self._seen = 0

    def execute(self, requests: list[Any]) -> list[Any]:
        return [self._answer(request) for request in requests]

    def _answer(self, request: Any) -> Any:
        time.sleep(self._seconds)
        self._seen += 1
        if self._fail_every and self._seen % self._fail_every == 0:
            error = pb_utils.TritonError("fails on purpose", pb_utils.TritonError.INTERNAL)
            return pb_utils.InferenceResponse(error=error)
        (image,) = pb_utils.get_input_tensor_by_name(request, "IMAGE").as_numpy().reshape(-1)
        mask = encode_mask(np.zeros((0, 0), np.bool_), x=0, y=0, width=SIDE, height=SIDE)
        outputs = [("REPORT", report(bytes(image))), ("MASK", mask)]
        tensors = [pb_utils.Tensor(name, np.array([[value]], dtype=object)) for name, value in outputs]
        return pb_utils.InferenceResponse(tensors)


def report(image: bytes) -> bytes:
    nothing = "0" * 64
    document = {
        "schema_version": "1.0",
        "model": {"name": "stand_in", "version": "1", "weights_sha256": nothing, "settings_sha256": nothing},
        "image": {
            "width": SIDE,
            "height": SIDE,
            "stored_width": SIDE,
            "stored_height": SIDE,
            "orientation": 1,
            "bit_depth": 8,
            "sha256": hashlib.sha256(image).hexdigest(),
        },
        "field_of_view": {"x": 0, "y": 0, "width": SIDE, "height": SIDE, "area_px": SIDE * SIDE, "found": False},
        "geometry": [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]],
        "classes": [
            {
                "name": "hemorrhage",
                "color": "#e6194b",
                "threshold": 0.5,
                "area_px": 0,
                "area_fraction": 0.0,
                "lesion_count": 0,
                "lesions_truncated": False,
                "lesions": [],
            }
        ],
        "warnings": [],
    }
    return json.dumps(document).encode()
