"""The panel's points: what the recorder indexes, packed into frames, a few times a second."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from runcast.store.frames import PIECE, SCALARS, TIRED, buffers, describe, read_whole
from runcast.store.protocol import Points

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

    from runcast.events import Scalars
    from runcast.recorder.channel import Outbox
    from runcast.store.protocol import Store

    Key = tuple[str, str, str]
    """(root, source, tag)"""

__all__ = ["Feed"]

INTERVAL = 0.2
"""Seconds between two frames, at least."""

SHARE = 0.1
"""The part of the recorder's time that frames may take: one that took t seconds is followed by t / SHARE of rest."""


@dataclass
class _Line:
    """One series as the page knows it."""

    id: int | None = None
    stale: bool = True
    """The page must be sent the series as a whole: it has never seen it, missed something, or a restart took points back."""
    last_step: int | None = None
    sent: int = 0
    waiting: list[Points] = field(default_factory=list)


class Feed:
    """Sends frames of one run to one panel, all series first. Used by one thread.

    Points go out as deltas while their series goes forward. A series that is new, restarted, too long to go on with, or that
    lost a delta because the training process did not read, is sent as a snapshot from the store, which then is the truth.
    """

    def __init__(
        self, run: str, uid: str, outbox: Outbox, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.uid = uid
        self._run = run
        self._outbox = outbox
        self._clock = clock
        self._seq = 0
        self._next = 0.0
        self._all = True
        self._lines: dict[Key, _Line] = {}

    def resend(self) -> None:
        """Send all series as a whole again."""
        self._all = True
        for line in self._lines.values():
            _spoil(line)

    def add(self, root: str, source: str, scalars: Scalars) -> None:
        """Take in points that the store has indexed."""
        for tag, points in _by_tag(scalars):
            line = self._lines.get((root, source, tag))
            if line is None:
                line = self._lines[root, source, tag] = _Line()
            if not line.stale:
                self._extend(line, points)

    def due(self, now: float) -> float | None:
        """Return in how many seconds there is something to send; None while there is nothing."""
        if not (self._all or any(line.stale or line.waiting for line in self._lines.values())):
            return None
        return max(0.0, self._next - now)

    def send(self, store: Store, *, at_once: bool = False) -> None:
        """Send what is due; with `at_once`, all there is, whenever the last frame went. Raises what the store raises.

        What finds no room in the outbox is sent later, and then as a snapshot.
        """
        while (wait := self.due(self._clock())) is not None and (wait == 0.0 or at_once):
            started = self._clock()
            sent = self._send_snapshot(store) + self._send_delta()
            self._next = self._clock() + max(sent * INTERVAL, INTERVAL, (self._clock() - started) / SHARE)
            if not sent:
                return

    def stamp(self, kind: str) -> dict[str, Any]:
        """Return the beginning of a frame's header, numbered."""
        self._seq += 1
        return {"kind": kind, "v": 1, "uid": self.uid, "seq": self._seq}

    def _extend(self, line: _Line, points: Points) -> None:
        forward = bool(np.all(points.step[1:] > points.step[:-1]))
        if not forward or (line.last_step is not None and points.step[0] <= line.last_step):
            _spoil(line)
            return
        line.waiting.append(points)
        line.last_step = int(points.step[-1])
        line.sent += len(points.step)
        if line.sent > TIRED:
            _spoil(line)

    def _send_snapshot(self, store: Store) -> int:
        """Send stale series, as many as one message takes; return how many messages that were."""
        if not (self._all or any(line.stale for line in self._lines.values())) or not self._outbox.room:
            return 0
        headers: list[dict[str, Any]] = []
        columns: list[Points] = []
        lines: list[_Line] = []
        known: set[Key] = set()
        room = PIECE
        for series in store.series(self._run):
            if series.plugin != SCALARS:
                continue
            key = series.root, series.source, series.tag
            known.add(key)
            line = self._lines.setdefault(key, _Line())
            if line.stale and room > 0:
                points = read_whole(store, self._run, series)
                line.id = series.id
                line.last_step = int(points.step[-1]) if len(points.step) else None
                line.sent = len(points.step)
                room -= line.sent
                headers.append(describe(series, line.sent))
                columns.append(points)
                lines.append(line)
        self._all = False
        for key in [key for key, line in self._lines.items() if line.stale and key not in known]:
            del self._lines[key]  # the index has no points of it any more
        if not headers or not self._outbox.offer(
            {**self.stamp("snapshot"), "series": headers}, buffers(columns)
        ):
            return 0
        for line in lines:
            line.stale = False
        return 1

    def _send_delta(self) -> int:
        """Send what has come since; return how many messages that were."""
        lines = [line for line in self._lines.values() if line.waiting]
        if not lines:
            return 0
        headers = [{"id": line.id, "n": sum(len(points.step) for points in line.waiting)} for line in lines]
        columns = [points for line in lines for points in line.waiting]
        taken = self._outbox.room and self._outbox.offer(
            {**self.stamp("delta"), "series": headers}, buffers(columns)
        )
        for line in lines:
            line.waiting = []
            line.stale = not taken
        return int(taken)


def _spoil(line: _Line) -> None:
    line.stale = True
    line.waiting = []


def _by_tag(scalars: Scalars) -> Iterator[tuple[str, Points]]:
    """Yield each tag's points, in file order."""

    def rows(which: NDArray[np.int64]) -> Points:
        return Points(scalars.step[which], scalars.wall_time[which], scalars.value[which])

    if not len(scalars.tag):
        return
    order = np.argsort(scalars.tag, kind="stable")
    ordered = scalars.tag[order]
    cuts = np.flatnonzero(ordered[1:] != ordered[:-1]) + 1
    for which in np.split(order, cuts):
        yield scalars.tags[scalars.tag[which[0]]], rows(which)
