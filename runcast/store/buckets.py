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
    order and within it. NaN is neither least nor greatest. What is selected of parts, with one range, and of that together, is what
    would be selected of the whole.
    """
    if not len(step):
        return np.zeros(0, np.intp)
    low, high = step_range or (int(step[0]), int(step[-1]))
    edges = low + np.arange(pixels) * ((float(high) - float(low) + 1) / pixels)
    reached = max(0, int(np.searchsorted(edges, step[0], side="right")) - 1)
    begins = np.searchsorted(step, edges[reached : int(np.searchsorted(edges, step[-1], side="right"))])
    begins[:1] = 0  # whatever rounding did to the first edge
    first = np.unique(begins[begins < len(step)])
    length = np.diff(first, append=len(step))
    rows = [first, first + length - 1]
    missing = np.isnan(value)
    some_missing = missing.any()
    for extreme, nothing in ((np.minimum, np.inf), (np.maximum, -np.inf)):
        column = np.where(missing, nothing, value) if some_missing else value
        hits = np.flatnonzero(column == np.repeat(extreme.reduceat(column, first), length))
        bucket = np.searchsorted(first, hits, side="right")
        rows.append(hits[np.diff(bucket, prepend=0) != 0])
    return np.unique(np.concatenate(rows))
