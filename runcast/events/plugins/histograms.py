"""What TensorBoard's histograms plugin logs: how many values fell between which edges.

v1 values are a `HistogramProto`; v2 values a (buckets, 3) tensor of left edge, right edge and count
(tensorboard/plugins/histogram/summary_v2.py).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from runcast.errors import BadValue
from runcast.events.arrays import array_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from runcast.events.record import Logged, Metadata

__all__ = ["PLUGIN", "Histogram", "read"]

PLUGIN = "histograms"


@dataclass(frozen=True, slots=True, eq=False)
class Histogram:
    """Counts in buckets, all float64: `lefts`, `rights` and `counts` have shape (buckets,), and there may be none.

    `sum` and `sum_squares` are over the values themselves; only v1 values say them.
    """

    lefts: NDArray[np.float64]
    rights: NDArray[np.float64]
    counts: NDArray[np.float64]
    sum: float | None = None
    sum_squares: float | None = None

    @property
    def edges(self) -> NDArray[np.float64]:
        """The edges of the buckets, shape (buckets + 1,), as `numpy.histogram` returns them; none if there is no bucket.

        Every writer known lets each bucket end where the next begins; in a histogram with gaps, `rights` says more.
        """
        return np.append(self.lefts, self.rights[-1:])


def read(value: Logged, metadata: Metadata) -> Histogram:  # noqa: ARG001 - as all of them are called
    """Read the histogram of one step, v1 or v2. Raises `BadValue`."""
    if value.form == "histo":
        return _of_v1(value)
    if value.form != "tensor":
        raise BadValue(f"{_where(value)}: {value.form or 'nothing'} holds no histogram")
    rows = array_of(value.message)
    if rows.ndim != 2 or rows.shape[1] != 3 or rows.dtype.kind not in "fiu":
        raise BadValue(f"{_where(value)}: a histogram has the shape (buckets, 3), not {rows.shape}")
    with np.errstate(all="ignore"):  # a signaling NaN is a value like any other
        return Histogram(*rows.astype(np.float64).T)


def _of_v1(value: Logged) -> Histogram:
    """Turn v1 buckets into v2 buckets as TensorBoard does (tensorboard/data_compat.py), but in double precision.

    The outermost limits may be the largest numbers there are. So empty buckets at both ends go, and what remains begins at the
    least value and ends at the greatest.
    """
    histogram: Any = value.message
    counts = np.array(histogram.bucket, np.float64)
    limits = np.array(histogram.bucket_limit, np.float64)
    if len(counts) != len(limits):
        raise BadValue(f"{_where(value)}: a histogram has {len(counts)} counts but {len(limits)} limits")
    filled = np.flatnonzero(counts > 0)
    if not len(filled):
        none = np.empty(0)
        return Histogram(none, none, none, histogram.sum, histogram.sum_squares)
    first, last = int(filled[0]), int(filled[-1])
    inner = limits[first:last]
    return Histogram(
        np.concatenate([[histogram.min], inner]),
        np.concatenate([inner, [histogram.max]]),
        counts[first : last + 1],
        histogram.sum,
        histogram.sum_squares,
    )


def _where(value: Logged) -> str:
    return f"tag {value.tag!r}, step {value.step}"
