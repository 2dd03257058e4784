"""Event files without their media: what is kept of a user's file with `save=False`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from runcast.events.framing import HEADER, OVERHEAD, payload_length
from runcast.events.meaning import is_file_version

if TYPE_CHECKING:
    from runcast.events.batch import Batch

__all__ = ["scalar_only"]


def scalar_only(data: bytes | memoryview, batch: Batch) -> bytes:
    """Return the raw records of `data` that a scalar-only event file keeps: the file's version, and all that hold scalars.

    `data` is what `batch` was decoded from. Records stay as they are, byte for byte, so one that holds scalars and something
    else keeps both. Pieces of one file, filtered in order and joined, are an event file again.
    """
    view = memoryview(data).cast("B")
    kept = [(offset - batch.start, length) for offset, length in batch.scalar_records.tolist()]
    if batch.start == 0 and batch.records:
        length = payload_length(view, 0)
        if length is not None and is_file_version(bytes(view[HEADER : HEADER + length])):
            kept.insert(0, (0, OVERHEAD + length))
    return b"".join([view[start : start + length] for start, length in kept])
