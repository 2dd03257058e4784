"""Fewer points for few pixels, without losing a spike."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["select"]


def select(
    step: NDArray[np.int64],
    value: NDArray[np.float64],
    pixels: int,
    step_range: tuple[int, int] | None = None,
) -> NDArray[np.intp]:
    """Return the rows of the first, least, greatest and last point of each bucket, in order.

    The buckets are `pixels` equal parts of `step_range` (by default that of the points), whose ends are in it; `step` must be in
    order and within it. NaN is neither least nor greatest.
    """
    if not len(step):
        return np.zeros(0, np.intp)
    low, high = step_range or (int(step[0]), int(step[-1]))
    width = (float(high) - float(low) + 1) / pixels
    bucket = np.minimum((step.astype(np.float64) - low) / width, pixels - 1).astype(np.int64)
    first = np.flatnonzero(np.diff(bucket, prepend=-1))
    length = np.diff(first, append=len(step))
    rows = [first, first + length - 1]
    for extreme in (np.fmin.reduceat(value, first), np.fmax.reduceat(value, first)):
        hits = np.flatnonzero(value == np.repeat(extreme, length))
        rows.append(hits[np.diff(bucket[hits], prepend=-1) != 0])
    return np.unique(np.concatenate(rows))
