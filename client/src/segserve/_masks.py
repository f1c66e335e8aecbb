"""Masks, kept as the PNGs they came as and decoded when first read."""

import io
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from segserve.errors import ContractMismatchError

BoolArray = npt.NDArray[np.bool_]


class Masks(Mapping[str, BoolArray]):
    """Masks by class name: bool [height, width] in the grid of the photograph as displayed, read-only.

    Reading one the first time decodes it. Raises KeyError for an unknown class and ContractMismatchError for a PNG
    that does not have the photograph's size.
    """

    def __init__(self, names: Sequence[str], pngs: Sequence[bytes], *, width: int, height: int) -> None:
        if len(names) != len(pngs):
            raise ContractMismatchError(f"the report has {len(names)} classes, the answer {len(pngs)} masks")
        self._pngs = dict(zip(names, pngs, strict=True))
        self._size = (width, height)
        self._decoded: dict[str, BoolArray] = {}

    def __getitem__(self, name: str) -> BoolArray:
        mask = self._decoded.get(name)
        if mask is None:
            mask = self._decoded[name] = decode_mask(self._pngs[name], size=self._size)
        return mask

    def __iter__(self) -> Iterator[str]:
        return iter(self._pngs)

    def __len__(self) -> int:
        return len(self._pngs)

    def __contains__(self, name: object) -> bool:
        return name in self._pngs

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Masks) and self._pngs == other._pngs

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"Masks({', '.join(self._pngs)}; {self._size[0]} x {self._size[1]})"

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_decoded": {}}

    def png(self, name: str) -> bytes:
        """The mask as it came: a 1-bit PNG."""
        return self._pngs[name]


def decode_mask(png: bytes, *, size: tuple[int, int]) -> BoolArray:
    """Decode a 1-bit PNG of ``size`` (width, height). Raises ContractMismatchError."""
    from PIL import PngImagePlugin

    try:
        # Not Image.open, which warns of large images: this one's size is known.
        with PngImagePlugin.PngImageFile(io.BytesIO(png)) as image:
            if image.size != size:
                raise ContractMismatchError(
                    f"a mask is {image.size[0]} x {image.size[1]}, the image {size[0]} x {size[1]}"
                )
            mask = np.asarray(image.convert("1"))
    except (OSError, ValueError, SyntaxError) as error:
        raise ContractMismatchError(f"a mask is not a PNG: {error}") from error
    mask.flags.writeable = False
    return mask
