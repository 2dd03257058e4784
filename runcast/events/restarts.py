"""What a training that was restarted leaves: points that a later point of the same series supersedes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["counting"]


def counting(step: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Say which points of one series count, given their steps in the order they were written.

    A step that goes back or repeats supersedes the earlier points at or after it, as in TensorBoard's Rust server; so a point
    counts if its step is less than every later one, and what counts is strictly rising.
    """
    counts = np.ones(len(step), np.bool_)
    if len(step) > 1:
        least_from_here = np.minimum.accumulate(step[::-1])[::-1]
        np.less(step[:-1], least_from_here[1:], out=counts[:-1])
    return counts
