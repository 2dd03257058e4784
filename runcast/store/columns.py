"""Points as compressed columns, exact to the last bit.

Steps and wall times are kept as differences less the smallest difference, in as few bytes as the largest needs: none at all
where the difference is constant. The difference of two wall times is that of their bits, so nothing is rounded. Values that
are float32 widened (most are) are narrowed again, and deflated where that saves a quarter: noise does not deflate, and a
reader would pay for the attempt.

    header | steps | wall times | values        (little-endian)
"""

from __future__ import annotations

import struct
import zlib
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

__all__ = ["Columns", "decode", "encode"]

_HEADER = struct.Struct(
    "<BBBxI qQ qQ"
)  # value form, widths of step and wall time, count; first and least difference of each
_DEFLATED, _SINGLE = 1, 2
_WORTH_DEFLATING = 64
_WIDTHS = {0: None, 1: np.dtype("<u1"), 2: np.dtype("<u2"), 4: np.dtype("<u4"), 8: np.dtype("<u8")}


class Columns(NamedTuple):
    """Steps (int64), wall times and values (float64), one row a point."""

    step: NDArray[np.int64]
    wall_time: NDArray[np.float64]
    value: NDArray[np.float64]

    def rows(self, chosen: NDArray[Any] | slice) -> Columns:
        """Return some of the points: a mask, indices or a slice."""
        return Columns(self.step[chosen], self.wall_time[chosen], self.value[chosen])

    @classmethod
    def joined(cls, pieces: Sequence[Columns]) -> Columns:
        """Return all the points of several, one after the other."""
        if len(pieces) == 1:
            return pieces[0]
        if not pieces:
            return cls(np.empty(0, np.int64), np.empty(0), np.empty(0))
        step, wall_time, value = zip(*pieces, strict=True)
        return cls(np.concatenate(step), np.concatenate(wall_time), np.concatenate(value))


def encode(columns: Columns) -> bytes:
    """Return the bytes that `decode` turns back into these columns; there must be a point at least."""
    step_width, first_step, least_step, steps = _encode_integers(columns.step.astype("<i8", copy=False))
    wall_width, first_wall, least_wall, walls = _encode_integers(
        columns.wall_time.astype("<f8", copy=False).view("<i8")
    )
    form, values = _encode_values(columns.value.astype("<f8", copy=False))
    header = _HEADER.pack(
        form, step_width, wall_width, len(columns.step), first_step, least_step, first_wall, least_wall
    )
    return b"".join([header, steps, walls, values])


def decode(blob: bytes) -> Columns:
    """Return the columns that `encode` was given; the arrays may be read-only."""
    form, step_width, wall_width, count, first_step, least_step, first_wall, least_wall = _HEADER.unpack_from(
        blob
    )
    walls_at = _HEADER.size + (count - 1) * step_width
    values_at = walls_at + (count - 1) * wall_width
    return Columns(
        _decode_integers(blob, _HEADER.size, count, step_width, first_step, least_step),
        _decode_integers(blob, walls_at, count, wall_width, first_wall, least_wall).view(np.float64),
        _decode_values(blob[values_at:], form),
    )


def _encode_integers(column: NDArray[np.int64]) -> tuple[int, int, int, bytes]:
    first = int(column[0])
    if len(column) == 1:
        return 0, first, 0, b""
    differences = np.diff(column)  # wraps, and so does the sum that undoes it
    least = differences.min()
    excess = (differences - least).view("<u8")
    width = next(width for width in (0, 1, 2, 4, 8) if int(excess.max()) < 1 << (8 * width))
    dtype = _WIDTHS[width]
    return width, first, int(least) % (1 << 64), b"" if dtype is None else excess.astype(dtype).tobytes()


def _decode_integers(
    blob: bytes, at: int, count: int, width: int, first: int, least: int
) -> NDArray[np.int64]:
    column = np.empty(count, np.uint64)
    column[0] = first % (1 << 64)
    dtype = _WIDTHS[width]
    if dtype is None:
        column[1:] = least
    else:
        np.add(np.frombuffer(blob, dtype, count - 1, at), np.uint64(least), out=column[1:])
    return np.add.accumulate(column, out=column).view(np.int64)


def _encode_values(column: NDArray[np.float64]) -> tuple[int, bytes]:
    form = 0
    with np.errstate(over="ignore", invalid="ignore"):
        single = column.astype("<f4")
    if np.array_equal(single.astype("<f8").view("<i8"), column.view("<i8")):
        form, raw = _SINGLE, single
    else:
        raw = column
    data = raw.tobytes()
    if len(raw) < _WORTH_DEFLATING:
        return form, data
    deflated = zlib.compress(raw.view(np.uint8).reshape(len(raw), -1).T.tobytes(), 1)
    if len(deflated) < 0.75 * len(data):
        return form | _DEFLATED, deflated
    return form, data


def _decode_values(data: bytes, form: int) -> NDArray[np.float64]:
    dtype = np.dtype("<f4" if form & _SINGLE else "<f8")
    if form & _DEFLATED:
        planes = np.frombuffer(zlib.decompress(data), np.uint8).reshape(dtype.itemsize, -1)
        data = planes.T.tobytes()
    return np.frombuffer(data, dtype).astype(np.float64, copy=False)
