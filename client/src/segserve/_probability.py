"""The probability map of one photograph."""

from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from segserve._geometry import Geometry
from segserve._wire import OutputTensor
from segserve.errors import ContractMismatchError


@dataclass(frozen=True)
class ProbabilityMap:
    """Probabilities on the model grid.

    Parameters
    ----------
    geometry
        How the grid lies on the photograph.
    levels_bytes
        As they came: uint8, probability x 255.
    shape
        Classes, height, width.
    """

    geometry: Geometry
    shape: tuple[int, int, int]
    levels_bytes: bytes = field(repr=False)
    request_id: str = ""

    @classmethod
    def from_output(cls, output: OutputTensor, geometry: Geometry, *, request_id: str) -> "ProbabilityMap":
        """Check an output against its geometry. Raises ContractMismatchError."""
        shape = output.shape[1:] if len(output.shape) == 4 and output.shape[0] == 1 else output.shape
        width, height = geometry.grid
        if output.datatype != "UINT8" or len(shape) != 3 or shape[1:] != (height, width):
            raise ContractMismatchError(
                f"probability is {output.datatype} {list(output.shape)}, expected UINT8 [C, {height}, {width}]"
            )
        if len(output.data) != shape[0] * height * width:
            raise ContractMismatchError(f"probability has {len(output.data)} bytes for shape {list(shape)}")
        return cls(geometry, (shape[0], height, width), output.data, request_id)

    @cached_property
    def levels(self) -> npt.NDArray[np.uint8]:
        """uint8 [C, H, W], probability x 255, read-only."""
        return np.frombuffer(self.levels_bytes, np.uint8).reshape(self.shape)

    @cached_property
    def array(self) -> npt.NDArray[np.float32]:
        """float32 [C, H, W] in 0 to 1, computed when first read, read-only."""
        array = self.levels.astype(np.float32) / np.float32(255)
        array.flags.writeable = False
        return array

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name not in ("levels", "array")}
