"""Finding the next verified record after bytes that are none.

Its time is linear in the bytes, whatever they are: every place is tried once, all places of a block at a time, and what failed tries may cost is
bounded.
"""

from __future__ import annotations

import numpy as np

from runcast.events.batch import Skip
from runcast.events.framing import HEADER, OVERHEAD, payload_length, payload_verified
from runcast.events.linear_crc import masked_length_crc

__all__ = ["BAD_CHECKSUM", "LOST_FRAMING", "Resync"]

BAD_CHECKSUM = "the data checksum does not match"
LOST_FRAMING = "no valid record header"

_SCAN_BLOCK = 1 << 7
_SCAN_BLOCK_MAX = 1 << 20

_FEW = 64
"""Candidates below which trying one after the other beats trying them at once."""


class Resync:
    """Finds the next verified record in one stretch of bytes.

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
            block = min(4 * block, _SCAN_BLOCK_MAX)
        return None


def _headers(view: memoryview, start: int, stop: int) -> list[tuple[int, int]]:
    """Return (position, payload length) of every valid header in [start, stop) whose record is whole."""
    lengths = np.ndarray((stop - start,), "<u8", view, start, (1,))
    room = np.arange(len(view) - OVERHEAD - start, len(view) - OVERHEAD - stop, -1, dtype=np.uint64)
    at = np.flatnonzero(lengths <= room)
    if len(at) < _FEW:
        tried = [(position, payload_length(view, position)) for position in (start + at).tolist()]
        return [(position, length) for position, length in tried if length is not None]
    length = lengths[at]
    stored = np.ndarray((stop - start,), "<u4", view, start + 8, (1,))[at]
    valid = masked_length_crc(length) == stored
    return list(zip((start + at[valid]).tolist(), length[valid].tolist(), strict=True))
