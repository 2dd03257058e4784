"""What one call of `Decoder.decode` has read so far.

Columns stay columns: they are copied only where something else has to go between their rows.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from runcast.events.batch import Batch, Scalars, Skip, Summary
from runcast.events.framing import HEADER, OVERHEAD, payload_length, payload_verified
from runcast.events.meaning import NotAnEventError, read_event
from runcast.events.scalars import NOT_READ, Columns
from runcast.events.single import LONGEST, Points

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

    from runcast.events.batch import Pending
    from runcast.events.framing import Chain
    from runcast.events.scalars import Several, TagTable
    from runcast.events.single import SingleReader

__all__ = ["NOT_AN_EVENT", "Reading"]

NOT_AN_EVENT = "the record holds no Event"


class Reading:
    """Gathers records of `view`, which begins at file offset `offset`, into a Batch.

    They are taken in file order, one by one or chain by chain.
    """

    def __init__(self, view: memoryview, offset: int, tags: TagTable) -> None:
        self._view = view
        self._offset = offset
        self._tags = tags
        self._records = 0
        self._columns: list[Columns] = []
        self._spans: list[NDArray[np.int64]] = []
        self._points = Points()  # what came one by one after the columns
        self._summaries: list[Summary] = []
        self._skipped: list[Skip] = []
        self._session_starts: list[tuple[int, float]] = []

    def take_one_by_one(self, start: int, limit: int, singles: SingleReader) -> int:
        """Take the whole, verified records from `start` to `limit` or a little further; return where they end.

        `singles` is shown those that it did not know.
        """
        data = bytes(self._view[start : limit + LONGEST])
        points, position, end = self._points, start, len(self._view)
        while position < limit:
            known = len(points.tag)
            position = start + singles.read(data, position - start, self._offset + start, points)
            self._records += len(points.tag) - known
            if position >= limit:
                break
            length = payload_length(self._view, position)
            after = position + OVERHEAD + (length or 0)
            if length is None or after > end or not payload_verified(self._view, position, length):
                break
            tag = self._read_record(position, length, points)
            if tag is not None:
                singles.learn(bytes(self._view[position:after]), tag)
            position = after
            self._records += 1
        return position

    def take(self, chain: Chain, columns: Columns, several: Several) -> int:
        """Take a chain's records, of which `columns` and `several` hold those that are read and verified already.

        Returns where they end: at the first record whose payload fails verification, or at the end of the chain.
        """
        self._keep_points()
        taken = len(chain.position)
        points = Points()
        ordinals: list[int] = []
        unread = np.flatnonzero(columns.tag == NOT_READ)
        for ordinal in unread.tolist():
            position, length = int(chain.position[ordinal]), int(chain.length[ordinal])
            if not payload_verified(self._view, position, length):
                taken = ordinal
                break
            self._read_record(position, length, points)
            ordinals += [ordinal] * (len(points.tag) - len(ordinals))
        self._records += taken
        stop = chain.stop if taken == len(chain.position) else int(chain.position[taken])
        spans = np.empty((taken, 2), np.int64)
        np.add(chain.position[:taken], self._offset, out=spans[:, 0])
        np.add(chain.length[:taken], OVERHEAD, out=spans[:, 1])
        if len(unread) or len(several.ordinals):
            single = np.flatnonzero(columns.tag[:taken] >= 0)
            if len(several.ordinals) or points.tag:
                of_several = several.ordinals[: np.searchsorted(several.ordinals, taken)]
                of_points = np.concatenate([single, of_several, np.array(ordinals, np.intp)])
                parts = [columns.at(single), several.columns.at(np.arange(len(of_several))), points.columns()]
                columns = Columns.joined(parts).at(np.argsort(of_points, kind="stable"))
                holds_points = np.zeros(taken, np.bool_)
                holds_points[of_points] = True
                spans = spans[holds_points]
            else:
                rows = _run(single)
                columns, spans = columns.at(rows), spans[rows]
        self._columns.append(columns)
        self._spans.append(spans)
        return stop

    def _read_record(self, position: int, length: int, points: Points) -> int | None:
        """Read one record with protobuf. Returns a tag's number if a point of that tag is all that it holds."""
        offset, size = self._offset + position, OVERHEAD + length
        try:
            meaning = read_event(bytes(self._view[position + HEADER : position + HEADER + length]))
        except NotAnEventError:
            self._skipped.append(Skip(offset, size, NOT_AN_EVENT))
            return None
        step, wall_time = meaning.step, meaning.wall_time
        for tag, value in meaning.points:
            points.tag.append(self._tags.number(tag))
            points.step.append(step)
            points.wall_time.append(wall_time)
            points.value.append(value)
        if meaning.points:
            points.records += (offset, size)
        for tag, plugin in meaning.summaries:
            self._summaries.append(Summary(tag, plugin, step, wall_time, offset, size))
        if meaning.session_start:
            self._session_starts.append((step, wall_time))
        return points.tag[-1] if len(meaning.points) == 1 and not meaning.summaries else None

    def pass_over(self, skipped: Iterable[Skip]) -> None:
        """Note stretches (their offsets are in the view) that were passed over."""
        self._skipped += [Skip(self._offset + each.offset, each.length, each.reason) for each in skipped]

    def _keep_points(self) -> None:
        """Move the points that came one by one into the columns."""
        if self._points.tag:
            self._columns.append(self._points.columns())
            self._spans.append(self._points.spans())
            self._points = Points()

    def batch(self, stop: int, pending: Pending) -> Batch:
        """Return everything as a Batch that ends at `stop` (an offset in the view)."""
        names = self._tags.names
        if not self._columns:  # as for a few records at the end of a file: quick to begin with
            scalars, spans = _few_scalars(self._points, names), self._points.spans()
        else:
            self._keep_points()
            scalars, spans = _scalars(Columns.joined(self._columns), names), np.concatenate(self._spans)
        return Batch(
            self._offset,
            self._offset + stop,
            self._records,
            scalars,
            spans,
            tuple(self._summaries),
            tuple(sorted(self._skipped, key=lambda skip: skip.offset)) if self._skipped else (),
            pending,
            tuple(self._session_starts),
        )


def _run(rows: NDArray[np.intp]) -> NDArray[np.intp] | slice:
    """Return the same rows in a form that takes no copying if they follow each other."""
    if len(rows) and int(rows[-1]) - int(rows[0]) + 1 == len(rows):
        return slice(int(rows[0]), int(rows[-1]) + 1)
    return rows


def _few_scalars(points: Points, names: list[str]) -> Scalars:
    """Do what `_scalars` does, for points that came one by one."""
    used = sorted(set(points.tag), key=names.__getitem__)
    number = {tag: place for place, tag in enumerate(used)}
    columns = points.columns([number[tag] for tag in points.tag])
    return Scalars(tuple([names[tag] for tag in used]), *columns)


def _scalars(columns: Columns, names: list[str]) -> Scalars:
    """Number the tags anew: only those that occur, sorted by name."""
    used = np.flatnonzero(np.bincount(columns.tag)).tolist()
    used.sort(key=names.__getitem__)
    renumbered = np.empty(len(names), np.int32)
    renumbered[used] = np.arange(len(used), dtype=np.int32)
    return Scalars(
        tuple(names[number] for number in used),
        renumbered[columns.tag],
        columns.step,
        columns.wall_time,
        columns.value,
    )
