"""Bytes of an event file in, typed points and pointers out: the engine's one door."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from runcast.events.batch import Batch, Scalars, Skip, Summary
from runcast.events.framing import BAD_CHECKSUM, HEADER, OVERHEAD, Resync, payload_verified, walk
from runcast.events.meaning import NotAnEventError, read_event

if TYPE_CHECKING:
    from runcast.events.batch import Pending
    from runcast.events.framing import Chain

__all__ = ["Decoder"]

NOT_AN_EVENT = "the record holds no Event"


class Decoder:
    """Decodes stretches of event files.

    It keeps nothing about any file, only what it learned about the shape of records; so one decoder serves any number of
    files, in any order, and the answer depends on the arguments alone. Not thread-safe.
    """

    def decode(self, data: bytes | memoryview, offset: int = 0, *, skip: bool = False) -> Batch:
        """Decode the whole, verified records at the start of `data`, which begins at file offset `offset`, a record boundary.

        Stops before the first bytes that are incomplete or fail verification; `Batch.pending` says which. Asking again with
        more bytes from `Batch.stop` on continues. With `skip`, bytes that fail verification are passed over and listed in
        `Batch.skipped`, but only where a verified record follows them in `data`: what may still be growing is never passed
        over. A verified record that holds no Event is always passed over, since waiting would not mend it.

        Never raises, whatever the bytes are, and takes time linear in their number.
        """
        view = memoryview(data).cast("B")
        reading = _Reading(offset)
        resync = Resync(view)
        position = 0
        while True:
            chain = walk(view, position)
            position, pending = reading.take(view, chain, skip=skip)
            if not (skip and pending in {"checksum", "framing"}):
                break
            resumed = resync.resume(position)
            if resumed is None:
                break
            skipped, position = resumed
            reading.skipped += [Skip(offset + each.offset, each.length, each.reason) for each in skipped]
        return reading.batch(position, pending)


class _Reading:
    """What has been decoded so far in one call."""

    def __init__(self, offset: int) -> None:
        self.offset = offset
        self.records = 0
        self.tags: dict[str, int] = {}
        self.points: list[tuple[int, int, float, float]] = []
        self.scalar_records: list[tuple[int, int]] = []
        self.summaries: list[Summary] = []
        self.skipped: list[Skip] = []
        self.session_starts: list[tuple[int, float]] = []

    def take(self, view: memoryview, chain: Chain, *, skip: bool) -> tuple[int, Pending]:
        """Decode a chain's records up to the first wrong one, or to the last right one: where that ends, and why."""
        bad: list[tuple[int, int]] = []
        for position, length in zip(chain.position.tolist(), chain.length.tolist(), strict=True):
            if not payload_verified(view, position, length):
                bad.append((position, length))
                if not skip:
                    break
                continue
            if bad:
                self.skipped += [Skip(self.offset + p, OVERHEAD + n, BAD_CHECKSUM) for p, n in bad]
                bad.clear()
            self._read(position, length, bytes(view[position + HEADER : position + HEADER + length]))
        return (bad[0][0], "checksum") if bad else (chain.stop, chain.pending)

    def _read(self, position: int, length: int, payload: bytes) -> None:
        self.records += 1
        at, size = self.offset + position, OVERHEAD + length
        try:
            step, wall_time, points, summaries, session_start = read_event(payload)
        except NotAnEventError:
            self.skipped.append(Skip(at, size, NOT_AN_EVENT))
            return
        for tag, value in points:
            self.points.append((self.tags.setdefault(tag, len(self.tags)), step, wall_time, value))
        if points:
            self.scalar_records.append((at, size))
        self.summaries += [Summary(tag, plugin, step, wall_time, at, size) for tag, plugin in summaries]
        if session_start:
            self.session_starts.append((step, wall_time))

    def batch(self, stop: int, pending: Pending) -> Batch:
        """Return everything as a Batch."""
        tag, step, wall_time, value = zip(*self.points, strict=True) if self.points else ((), (), (), ())
        return Batch(
            start=self.offset,
            stop=self.offset + stop,
            records=self.records,
            scalars=Scalars(
                tuple(self.tags),
                np.array(tag, np.int32),
                np.array(step, np.int64),
                np.array(wall_time, np.float64),
                np.array(value, np.float64),
            ),
            scalar_records=np.array(self.scalar_records, np.int64).reshape(-1, 2),
            summaries=tuple(self.summaries),
            skipped=tuple(self.skipped),
            pending=pending,
            session_starts=tuple(self.session_starts),
        )
