"""Which points of a series count, when several event files of one folder hold some.

All points stay stored; what counts is decided when they are read. The rules:

1. *Within a file*, a step that goes back or repeats supersedes that file's earlier points at or after it.
2. *Across files*, a file that **succeeds** another supersedes the other's points at and after the lowest step that it has of
   the series. So a training cell that is run again into the same folder replaces what it repeats, and a training that is
   resumed from a checkpoint continues it. A file succeeds another of the same folder

   - if it began after the other had ended: the wall time of its first event is later than that of the other's last, or
   - if it is a later generation of the same file (`name~2`, the source having been replaced by another).
3. Otherwise both writers were alive at the same time, and **all** their points count, in order of step and then wall time.
4. A session start (`SessionLog.START`: a writer's `purge_step`) supersedes every point of the folder written before it, at
   or after its step: that is what it was written for.

A file's span is that of all its events, not of one series: a writer that logs a tag once an hour is alive in between. Only a
look at everything can decide these, so a file that resumes writing after a successor began turns the two into rule 3.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from numpy.typing import NDArray

    from runcast.events.batch import Batch
    from runcast.store.columns import Columns

__all__ = ["Span", "cut", "purged", "succeeds"]

_GENERATION = re.compile(r"~(\d+)$")


@dataclass(frozen=True, slots=True)
class Span:
    """The life of one event file: its place, its first and last wall time, and the session starts in it, (step, wall_time)."""

    file: int
    path: str
    first: float | None = None
    last: float | None = None
    sessions: tuple[tuple[int, float], ...] = ()

    @classmethod
    def from_row(cls, row: Any) -> Span:
        """Read it from a row of the table `file`."""
        sessions = tuple((step, wall_time) for step, wall_time in json.loads(row.sessions))
        return cls(row.id, row.path, row.first_wall_time, row.last_wall_time, sessions)

    def extended(self, batch: Batch) -> Span:
        """Return the span with a batch's events added."""
        times = [wall_time for _, wall_time in batch.session_starts]
        times += [summary.wall_time for summary in batch.summaries]
        if len(batch.scalars.wall_time):
            times += [
                float(np.fmin.reduce(batch.scalars.wall_time)),
                float(np.fmax.reduce(batch.scalars.wall_time)),
            ]
        span = self.reaching(*times)
        return replace(span, sessions=span.sessions + batch.session_starts) if batch.session_starts else span

    def reaching(self, *wall_times: float) -> Span:
        """Return the span with more events added, given when they were."""
        times = [time for time in wall_times if time == time]  # noqa: PLR0124 - NaN says nothing about when
        times += [time for time in (self.first, self.last) if time is not None]
        if not times:
            return self
        first, last = min(times), max(times)
        return self if (first, last) == (self.first, self.last) else replace(self, first=first, last=last)


def succeeds(later: Span, earlier: Span) -> bool:
    """Say whether `later` succeeds `earlier` (rule 2 above)."""
    if later.file == earlier.file:
        return False
    later_name, later_generation = _generation(later.path)
    earlier_name, earlier_generation = _generation(earlier.path)
    if later_name == earlier_name:
        return later_generation > earlier_generation
    return later.first is not None and earlier.last is not None and later.first > earlier.last


def cut(span: Span, starts: Mapping[int, int], spans: Iterable[Span]) -> int | None:
    """Return the step from which on other files supersede all of a file's points of a series; None if none does.

    `starts` is the lowest step that each file has of the series.
    """
    steps = []
    for other in spans:
        if other.file in starts and succeeds(other, span):
            steps.append(starts[other.file])
        steps += [step for step, time in other.sessions if span.last is not None and time > span.last]
    return min(steps, default=None)


def purged(span: Span, spans: Iterable[Span]) -> list[tuple[int, float]]:
    """Return the session starts that fell within the file's life, so that only its earlier points are superseded."""
    if span.first is None or span.last is None:
        return []
    return [
        (step, time) for other in spans for step, time in other.sessions if span.first < time <= span.last
    ]


def standing(columns: Columns, cut: int | None, purges: Iterable[tuple[int, float]]) -> NDArray[np.bool_]:
    """Return which of a file's points are left by the other files and by session starts."""
    stands = np.ones(len(columns.step), np.bool_) if cut is None else columns.step < cut
    for step, time in purges:
        stands &= (columns.step < step) | (columns.wall_time >= time)
    return stands


def _generation(path: str) -> tuple[str, int]:
    found = _GENERATION.search(path)
    return (path[: found.start()], int(found[1])) if found else (path, 1)
