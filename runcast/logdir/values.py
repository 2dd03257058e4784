"""Values that are no scalars: where they are is known, and each is read from its file when it is asked for."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Generic, TypeVar, overload

import numpy as np

from runcast.errors import TagNotFound

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["Values"]

T = TypeVar("T")


class Values(Sequence[T], Generic[T]):
    """The values of one tag of one source, by place: `values[-1]` is the last one, `values.at(100)` that of step 100.

    `step` (int64) and `wall_time` (float64, seconds since the epoch) have shape (values,). Each access reads the file anew, and
    raises `BadValue` if what is there cannot be read; so hold on to a value that is used twice.
    """

    def __init__(
        self,
        source: str,
        tag: str,
        step: NDArray[np.int64],
        wall_time: NDArray[np.float64],
        read: Callable[[int], T],
        rows: range | None = None,
    ) -> None:
        self.source = source
        self.tag = tag
        self.step = step
        self.wall_time = wall_time
        self._read = read
        self._rows = range(len(step)) if rows is None else rows

    def __len__(self) -> int:
        return len(self.step)

    @overload
    def __getitem__(self, which: int) -> T: ...
    @overload
    def __getitem__(self, which: slice) -> Values[T]: ...
    def __getitem__(self, which: int | slice) -> T | Values[T]:
        if isinstance(which, slice):
            step, wall_time = self.step[which], self.wall_time[which]
            return Values(self.source, self.tag, step, wall_time, self._read, self._rows[which])
        return self._read(self._rows[which])

    def __iter__(self) -> Iterator[T]:
        return map(self._read, self._rows)

    def at(self, step: int) -> T:
        """Return the value of a step; of several that were logged at it, the last. Raises `TagNotFound` if there is none."""
        found = np.flatnonzero(self.step == step)
        if not len(found):
            said = f"; the nearest is {self._nearest(step)}" if len(self) else ""
            raise TagNotFound(f"tag {self.tag!r} of source {self.source!r} has no value at step {step}{said}")
        return self[int(found[-1])]

    def __repr__(self) -> str:
        steps = f", steps {self.step[0]} to {self.step[-1]}" if len(self) else ""
        return f"<Values {self.tag!r} of source {self.source!r}: {len(self)} values{steps}>"

    def _nearest(self, step: int) -> int:
        steps: list[int] = self.step.tolist()
        return min(steps, key=lambda one: abs(one - step))
