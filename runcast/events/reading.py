"""What one call of `Decoder.decode` has read so far, chain by chain."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from runcast.events.batch import Batch, Scalars, Skip, Summary
from runcast.events.framing import HEADER, OVERHEAD, payload_verified
from runcast.events.meaning import NotAnEventError, read_event
from runcast.events.resync import BAD_CHECKSUM
from runcast.events.scalars import NOT_READ, Columns

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

    from runcast.events.batch import Pending
    from runcast.events.framing import Chain
    from runcast.events.scalars import TagTable

__all__ = ["NOT_AN_EVENT", "Reading"]

NOT_AN_EVENT = "the record holds no Event"


class _Point(NamedTuple):
    ordinal: int
    tag: int
    step: int
    wall_time: float
    value: float


class Reading:
    """Gathers records of `view`, which begins at file offset `offset`, into a Batch."""

    def __init__(self, view: memoryview, offset: int, tags: TagTable) -> None:
        self._view = view
        self._offset = offset
        self._tags = tags
        self._records = 0
        self._columns: list[Columns] = []
        self._spans: list[NDArray[np.int64]] = []
        self._summaries: list[Summary] = []
        self._skipped: list[Skip] = []
        self._session_starts: list[tuple[int, float]] = []

    def take(self, chain: Chain, columns: Columns | None, *, skip: bool) -> int | None:
        """Take a chain's records; `columns` holds those that are read and verified already.

        Stops before the first record whose payload fails verification; with `skip`, before the first that has no verified
        record behind it in the chain. Returns where that is, None if the whole chain was taken.
        """
        taken = len(chain.position)
        unread = range(taken) if columns is None else np.flatnonzero(columns.tag == NOT_READ).tolist()
        points, wrong = self._read_one_by_one(chain, unread, stop_at_wrong=not skip)
        if skip:
            while wrong and wrong[-1] == taken - 1:
                taken = wrong.pop()
            self.pass_over(_span(chain, ordinal) for ordinal in wrong)
        elif wrong:
            taken = wrong.pop()
        self._records += taken - len(wrong)
        self._keep(chain, taken, columns, points)
        return int(chain.position[taken]) if taken < len(chain.position) else None

    def _read_one_by_one(
        self, chain: Chain, ordinals: Iterable[int], *, stop_at_wrong: bool
    ) -> tuple[list[_Point], list[int]]:
        """Read records with protobuf: their points, and which of them fail verification."""
        points: list[_Point] = []
        wrong: list[int] = []
        positions, lengths = chain.position, chain.length
        for ordinal in ordinals:
            position, length = int(positions[ordinal]), int(lengths[ordinal])
            if payload_verified(self._view, position, length):
                points += self._read_record(ordinal, position, length)
                continue
            wrong.append(ordinal)
            if stop_at_wrong:
                break
        return points, wrong

    def _read_record(self, ordinal: int, position: int, length: int) -> list[_Point]:
        offset, size = self._offset + position, OVERHEAD + length
        try:
            meaning = read_event(bytes(self._view[position + HEADER : position + HEADER + length]))
        except NotAnEventError:
            self._skipped.append(Skip(offset, size, NOT_AN_EVENT))
            return []
        step, wall_time = meaning.step, meaning.wall_time
        self._summaries += [
            Summary(tag, plugin, step, wall_time, offset, size) for tag, plugin in meaning.summaries
        ]
        if meaning.session_start:
            self._session_starts.append((step, wall_time))
        return [
            _Point(ordinal, self._tags.number(tag), step, wall_time, value) for tag, value in meaning.points
        ]

    def pass_over(self, skipped: Iterable[Skip]) -> None:
        """Note stretches (their offsets are in the view) that were passed over."""
        self._skipped += [Skip(self._offset + each.offset, each.length, each.reason) for each in skipped]

    def _keep(self, chain: Chain, taken: int, columns: Columns | None, points: list[_Point]) -> None:
        """Keep the points of the first `taken` records, in file order."""
        ordinals: list[NDArray[np.intp]] = []
        parts: list[Columns] = []
        if columns is not None:
            read = np.flatnonzero(columns.tag[:taken] != NOT_READ)
            ordinals.append(read)
            parts.append(columns if len(read) == len(columns.tag) else columns.at(read))
        if points:
            ordinals.append(np.array([point.ordinal for point in points]))
            parts.append(_as_columns(points))
        if not parts:
            return
        of_record, kept = ordinals[0], parts[0]
        if len(parts) > 1:
            of_record = np.concatenate(ordinals)
            in_order = np.argsort(of_record, kind="stable")
            of_record, kept = of_record[in_order], Columns.joined(parts).at(in_order)
        self._columns.append(kept)
        if points:
            of_record = np.flatnonzero(np.bincount(of_record))  # one record may hold several points
        spans = np.empty((len(of_record), 2), np.int64)
        spans[:, 0] = chain.position[of_record] + self._offset
        spans[:, 1] = chain.length[of_record] + OVERHEAD
        self._spans.append(spans)

    def batch(self, stop: int, pending: Pending) -> Batch:
        """Return everything as a Batch that ends at `stop` (an offset in the view)."""
        return Batch(
            start=self._offset,
            stop=self._offset + stop,
            records=self._records,
            scalars=_as_scalars(Columns.joined(self._columns), self._tags.names),
            scalar_records=np.concatenate([np.empty((0, 2), np.int64), *self._spans]),
            summaries=tuple(self._summaries),
            skipped=tuple(sorted(self._skipped, key=lambda skip: skip.offset)),
            pending=pending,
            session_starts=tuple(self._session_starts),
        )


def _span(chain: Chain, ordinal: int) -> Skip:
    return Skip(int(chain.position[ordinal]), OVERHEAD + int(chain.length[ordinal]), BAD_CHECKSUM)


def _as_columns(points: list[_Point]) -> Columns:
    return Columns(
        np.array([point.tag for point in points], np.int32),
        np.array([point.step for point in points], np.int64),
        np.array([point.wall_time for point in points], np.float64),
        np.array([point.value for point in points], np.float64),
    )


def _as_scalars(columns: Columns, names: list[str]) -> Scalars:
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
