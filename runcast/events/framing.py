"""Records in bytes.

    u64 length | u32 masked CRC32C of the length | payload (length bytes) | u32 masked CRC32C of the payload

All little-endian. Framing knows no protobuf and no meaning: it names the records whose length is proven, and says why it stopped.

What makes it fast: short records are found by the zeros in their length fields, all at once, and proven to be a chain in one comparison.
Only records of 256 bytes and more are walked, and they are few for their bytes.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from runcast.events.checksum import masked_crc32c
from runcast.events.linear_crc import SHORT_LENGTH_CRC

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from runcast.events.batch import Pending

__all__ = [
    "FOOTER",
    "HEADER",
    "OVERHEAD",
    "Chain",
    "follow",
    "payload_length",
    "payload_verified",
    "why_pending",
]

HEADER = 12
"""Bytes before the payload."""

FOOTER = 4
"""Bytes after the payload."""

OVERHEAD = HEADER + FOOTER

_unpack_header = struct.Struct("<QI").unpack_from
_unpack_crc = struct.Struct("<I").unpack_from

_BLOCK = 1 << 12

_SHORT_LENGTH_CRC: list[int] = SHORT_LENGTH_CRC.tolist()


class Chain(NamedTuple):
    """Records that follow each other without a gap: whole, with a verified length; their payloads are not verified yet.

    `position` is each record's first byte, `length` its payload's length; `stop` is where the next record would begin.
    """

    position: NDArray[np.int64]
    length: NDArray[np.int64]
    stop: int


def payload_length(view: memoryview, position: int) -> int | None:
    """Return the payload length that a valid header at `position` gives, None for an invalid or incomplete header."""
    if position + HEADER > len(view):
        return None
    length, crc = _unpack_header(view, position)
    if length < len(_SHORT_LENGTH_CRC):
        return length if _SHORT_LENGTH_CRC[length] == crc else None
    return length if masked_crc32c(bytes(view[position : position + 8])) == crc else None


def payload_verified(view: memoryview, position: int, length: int) -> bool:
    """Say whether the payload of the whole record at `position` has the checksum that follows it."""
    end = position + HEADER + length
    return bool(masked_crc32c(bytes(view[position + HEADER : end])) == _unpack_crc(view, end)[0])


def follow(view: memoryview, start: int, limit: int) -> Chain:
    """Return the chain of records from `start` that begin before `limit`."""
    positions, lengths = _short_records(view, start, limit)
    ends = positions + lengths + OVERHEAD
    last_of_run = np.append(np.flatnonzero(ends[:-1] != positions[1:]), len(positions) - 1)
    found: list[tuple[NDArray[np.int64], NDArray[np.int64]]] = []
    position, at = start, 0
    while position < limit:
        if at < len(positions) and positions[at] < position:  # headers inside the payload of a long record
            at = int(np.searchsorted(positions, position))
        if at < len(positions) and positions[at] == position:
            after = int(last_of_run[np.searchsorted(last_of_run, at)]) + 1
            whole = after if ends[after - 1] <= len(view) else after - 1
            found.append((positions[at:whole], lengths[at:whole]))
            position = int(ends[whole - 1]) if whole > at else position
            if whole < after:
                break
            at = after
        else:
            length = payload_length(view, position)
            if length is None or position + OVERHEAD + length > len(view):
                break
            found.append((np.array([position]), np.array([length])))
            position += OVERHEAD + length
    if len(found) == 1:
        return Chain(*found[0], position)
    none = np.empty(0, np.int64)
    return Chain(
        np.concatenate([none, *(positions for positions, _ in found)]),
        np.concatenate([none, *(lengths for _, lengths in found)]),
        position,
    )


def _short_records(view: memoryview, start: int, limit: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return position and payload length of every valid header in [start, limit) of a record with 1 to 255 bytes.

    Seven zero bytes stand behind the length byte of such a record. So exactly one aligned word of four bytes is zero there, and
    each zero word behind one that is not names one candidate: the last byte before it that is not zero. Headers that stand inside
    other records are among the answers.
    """
    region = np.frombuffer(view, np.uint8)[start : limit + 8]
    words = region[: len(region) // 4 * 4].view("<u4")
    zero = np.flatnonzero(words == 0)
    if len(zero) and zero[0] == 0:
        zero = zero[1:]
    before = words[zero - 1]
    if not before.all():  # zeros in a payload, such as the empty buckets of a histogram
        zero, before = zero[before != 0], before[before != 0]
    zeros_before = (before < 1 << 24).view(np.int8) + (before < 1 << 16).view(np.int8)
    zeros_before += (before < 1 << 8).view(np.int8)
    at = 4 * zero - 1 - zeros_before
    at = at[: np.searchsorted(at, min(limit, len(view) - OVERHEAD + 1) - start)]
    overlapping = np.ndarray((max(0, len(view) - start - OVERHEAD + 1),), "V16", view, start, (1,))
    header = (
        overlapping[at].view("<u4").reshape(-1, 4)
    )  # one copy for each: length (low and high), its checksum
    valid = (header[:, 0] < 256) & (header[:, 1] == 0)
    valid &= SHORT_LENGTH_CRC[header[:, 0].astype(np.uint8)] == header[:, 2]
    length = header[:, 0].astype(np.int64)
    if not valid.all():
        at, length = at[valid], length[valid]
    return at + start, length


def why_pending(view: memoryview, position: int) -> Pending:
    """Say why no whole, verified record begins at `position`.

    Zeros up to the end are incomplete rather than wrong: some file systems show a file's new size before its bytes.
    """
    if position == len(view):
        return ""
    if position + HEADER > len(view):
        return "incomplete"
    length = payload_length(view, position)
    if length is not None:
        return "incomplete" if position + OVERHEAD + length > len(view) else "checksum"
    return "incomplete" if _all_zero(view, position) else "framing"


def _all_zero(view: memoryview, start: int) -> bool:
    """Say whether all bytes from `start` on are zero, looking no further than needed: this is asked at each bad stretch."""
    blocks = range(start, len(view), _BLOCK)
    return not any(np.frombuffer(view[block : block + _BLOCK], np.uint8).any() for block in blocks)
