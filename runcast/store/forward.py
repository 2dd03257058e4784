"""Which appends just go on from what was there, so that the index need not be told of them at once (see `recent`).

They hold nothing but scalars, of series that their file has, all of whose points count, with steps that rise beyond the file's
last; and nothing that is decided between their file and others of its folder changes. All files are looked at together, so
that what each costs is a few lookups.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from runcast.store.columns import Columns
from runcast.store.index import SCALARS
from runcast.store.recent import Recent

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from runcast.events.batch import Batch, Scalars
    from runcast.store.memory import FileMemory, PartMemory, RunMemory, SourceMemory
    from runcast.store.paths import FilePath
    from runcast.store.supersession import Span

__all__ = ["Forward", "Growth"]

_MOST_POINTS = 4096
"""Points of one append: where there are more, nothing is saved by keeping them together with others'."""

_NO_COLUMNS = Columns.joined([])


@dataclass(slots=True)
class Growth:
    """An append to a file that the index knows, whose bytes are in place; `batch` is None where that is no event file."""

    file: FileMemory
    place: FilePath
    taken: memoryview
    batch: Batch | None
    synced: bool


class _Part(NamedTuple):
    place: FilePath
    file: int
    series: int
    memory: PartMemory


class Forward:
    """Sorts appends into those that just go on, `growths`, and the others, `rest`, both in order.

    Files of one folder stay together: what is decided between them must not hang on which are indexed first.
    """

    def __init__(self, memory: RunMemory, growths: Sequence[Growth]) -> None:
        self._memory = memory
        others: set[tuple[str, str]] = set()
        while turned_back := self._gather(growths, others):
            others |= turned_back
        self.growths = [each for each in growths if each.place[:2] not in others]
        self.rest = [each for each in growths if each.place[:2] in others] if others else []

    def recent(self) -> Recent:
        """Return what is to be kept of `growths`, whose files' memories are up to date; the parts' are brought up to date."""
        files = [
            (file.id, file.size, file.synced, file.unsynced_crc, file.records, file.skipped)
            for file in (growth.file for growth in self.growths)
        ]
        ends = np.empty_like(self._starts)
        ends[:-1] = self._starts[1:]
        ends[-1:] = len(self._columns.step)
        groups = np.array([(part.series, part.file, 0) for part in self._parts], np.int64).reshape(-1, 3)
        np.subtract(ends, self._starts, out=groups[:, 2])
        for part, last in zip(self._parts, self._columns.step[ends - 1].tolist(), strict=True):
            part.memory.newest = last
        return Recent(np.array(files, np.int64), groups, self._columns)

    def _gather(self, growths: Sequence[Growth], others: set[tuple[str, str]]) -> set[tuple[str, str]]:
        """Gather the points of all but the folders `others`, to which are added those that cannot be; return what goes back."""
        self._parts: list[_Part] = []
        scalars: list[Scalars] = []
        for growth in growths:
            key = growth.place[:2]
            if growth.batch is None or key in others:
                continue
            parts = _parts(self._memory.sources.get(key), growth, growth.batch)
            if parts is None:
                others.add(key)
            elif parts:
                self._parts += parts
                scalars.append(growth.batch.scalars)
        # Parts of a folder that turned out to be one of the others are gathered too when it had another file before.
        if others and any(part.place[:2] in others for part in self._parts):
            return self._gather(growths, others)
        self._columns, self._starts = _part_by_part(scalars)
        if not self._parts:
            return set()
        step = self._columns.step
        rises = np.empty(len(step), np.bool_)
        np.greater(step[1:], step[:-1], out=rises[1:])
        last = [
            part.bounds.last_step if part.newest is None else part.newest
            for part in (part.memory for part in self._parts)
        ]
        rises[self._starts] = step[self._starts] > last
        if rises.all():
            return set()
        back = np.flatnonzero(~np.logical_and.reduceat(rises, self._starts))
        return {self._parts[at].place[:2] for at in back.tolist()}


def _parts(source: SourceMemory | None, growth: Growth, batch: Batch) -> list[_Part] | None:
    """Return the parts that a batch goes on with, but for their steps; None if it does anything else."""
    if batch.summaries or batch.session_starts or source is None or len(batch.scalars.step) > _MOST_POINTS:
        return None
    file = growth.file.id
    span = source.spans.get(file)
    if span is None or not _lives_alone(span, source, batch.scalars):
        return None
    parts: list[_Part] = []
    for tag in batch.scalars.tags:
        series = source.plugins.get(tag, {}).get(SCALARS)
        part = None if series is None else source.parts.get((file, series))
        if series is None or part is None or part.cut is not None or not part.bounds.count:
            return None
        parts.append(_Part(growth.place, file, series, part))
    return parts


def _lives_alone(span: Span, source: SourceMemory, scalars: Scalars) -> bool:
    """Whether the folder's other files and session starts have no say in these points, nor they in theirs."""
    if span.first is None or span.last is None:
        return False
    if len(source.spans) == 1 and not span.sessions:
        return True
    if not len(scalars.step):
        return True
    first, last = float(np.min(scalars.wall_time)), float(np.max(scalars.wall_time))
    if not first >= span.first:  # NaN, too
        return False
    others = [other.first for other in source.spans.values() if other.first is not None]
    sessions = [time for other in source.spans.values() for _, time in other.sessions]
    return not any(span.last < time <= last for time in others) and not any(
        time > span.first for time in sessions
    )


def _part_by_part(scalars: Sequence[Scalars]) -> tuple[Columns, NDArray[np.intp]]:
    """Return the points of several batches, tag by tag of each, and where each tag's begin."""
    if not scalars:
        return _NO_COLUMNS, np.empty(0, np.intp)
    columns = Columns.joined([Columns(each.step, each.wall_time, each.value) for each in scalars])
    number = scalars[0].tag
    if len(scalars) > 1:
        tags = [len(each.tags) for each in scalars]
        bases = np.repeat(np.cumsum([0, *tags[:-1]]), [len(each.tag) for each in scalars])
        number = np.concatenate([each.tag for each in scalars]) + bases
    if any(len(each.tags) > 1 for each in scalars):
        order = number.argsort(kind="stable")
        columns, number = columns.rows(order), number[order]
    begins = np.empty(len(number), np.bool_)
    begins[:1] = True
    np.not_equal(number[1:], number[:-1], out=begins[1:])
    return columns, begins.nonzero()[0]
