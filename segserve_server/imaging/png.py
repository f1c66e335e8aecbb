"""1-bit PNG, written straight from the rows that hold something.

A PNG library would spend more time on the empty rows of a 12-megapixel mask than all of post-processing takes
(docs/performance.md has the figures); the format's 1-bit greyscale form is three chunks. Source: PNG specification
(third edition), sections 5 and 11.
"""

import struct
import zlib

import numpy as np
import numpy.typing as npt

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_COMPRESSION_LEVEL = 1  # a mask compresses 100-fold at any level; higher ones only cost time


def encode_mask(window: npt.NDArray[np.bool_], *, x: int, y: int, width: int, height: int) -> bytes:
    """A 1-bit greyscale PNG of ``width`` x ``height``: ``window``, bool [h, w], at column ``x``, row ``y``, rest 0."""
    rows, columns = window.shape
    row_bytes = 1 + (width + 7) // 8  # a filter byte (0: none) in front of each row
    lines = np.zeros((rows, row_bytes), np.uint8)
    lead = x % 8
    if rows and columns:
        aligned = np.pad(window, ((0, 0), (lead, 0))) if lead else window
        packed = np.packbits(aligned, axis=1)
        first = 1 + x // 8
        lines[:, first : first + packed.shape[1]] = packed
    compressor = zlib.compressobj(_COMPRESSION_LEVEL)
    data = b"".join(
        (
            _compress_zeros(compressor, y * row_bytes),
            compressor.compress(lines.data),
            _compress_zeros(compressor, (height - y - rows) * row_bytes),
            compressor.flush(),
        )
    )
    header = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    return _SIGNATURE + _chunk(b"IHDR", header) + _chunk(b"IDAT", data) + _chunk(b"IEND", b"")


def _compress_zeros(compressor: "zlib._Compress", count: int) -> bytes:
    block = bytes(min(count, 1 << 20))
    parts = [compressor.compress(block) for _ in range(count // len(block))] if block else []
    parts.append(compressor.compress(bytes(count % len(block)) if block else b""))
    return b"".join(parts)


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
