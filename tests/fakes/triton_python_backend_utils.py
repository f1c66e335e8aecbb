"""A typed stand-in for the module that Triton's Python stub injects, for tests and the type checker.

It has what segserve uses and nothing else, so a call that the real module would refuse fails here too: an
InferenceResponse takes keywords only, a Tensor a numpy array, an error one of the codes.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt


class TritonError:
    """An error of one request."""

    UNKNOWN, INTERNAL, NOT_FOUND, INVALID_ARG, UNAVAILABLE, UNSUPPORTED, ALREADY_EXISTS, CANCELLED = range(8)

    def __init__(self, message: str, code: int = INTERNAL) -> None:
        self._message, self._code = message, code

    def message(self) -> str:
        """Its text."""
        return self._message

    def code(self) -> int:
        """One of the class's codes."""
        return self._code


class TritonModelException(Exception):  # noqa: N818  (the real module's name)
    """Raised by a model to refuse to load."""


class Tensor:
    """A named array."""

    def __init__(self, name: str, array: npt.NDArray[Any]) -> None:
        if not isinstance(array, np.ndarray):
            raise TypeError("a Tensor takes a numpy array")
        self._name, self._array = name, array

    def name(self) -> str:
        """Its name."""
        return self._name

    def as_numpy(self) -> npt.NDArray[Any]:
        """Its values; read-only by custom, since inputs are shared memory."""
        return self._array


class InferenceRequest:
    """A request with its inputs."""

    def __init__(self, inputs: Sequence[Tensor], *, cancelled: bool = False) -> None:
        self._inputs, self._cancelled = list(inputs), cancelled

    def inputs(self) -> list[Tensor]:
        """The input tensors."""
        return self._inputs

    def is_cancelled(self) -> bool:
        """Whether the client has given up."""
        return self._cancelled


class InferenceResponse:
    """Outputs or an error."""

    def __init__(self, *, output_tensors: Sequence[Tensor] = (), error: TritonError | None = None) -> None:
        self._outputs, self._error = list(output_tensors), error

    def output_tensors(self) -> list[Tensor]:
        """The output tensors."""
        return self._outputs

    def has_error(self) -> bool:
        """Whether it is an error."""
        return self._error is not None

    def error(self) -> TritonError | None:
        """The error."""
        return self._error


def get_input_tensor_by_name(request: InferenceRequest, name: str) -> Tensor | None:
    """The input of that name."""
    return next((tensor for tensor in request.inputs() if tensor.name() == name), None)


class Logger:
    """Collects what is logged, newest last."""

    errors: list[str] = []  # noqa: RUF012  (shared on purpose, like the real logger)

    @classmethod
    def log_error(cls, message: str) -> None:
        """Log an error."""
        cls.errors.append(message)

    @classmethod
    def log_info(cls, message: str) -> None:
        """Log a remark; not kept."""
