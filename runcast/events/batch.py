"""What a stretch of an event file holds, once decoded: the value that `events` hands to everyone above it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["Batch", "Pending", "Scalars", "Skip", "Summary"]

Pending = Literal["", "incomplete", "checksum", "framing"]
"""Why decoding stopped before the end of the bytes: nothing left, a record cut short, or bytes that fail verification."""


@dataclass(frozen=True, slots=True)
class Scalars:
    """Scalar points of many tags as columns, one row a point, in file order.

    `tag[i]` indexes `tags`; steps are int64, wall times and values float64 (a float32 value is widened exactly).
    """

    tags: tuple[str, ...]
    tag: NDArray[np.int32]
    step: NDArray[np.int64]
    wall_time: NDArray[np.float64]
    value: NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Summary:
    """One tagged value that is not a scalar: where its bytes are, and the little that an index needs to know.

    `offset` and `length` are those of the whole record (framing included) in the event file.
    """

    tag: str
    plugin: str
    step: int
    wall_time: float
    offset: int
    length: int


@dataclass(frozen=True, slots=True)
class Skip:
    """A stretch of bytes that is no verified record and was passed over."""

    offset: int
    length: int
    reason: str


@dataclass(frozen=True, slots=True)
class Batch:
    """The whole, verified records in bytes [start, stop) of one event file, decoded.

    `start` and `stop` are file offsets, both record boundaries. Bytes at and after `stop` were not taken; `pending` says why.
    `scalar_records`, of shape (n, 2), are the (offset, length) spans of the whole records that `scalars` came from, in file order.
    A verified record that holds no Event is counted in `records` and listed in `skipped`.
    """

    start: int
    stop: int
    records: int
    scalars: Scalars
    scalar_records: NDArray[np.int64]
    summaries: tuple[Summary, ...] = ()
    skipped: tuple[Skip, ...] = ()
    pending: Pending = ""
    session_starts: tuple[tuple[int, float], ...] = field(default=())
    """(step, wall_time) of every SessionLog.START, in file order."""
