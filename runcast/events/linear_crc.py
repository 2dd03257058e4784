"""CRC32C of whole columns at once.

A CRC is linear over exclusive-or: the checksum of a message is the xor of what each of its bytes contributes, and a byte's
contribution depends only on its value and on how many bytes follow it. So the checksums of many messages of one length are table
look-ups along columns, and bytes that all messages share are looked up once.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

import numpy as np

from runcast.events.checksum import MASK_DELTA, POLYNOMIAL

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = [
    "CONTRIBUTION",
    "SHORT_LENGTH_CRC",
    "crc32c_of_bytes",
    "mask_column",
    "masked_length_crc",
    "start_and_end",
]

_BLOCK = 256
_MASK_DELTA = np.uint32(MASK_DELTA)


def _contributions() -> NDArray[np.uint32]:
    crc = np.arange(256, dtype=np.uint32)
    for _ in range(8):
        crc = np.where(crc & 1, (crc >> 1) ^ np.uint32(POLYNOMIAL), crc >> 1).astype(np.uint32)
    table = np.empty((_BLOCK, 256), np.uint32)
    table[0] = crc
    for following in range(1, _BLOCK):
        previous = table[following - 1]
        table[following] = crc[previous & 255] ^ (previous >> 8)
    return table


CONTRIBUTION = _contributions()
"""`CONTRIBUTION[n, b]`: what byte b adds (by xor) to the checksum of a message in which n bytes follow it."""


def start_and_end(length: int) -> np.uint32:
    """Return the part of the checksum that depends on nothing but the message's length (4 <= length <= 256).

    It comes from the ones that a CRC32C starts with, which act like 0xFF on the first four bytes, and from its final inversion.
    """
    crc: np.uint32 = np.bitwise_xor.reduce(CONTRIBUTION[length - 4 : length, 0xFF]) ^ np.uint32(0xFFFFFFFF)
    return crc


def mask_column(crc: NDArray[np.uint32]) -> NDArray[np.uint32]:
    """Return each CRC as event files store it; see `checksum.masked_crc32c`."""
    masked: NDArray[np.uint32] = ((crc >> np.uint32(15)) | (crc << np.uint32(17))) + _MASK_DELTA
    return masked


def masked_length_crc(length: NDArray[np.uint64]) -> NDArray[np.uint32]:
    """Return the stored checksum of each length field (a u64, little-endian)."""
    crc = np.full(len(length), start_and_end(8), np.uint32)
    for byte in range(8):
        crc ^= CONTRIBUTION[7 - byte, (length >> np.uint64(8 * byte)).astype(np.uint8)]
    return mask_column(crc)


SHORT_LENGTH_CRC = masked_length_crc(np.arange(256, dtype=np.uint64))
"""The stored checksum of the length fields 0 to 255."""


@cache
def _state_after_block() -> tuple[list[int], ...]:
    """Tables that move a CRC state past one block of zeros: its bytes act like message bytes in front of that block."""
    return tuple(CONTRIBUTION[_BLOCK - 1 - byte].tolist() for byte in range(4))


def crc32c_of_bytes(data: bytes | bytearray | memoryview) -> int:
    """Return the CRC32C of one long message (at least 4 bytes): the fallback where there is no native code."""
    message = np.frombuffer(data, np.uint8)
    padded = np.zeros(-(-len(message) // _BLOCK) * _BLOCK, np.uint8)
    first = len(padded) - len(message)  # zeros in front add nothing
    padded[first:] = message
    padded[first : first + 4] ^= 0xFF
    following = np.arange(_BLOCK - 1, -1, -1)
    of_block = np.bitwise_xor.reduce(CONTRIBUTION[following, padded.reshape(-1, _BLOCK)], axis=1)
    first_byte, second, third, fourth = _state_after_block()
    crc = 0
    for block in of_block.tolist():
        crc = (
            first_byte[crc & 255]
            ^ second[crc >> 8 & 255]
            ^ third[crc >> 16 & 255]
            ^ fourth[crc >> 24]
            ^ block
        )
    return crc ^ 0xFFFFFFFF
