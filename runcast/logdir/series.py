"""A scalar series, as columns."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from runcast.logdir.packages import pandas, pyarrow

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    import pyarrow as pa
    from numpy.typing import NDArray

__all__ = ["Series"]


@dataclass(frozen=True, eq=False, repr=False)
class Series:
    """The points of one tag of one source, in the order that they were logged; arrays of shape (points,).

    `step` is int64, `wall_time` float64 in seconds since the epoch, `value` float64 (what was logged as float32 is widened exactly).
    Unless superseded points were asked for, steps rise strictly. Slices are series: `series[-100:]`; so are masks:
    `series[series.step >= 1000]`.
    """

    source: str
    tag: str
    step: NDArray[np.int64]
    wall_time: NDArray[np.float64]
    value: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.step)

    def __getitem__(self, which: slice | NDArray[np.bool_] | NDArray[np.integer]) -> Series:
        if not isinstance(which, slice) and not hasattr(which, "dtype"):
            raise TypeError(
                "a Series is sliced, or indexed with an array; its numbers are in .step, .wall_time, .value"
            )
        return Series(self.source, self.tag, self.step[which], self.wall_time[which], self.value[which])

    def to_pandas(self) -> pd.DataFrame:
        """Return a data frame with the columns step, wall_time and value."""
        return pandas().DataFrame({"step": self.step, "wall_time": self.wall_time, "value": self.value})

    def to_arrow(self) -> pa.Table:
        """Return an Arrow table with the columns step, wall_time and value."""
        return pyarrow().table({"step": self.step, "wall_time": self.wall_time, "value": self.value})

    def __repr__(self) -> str:
        steps = f", steps {self.step[0]} to {self.step[-1]}" if len(self) else ""
        return f"<Series {self.tag!r} of source {self.source!r}: {len(self)} points{steps}>"
