"""One request at a time through a step: whatever happens to it, its neighbours in the batch get their answers."""

# Triton puts its classes into pb_utils only after this file has been imported: annotations must not be evaluated.
from __future__ import annotations  # Triton adds its types to the module only after the import

import traceback
import uuid
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import triton_python_backend_utils as pb_utils
from segserve.contract import incident_message

from segserve_server.imaging.errors import InvalidImageError
from segserve_server.steps.errors import RequestError

Outputs = dict[str, npt.NDArray[Any]]
"""Output arrays by tensor name, batch dimension first."""


def answer_each(
    requests: Sequence[pb_utils.InferenceRequest], answer: Callable[[pb_utils.InferenceRequest], Outputs]
) -> list[pb_utils.InferenceResponse]:
    """Answer every request of a batch by itself.

    InvalidImageError and RequestError become INVALID_ARGUMENT with their message. Anything else is our own fault: the
    client gets INTERNAL with an incident id and nothing more, the log gets the id with the traceback.
    """
    return [_answer_one(request, answer) for request in requests]


def _answer_one(
    request: pb_utils.InferenceRequest, answer: Callable[[pb_utils.InferenceRequest], Outputs]
) -> pb_utils.InferenceResponse:
    if request.is_cancelled():
        return _failure("the request was cancelled", pb_utils.TritonError.CANCELLED)
    try:
        outputs = answer(request)
    except (InvalidImageError, RequestError) as error:
        return _failure(f"{error}", pb_utils.TritonError.INVALID_ARG)
    except Exception:
        incident = uuid.uuid4().hex[:12]
        pb_utils.Logger.log_error(f"incident {incident}: {traceback.format_exc()}")
        return _failure(incident_message(incident), pb_utils.TritonError.INTERNAL)
    return pb_utils.InferenceResponse(output_tensors=[pb_utils.Tensor(name, array) for name, array in outputs.items()])


def _failure(message: str, code: int) -> pb_utils.InferenceResponse:
    return pb_utils.InferenceResponse(error=pb_utils.TritonError(message, code))


def read_array(request: pb_utils.InferenceRequest, name: str) -> npt.NDArray[Any]:
    """An input tensor as a numpy array, batch dimension first. Raises RequestError when it is not there."""
    tensor = pb_utils.get_input_tensor_by_name(request, name)
    if tensor is None:
        raise RequestError(f"{name}: the input is missing")
    return tensor.as_numpy()


def read_bytes(request: pb_utils.InferenceRequest, name: str) -> list[bytes]:
    """The elements of a BYTES input of shape [N, 1]."""
    return [bytes(element) for element in read_array(request, name).reshape(-1)]


def stack(arrays: Sequence[npt.NDArray[Any]]) -> npt.NDArray[Any]:
    """Arrays as one batch; a single one, the common case, without a copy."""
    return arrays[0][np.newaxis] if len(arrays) == 1 else np.stack(arrays)


def bytes_column(elements: Sequence[bytes]) -> npt.NDArray[np.object_]:
    """A BYTES output of shape [N, 1]."""
    return bytes_table([[element] for element in elements])


def bytes_table(rows: Sequence[Sequence[bytes]]) -> npt.NDArray[np.object_]:
    """A BYTES output of shape [N, C]."""
    table = np.empty((len(rows), len(rows[0])), np.object_)
    for i, row in enumerate(rows):
        table[i, :] = row
    return table
