"""The checksum of event files: CRC32C (Castagnoli), "masked" as TensorFlow stores it.

`google_crc32c` does the work at memory speed. Where its C part is missing (a platform without a wheel), the same numbers come
from a table in plain Python for short data and from NumPy for long data. NumPy is imported only then.
"""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["MASK_DELTA", "POLYNOMIAL", "crc32c", "masked_crc32c"]

POLYNOMIAL = 0x82F63B78
"""CRC32C's polynomial, bits reversed."""

MASK_DELTA = 0xA282EAD8

_NUMPY_FROM = 512
"""Bytes from which the NumPy fallback beats the plain loop."""


def _byte_table() -> list[int]:
    table = []
    for byte in range(256):
        crc = byte
        for _ in range(8):
            crc = (crc >> 1) ^ (POLYNOMIAL if crc & 1 else 0)
        table.append(crc)
    return table


_TABLE = _byte_table()


def _fallback_crc32c(data: bytes) -> int:
    """Return the CRC32C of `data` without native code."""
    if len(data) >= _NUMPY_FROM:
        from runcast.events.linear_crc import crc32c_of_bytes

        return crc32c_of_bytes(data)
    crc = 0xFFFFFFFF
    for byte in data:
        crc = (crc >> 8) ^ _TABLE[(crc ^ byte) & 0xFF]
    return crc ^ 0xFFFFFFFF


try:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it warns when its C part is missing; we have a faster way then
        import google_crc32c

    _NATIVE = google_crc32c.implementation == "c"
except ImportError:
    _NATIVE = False


crc32c: Callable[[bytes], int] = google_crc32c.value if _NATIVE else _fallback_crc32c
"""Return the CRC32C of some bytes; bytes only, since the native code takes nothing that may change meanwhile."""


def masked_crc32c(data: bytes) -> int:
    """Return the checksum as event files store it: rotated and shifted, so that it stays strong over bytes that hold checksums."""
    crc = crc32c(data)
    return (((crc >> 15) | (crc << 17)) + MASK_DELTA) & 0xFFFFFFFF
