"""What the newest appends brought, of many files together: one row of the database for each group of appends.

A small append would cost most in the index: a row of its file, and two of each of its series. Almost all appends of a training
just go on, with points behind those that were there. Those are kept here, as they came, and moved to `file`, `part` and `chunk`
(*folded*) when there are many of them, or when anything happens that is not just going on (`writer`). So whoever reads adds
what is here to what is there, and needs no rule for it: these points all count, and come after their file's others.
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from sqlalchemy import bindparam, select

from runcast.store import schema
from runcast.store.bounds import Bounds
from runcast.store.columns import Columns

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from numpy.typing import NDArray
    from sqlalchemy import Connection

    Part = tuple[int, ...]
    """(series, file); of several runs: (run's number, series, file)"""

__all__ = ["Grown", "Parts", "Recent", "latest", "of_series", "read_bounds", "read_grown", "read_recent"]

_recent = schema.recent.c
_ROWS = (
    select(_recent.files, _recent.groups, _recent.points)
    .where(_recent.run == bindparam("of_run"))
    .order_by(_recent.seq)
)
_ROWS_OF_SEVERAL = (
    select(_recent.run, _recent.files, _recent.groups, _recent.points)
    .where(_recent.run.in_(bindparam("several", expanding=True)))
    .order_by(_recent.run, _recent.seq)
)
_FILES = select(_recent.files).where(_recent.run == bindparam("of_run")).order_by(_recent.seq)


_GROUP_BYTES = _POINT_BYTES = 3 * 8


class Grown(NamedTuple):
    """What an append changed of its file's row."""

    id: int
    size: int
    synced: int
    unsynced_crc: int
    records: int
    skipped: int


class Recent(NamedTuple):
    """A group of appends: a row `Grown` for each file, a row (series, file, points) for each part, and those points."""

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
    def from_rows(cls, rows: Sequence[Any]) -> Recent:
        """Read several, the oldest first, as if they were one."""
        points = [row.points for row in rows]
        data = np.frombuffer(b"".join(points), "<i8")
        count = np.array([len(each) // _POINT_BYTES for each in points], np.intp)
        before = np.cumsum(count) - count
        step = np.arange(len(data) // 3) + np.repeat(2 * before, count)  # where they are in it
        column = np.repeat(count, count)
        wall_time, value = data[step + column], data[step + 2 * column]
        return cls(
            _matrix((row.files for row in rows), len(Grown._fields)),
            _matrix((row.groups for row in rows), _GROUP_BYTES // 8),
            Columns(data[step], wall_time.view("<f8"), value.view("<f8")),
        )


class Parts:
    """The points of groups, one part after the other; a part is what its groups' rows begin with, all but the number of points."""

    def __init__(self, groups: NDArray[np.int64], points: Columns) -> None:
        keys = [np.repeat(column, groups[:, -1]) for column in groups[:, :-1].T]
        order = np.lexsort(keys[::-1])  # stable: each part's points stay in the order in which they came
        begins = np.ones(len(order), np.bool_)
        keys = [key[order] for key in keys]
        np.logical_or.reduce([key[1:] != key[:-1] for key in keys], out=begins[1:])
        self._starts = np.flatnonzero(begins)
        self._points = points.rows(order)
        self._parts: list[Part] = list(zip(*(key[self._starts].tolist() for key in keys), strict=True))

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


def read_recent(connection: Connection, run: str) -> Recent:
    """Return all of a run that is recent."""
    return Recent.from_rows(connection.execute(_ROWS, {"of_run": run}).all())


def read_bounds(connection: Connection, runs: Sequence[str]) -> Iterator[tuple[str, int, Bounds]]:
    """Yield the bounds over what is recent of several runs, part by part: run, series and bounds."""
    rows = connection.execute(_ROWS_OF_SEVERAL, {"several": runs}).all()
    if not rows:
        return
    numbers = {run: number for number, run in enumerate(runs)}
    recent = Recent.from_rows(rows)
    run = np.repeat([numbers[row.run] for row in rows], [len(row.groups) // _GROUP_BYTES for row in rows])
    for (number, series, _), bounds in Parts(np.column_stack((run, recent.groups)), recent.points).bounds():
        yield runs[number], series, bounds


def read_grown(connection: Connection, run: str) -> dict[int, Grown]:
    """Return what is recent of a run's files, by their number."""
    return latest(_matrix(connection.scalars(_FILES, {"of_run": run}), len(Grown._fields)))


def latest(files: NDArray[np.int64]) -> dict[int, Grown]:
    """Return the last row of each file."""
    return {row[0]: Grown(*row) for row in files.tolist()}


def of_series(recent: Recent, series: int) -> Iterator[tuple[int, Columns]]:
    """Yield the files and points of one series, in the order in which they came."""
    ends = np.cumsum(recent.groups[:, 2])
    for at in np.flatnonzero(recent.groups[:, 0] == series).tolist():
        _, file, points = recent.groups[at].tolist()
        yield file, recent.points.rows(slice(int(ends[at]) - points, int(ends[at])))


def _matrix(data: Iterable[bytes], columns: int) -> NDArray[np.int64]:
    return np.frombuffer(b"".join(data), "<i8").reshape(-1, columns)
