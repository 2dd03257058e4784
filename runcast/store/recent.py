"""What the newest appends brought, of many files together: one row of the database for each group of appends.

A small append would cost most in the index: a row of its file, and two of each of its series. Almost all appends of a training
just go on, with points behind those that were there. Those are kept here, as they came, and moved to `file`, `part` and `chunk`
(*folded*) when there are many of them, or when anything happens that is not just going on (`writer`). So whoever reads adds
what is here to what is there, and needs no rule for it: these points all count, and come after their file's others.
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from sqlalchemy import bindparam, select

from runcast.store import schema
from runcast.store.bounds import Bounds
from runcast.store.columns import Columns

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray
    from sqlalchemy import Connection

    Part = tuple[int, int]
    """(series, file)"""

__all__ = ["Grown", "Parts", "Recent", "of_series", "read_grown", "read_recent"]

_recent = schema.recent.c
_ROWS = (
    select(_recent.files, _recent.groups, _recent.points)
    .where(_recent.run == bindparam("of_run"))
    .order_by(_recent.seq)
)
_FILES = select(_recent.files).where(_recent.run == bindparam("of_run")).order_by(_recent.seq)


class Grown(NamedTuple):
    """What an append changed of its file's row."""

    id: int
    size: int
    synced: int
    unsynced_crc: int
    records: int
    skipped: int


class Recent(NamedTuple):
    """One group of appends: a row `Grown` for each file, a row (series, file, points) for each part, and those points."""

    files: NDArray[np.int64]
    groups: NDArray[np.int64]
    points: Columns

    def to_row(self) -> dict[str, bytes]:
        """Return it as the table's columns."""
        return {
            "files": self.files.astype("<i8", copy=False).tobytes(),
            "groups": self.groups.astype("<i8", copy=False).tobytes(),
            "points": b"".join(
                (
                    self.points.step.astype("<i8", copy=False).tobytes(),
                    self.points.wall_time.astype("<f8", copy=False).tobytes(),
                    self.points.value.astype("<f8", copy=False).tobytes(),
                )
            ),
        }

    @classmethod
    def from_row(cls, files: bytes, groups: bytes, points: bytes) -> Recent:
        """Read it from those; the arrays are read-only."""
        step, wall_time, value = np.frombuffer(points, "<i8").reshape(3, -1)
        return cls(
            _matrix(files, len(Grown._fields)),
            _matrix(groups, 3),
            Columns(step, wall_time.view("<f8"), value.view("<f8")),
        )


class Parts:
    """The points of several groups, one part after the other."""

    def __init__(self, recent: Sequence[Recent]) -> None:
        groups = np.concatenate([np.empty((0, 3), np.int64), *(each.groups for each in recent)])
        points = Columns.joined([each.points for each in recent])
        series, file = (np.repeat(groups[:, column], groups[:, 2]) for column in (0, 1))
        order = np.lexsort((file, series))  # stable: each part's points stay in the order in which they came
        series, file = series[order], file[order]
        changes = (series[1:] != series[:-1]) | (file[1:] != file[:-1])
        self._starts = np.flatnonzero(np.concatenate([np.ones(min(1, len(series)), np.bool_), changes]))
        self._points = points.rows(order)
        self._parts: list[Part] = list(
            zip(series[self._starts].tolist(), file[self._starts].tolist(), strict=True)
        )

    def columns(self) -> Iterator[tuple[Part, Columns]]:
        """Yield each part's points."""
        starts = [*self._starts.tolist(), len(self._points.step)]
        for part, (start, end) in zip(self._parts, pairwise(starts), strict=True):
            yield part, self._points.rows(slice(start, end))

    def bounds(self) -> Iterator[tuple[Part, Bounds]]:
        """Yield each part's bounds."""
        if not self._parts:
            return
        starts, (step, wall_time, value) = self._starts, self._points
        ends = np.append(starts[1:], len(step))
        columns = (
            ends - starts,
            step[starts],
            step[ends - 1],
            wall_time[ends - 1],
            value[ends - 1],
            np.fmin.reduceat(value, starts),
            np.fmax.reduceat(value, starts),
        )
        for part, *bounds in zip(self._parts, *(column.tolist() for column in columns), strict=True):
            yield part, Bounds(*bounds)


def read_recent(connection: Connection, run: str) -> list[Recent]:
    """Return all of a run that is recent, the oldest first."""
    return [Recent.from_row(*row) for row in connection.execute(_ROWS, {"of_run": run})]


def read_grown(connection: Connection, run: str) -> dict[int, Grown]:
    """Return what is recent of a run's files, by their number."""
    rows = connection.scalars(_FILES, {"of_run": run}).all()
    return latest(_matrix(row, len(Grown._fields)) for row in rows)


def latest(files: Iterator[NDArray[np.int64]]) -> dict[int, Grown]:
    """Return the last row of each file."""
    return {row[0]: Grown(*row) for each in files for row in each.tolist()}


def of_series(recent: Sequence[Recent], series: int) -> Iterator[tuple[int, Columns]]:
    """Yield the files and points of one series, in the order in which they came."""
    for each in recent:
        for at in np.flatnonzero(each.groups[:, 0] == series).tolist():
            start = int(each.groups[:at, 2].sum())
            yield (
                int(each.groups[at, 1]),
                each.points.rows(slice(start, start + int(each.groups[at, 2]))),
            )


def _matrix(data: bytes, columns: int) -> NDArray[np.int64]:
    return np.frombuffer(data, "<i8").reshape(-1, columns)
