"""What a stretch of points comes to: how many, from where to where, the last, the least and the greatest."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from runcast.store.columns import Columns

__all__ = ["Bounds", "number_of"]

NOTHING = math.nan


@dataclass(frozen=True, slots=True)
class Bounds:
    """Bounds over points that count. With `count` 0, the rest means nothing.

    NaN is ignored by `min` and `max` unless nothing else is there.
    """

    count: int = 0
    first_step: int = 0
    last_step: int = 0
    last_wall_time: float = NOTHING
    last: float = NOTHING
    min: float = NOTHING
    max: float = NOTHING

    @classmethod
    def of(cls, columns: Columns) -> Bounds:
        """Return the bounds over columns in step order."""
        if not len(columns.step):
            return cls()
        return cls(
            len(columns.step),
            int(columns.step[0]),
            int(columns.step[-1]),
            float(columns.wall_time[-1]),
            float(columns.value[-1]),
            float(np.fmin.reduce(columns.value)),
            float(np.fmax.reduce(columns.value)),
        )

    @classmethod
    def from_row(cls, row: Any) -> Bounds:
        """Read the columns that `schema` gives to bounds, where NULL is NaN."""
        return cls(
            row.count,
            row.first_step,
            row.last_step,
            number_of(row.last_wall_time),
            number_of(row.last),
            number_of(row.min),
            number_of(row.max),
        )

    def to_row(self) -> dict[str, Any]:
        """Return those columns."""
        return {
            "count": self.count,
            "first_step": self.first_step,
            "last_step": self.last_step,
            "last_wall_time": self.last_wall_time,
            "last": self.last,
            "min": self.min,
            "max": self.max,
        }

    def __or__(self, other: Bounds) -> Bounds:
        """Return the bounds over both stretches."""
        if not self.count or not other.count:
            return self if self.count else other
        is_later = (other.last_step, other.last_wall_time) > (self.last_step, self.last_wall_time)
        latest = other if is_later else self
        return Bounds(
            self.count + other.count,
            min(self.first_step, other.first_step),
            latest.last_step,
            latest.last_wall_time,
            latest.last,
            other.min if math.isnan(self.min) or other.min < self.min else self.min,
            other.max if math.isnan(self.max) or other.max > self.max else self.max,
        )


def number_of(value: float | None) -> float:
    """Return what `types.Real` kept."""
    return math.nan if value is None else value
