"""Records in bytes.

    u64 length | u32 masked CRC32C of the length | payload (length bytes) | u32 masked CRC32C of the payload

All little-endian. Framing knows no protobuf and no meaning: it names the records whose length is proven, says why it stopped, and
finds the next verified record after bytes that are none.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from runcast.events.batch import Skip
from runcast.events.checksum import masked_crc32c
from runcast.events.linear_crc import masked_length_crc

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from runcast.events.batch import Pending

__all__ = [
    "BAD_CHECKSUM",
    "FOOTER",
    "HEADER",
    "OVERHEAD",
    "Chain",
    "Resync",
    "payload_length",
    "payload_verified",
    "walk",
]

HEADER = 12
"""Bytes before the payload."""

FOOTER = 4
"""Bytes after the payload."""

OVERHEAD = HEADER + FOOTER

BAD_CHECKSUM = "the data checksum does not match"
LOST_FRAMING = "no valid record header"

_unpack_header = struct.Struct("<QI").unpack_from
_unpack_crc = struct.Struct("<I").unpack_from

_SCAN_BLOCK = 1 << 10
_SCAN_BLOCK_MAX = 1 << 20


class Chain(NamedTuple):
    """Records that follow each other without a gap: whole, with a verified length; their payloads are not verified yet.

    `position` is each record's first byte, `length` its payload's length; `stop` is where the next record would begin, and
    `pending` why it is not here.
    """

    position: NDArray[np.int64]
    length: NDArray[np.int64]
    stop: int
    pending: Pending


def payload_length(view: memoryview, position: int) -> int | None:
    """Return the payload length that a valid header at `position` gives, None for an invalid or incomplete header."""
    if position + HEADER > len(view):
        return None
    length, crc = _unpack_header(view, position)
    return length if masked_crc32c(bytes(view[position : position + 8])) == crc else None


def payload_verified(view: memoryview, position: int, length: int) -> bool:
    """Say whether the payload of the whole record at `position` has the checksum that follows it."""
    end = position + HEADER + length
    return bool(masked_crc32c(bytes(view[position + HEADER : end])) == _unpack_crc(view, end)[0])


def walk(view: memoryview, start: int) -> Chain:
    """Follow the chain of records from `start`, one by one."""
    positions: list[int] = []
    lengths: list[int] = []
    position, end = start, len(view)
    while (length := payload_length(view, position)) is not None and position + OVERHEAD + length <= end:
        positions.append(position)
        lengths.append(length)
        position += OVERHEAD + length
    return Chain(
        np.array(positions, np.int64),
        np.array(lengths, np.int64),
        position,
        why_pending(view, position, length),
    )


def why_pending(view: memoryview, position: int, length: int | None) -> Pending:
    """Say why no whole record begins at `position`, given what its header says.

    Zeros up to the end are incomplete rather than wrong: some file systems show a file's new size before its bytes.
    """
    if position == len(view):
        return ""
    if (
        length is not None
        or position + HEADER > len(view)
        or not np.frombuffer(view, np.uint8, offset=position).any()
    ):
        return "incomplete"
    return "framing"


class Resync:
    """Finds the next verified record after bytes that are none, for one stretch of bytes.

    A header can lie: bytes may look like one by chance, or on purpose, and checking the payload that it claims costs time. So
    that the whole stays linear whatever the bytes are, failed checks draw on a budget; once it is spent, a record with a valid
    header and a wrong payload is jumped over instead of searched for records inside it.
    """

    def __init__(self, view: memoryview) -> None:
        self._view = view
        self._budget = 8 * len(view)

    def resume(self, start: int) -> tuple[list[Skip], int] | None:
        """Pass over bytes at `start` that are no verified record: what was skipped, and where the next verified record begins.

        None when no verified record follows: then nothing may be skipped yet. A record with a wrong data checksum is passed
        over alone if a valid header follows it; else the next verified record is searched byte by byte.
        """
        view = self._view
        skipped: list[Skip] = []
        position = start
        while (length := payload_length(view, position)) is not None:
            after = position + OVERHEAD + length
            if after > len(view):
                return None
            if self._verified(position, length):
                return skipped, position
            if after + HEADER > len(view):
                return None
            if self._budget > 0 and payload_length(view, after) is None:
                break
            skipped.append(Skip(position, after - position, BAD_CHECKSUM))
            position = after
        found = self._scan(position + 1)
        if found is None:
            return None
        skipped.append(Skip(position, found - position, LOST_FRAMING))
        return skipped, found

    def _verified(self, position: int, length: int) -> bool:
        if payload_verified(self._view, position, length):
            return True
        self._budget -= length
        return False

    def _scan(self, start: int) -> int | None:
        """Return the first position from `start` on where a whole, verified record begins."""
        end = len(self._view) - OVERHEAD + 1
        block = _SCAN_BLOCK
        while start < end:
            stop = min(start + block, end)
            jumped_to = start
            for position, length in _headers(self._view, start, stop):
                if position < jumped_to:
                    continue
                if self._verified(position, length):
                    return position
                if self._budget <= 0:
                    jumped_to = position + OVERHEAD + length
            start = max(stop, jumped_to)
            block = min(2 * block, _SCAN_BLOCK_MAX)
        return None


def _headers(view: memoryview, start: int, stop: int) -> list[tuple[int, int]]:
    """Return (position, payload length) of every valid header in [start, stop) whose record is whole."""
    lengths = np.ndarray((stop - start,), "<u8", view, start, (1,))
    room = np.arange(len(view) - OVERHEAD - start, len(view) - OVERHEAD - stop, -1, dtype=np.uint64)
    at = np.flatnonzero(lengths <= room)
    length = lengths[at]
    stored = np.ndarray((stop - start,), "<u4", view, start + 8, (1,))[at]
    valid = masked_length_crc(length) == stored
    return list(zip((start + at[valid]).tolist(), length[valid].tolist(), strict=True))
