"""What the panel of a run's page is sent: snapshots, then deltas, as the recorder sends them to a notebook.

The points may be recorded through another replica, so everything is read from the store, when its marks say that the run changed.
All viewers of a run share one log of messages: to serve one more costs what sending costs.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import struct
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from runcast.errors import RunNotFound, StoreError
from runcast.run.channel import pack
from runcast.run.record import CONSOLE, OWN_ROOT
from runcast.store.frames import (
    MOST_FILES,
    PIECE,
    SCALARS,
    TIRED,
    WHOLE,
    buffers,
    describe,
    file_json,
    read_whole,
    run_json,
)
from runcast.store.protocol import Points

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Iterator

    from runcast.server.service import Service
    from runcast.store.protocol import SeriesRecord, Store

    Key = tuple[str, str, str]
    """(root, source, tag)"""

__all__ = ["Frames"]

log = logging.getLogger(__name__)

INTERVAL = 0.2
"""Seconds between two looks at a run, at least."""

SHARE = 0.2
"""The part of a thread that looking at one run may take: a look of t seconds is followed by t / SHARE of rest."""

LOOKS = 4
"""Runs that are looked at at once."""

LOOK_ANYWAY = 20.0
"""Seconds after which a run is looked at without a mark: without a heartbeat it crashes, and nothing is written."""

ALIVE = 5.0
"""Seconds of silence after which a message that says nothing shows viewers, and proxies between, that the stream lives."""

ALIVE_MESSAGE = pack({"kind": "alive", "v": 1})

LONGEST = 1 << 20
"""Bytes of deltas after which a log is begun anew, if they are also more than the snapshots before them."""

MOST_HEADS = 200
"""Series in one snapshot: of thousands the first are shown while the others are read."""

MOST_POINTS, FEWEST = 1_000_000, 400
"""Points that a run's snapshots hold together, about, and of each series at least."""


@dataclass
class _Line:
    """How far a series is in the log."""

    count: int
    last_step: int
    wall_time: float
    value: float
    seen: tuple[int, int, float]
    """What the index said of the series: count, last step and last wall time."""
    sent: int


@dataclass(eq=False)
class _Log:
    """Messages in order: `begun` of them are snapshots of what an earlier log held, the rest is new."""

    epoch: int = 0
    messages: list[bytes] = field(default_factory=list)
    begun: int = 0
    size: int = 0
    begun_size: int = 0


class _Run:
    """One run's log. `look` belongs to one thread at a time; `tell` is called whenever there is more, from that thread.

    A viewer who has read a log to its end when it is begun anew goes on behind the snapshots, which repeat what it has. One who
    is further behind starts with them: a stalled viewer misses deltas and no points.
    """

    def __init__(self, store: Store, run: str, tell: Callable[[], None]) -> None:
        self.log = _Log()
        self.facts = b""
        """The newest `run` message."""
        self._store = store
        self._run = run
        self._tell = tell
        self._lines: dict[Key, _Line] = {}

    def look(self) -> None:
        """Append what has come since the last look. Raises what the store raises."""
        series = [each for each in self._store.series(self._run) if each.plugin == SCALARS]
        facts = self._facts(series)
        if facts != self.facts:
            self.facts = facts
            self._tell()
        self._append_points(series)
        if self.log.size > max(LONGEST, self.log.begun_size):
            self._begin_anew(series)

    def _append_points(self, series: list[SeriesRecord]) -> None:
        grown: list[tuple[SeriesRecord, Points]] = []
        whole: list[SeriesRecord] = []
        for each in series:
            key = each.root, each.source, each.tag
            line = self._lines.get(key)
            if line is not None and line.seen == (each.count, each.last_step, each.last_wall_time):
                continue
            points = None if line is None else self._after(line, each)
            if line is None or points is None:
                whole.append(each)
            elif len(points.step):
                grown.append((each, points))
                self._lines[key] = _line(each, points, line.sent + len(points.step))
        if grown:
            heads = [{"id": each.id, "n": len(points.step)} for each, points in grown]
            columns = [points for _, points in grown]
            self._append(pack({"kind": "delta", "v": 1, "series": heads}, buffers(columns)))
        for message in self._snapshots(whole):
            self._append(message)

    def _after(self, line: _Line, series: SeriesRecord) -> Points | None:
        """Return the points after a line's last one; None if they are not just more, or so many that a page gets tired."""
        if series.last_step < line.last_step or line.sent > TIRED:
            return None
        steps = line.last_step, series.last_step
        points = self._store.points(self._run, series.root, series.source, series.tag, step_range=steps)
        known = int(np.searchsorted(points.step, line.last_step, side="right"))
        # A restart takes back the last point that is known, whatever else it takes back.
        same = known > 0 and (points.wall_time[known - 1], _bits(points.value[known - 1])) == (
            line.wall_time,
            _bits(line.value),
        )
        if not same or line.count + len(points.step) - known != series.count:
            return None
        return Points(points.step[known:], points.wall_time[known:], points.value[known:])

    def _snapshots(self, series: list[SeriesRecord], *, known: bool = False) -> Iterator[bytes]:
        """Yield whole series as messages; with `known`, as far as the log has them already, which then stays as it is."""
        most = min(WHOLE, max(FEWEST, MOST_POINTS // max(1, len(self._lines) + len(series))))
        heads: list[dict[str, Any]] = []
        columns: list[Points] = []
        held = 0
        for each in series:
            key = each.root, each.source, each.tag
            until = self._lines[key].last_step if known else each.last_step
            points = read_whole(self._store, self._run, each, until=until, most=most)
            if not len(points.step):
                continue
            heads.append(describe(each, len(points.step)))
            columns.append(points)
            if not known:
                self._lines[key] = _line(each, points, len(points.step))
            held += len(points.step)
            if held >= PIECE or len(heads) >= MOST_HEADS:
                yield pack({"kind": "snapshot", "v": 1, "series": heads}, buffers(columns))
                heads, columns, held = [], [], 0
        if heads:
            yield pack({"kind": "snapshot", "v": 1, "series": heads}, buffers(columns))

    def _append(self, message: bytes) -> None:
        self.log.messages.append(message)
        self.log.size += len(message)
        self._tell()

    def _begin_anew(self, series: list[SeriesRecord]) -> None:
        known = [each for each in series if (each.root, each.source, each.tag) in self._lines]
        messages = list(self._snapshots(known, known=True))
        size = sum(len(message) for message in messages)
        self.log = _Log(self.log.epoch + 1, messages, len(messages), begun_size=size)
        self._tell()

    def _facts(self, series: list[SeriesRecord]) -> bytes:
        measured = [each for each in series if (each.root, each.source) != (OWN_ROOT, "system")]
        run = self._store.run(self._run)
        said = {
            "run": {**run_json(run), "heartbeat": run.heartbeat},
            "points": sum(each.count for each in measured),
            "updated": max((each.last_wall_time for each in measured), default=None),
            "files": self._files(),
            "tensorboard": None,
        }
        return pack({"kind": "run", "v": 1, **said})

    def _files(self) -> list[dict[str, Any]]:
        """Return the console, for whose growth its tab waits, and the files that have a source."""
        files = self._store.files(self._run)
        console = [{**file_json(file), "size": None} for file in files if file.path == CONSOLE]
        watched = [file_json(file) for file in files if file.source_path and file.path != CONSOLE]
        return (console + watched)[:MOST_FILES]


def _line(series: SeriesRecord, points: Points, sent: int) -> _Line:
    seen = series.count, series.last_step, series.last_wall_time
    last = int(points.step[-1]), float(points.wall_time[-1]), float(points.value[-1])
    return _Line(series.count, *last, seen=seen, sent=sent)


def _bits(value: float) -> bytes:
    return struct.pack("<d", value)


class Frames:
    """The messages of runs for whoever looks at them; a run that nobody looks at costs nothing.

    It belongs to the event loop.
    """

    def __init__(self, service: Service) -> None:
        self._service = service
        self._runs: dict[str, _Watched] = {}
        self._looks = asyncio.Semaphore(LOOKS)

    @property
    def viewers(self) -> int:
        """How many are looking."""
        return sum(watched.viewers for watched in self._runs.values())

    async def of(self, run: str) -> AsyncGenerator[bytes, None]:
        """Yield the run's messages, packed, as long as it exists; in silence now and then one that says nothing."""
        watched = self._runs.get(run)
        if watched is None:
            watched = self._runs[run] = _Watched(self._service.store, run)
            watched.task = asyncio.create_task(self._follow(run, watched))
        watched.viewers += 1
        try:
            async with contextlib.aclosing(watched.messages()) as messages:
                async for message in messages:
                    yield message
        finally:
            watched.viewers -= 1
            if not watched.viewers:
                self._end(run, watched)

    def wake_all(self) -> None:
        """Send every viewer a message that says nothing, for its stream to find out whether it is to end."""
        for watched in self._runs.values():
            watched.wakes += 1
            watched.tell()

    def close(self) -> None:
        """End every stream."""
        for run, watched in list(self._runs.items()):
            self._end(run, watched)

    def _end(self, run: str, watched: _Watched) -> None:
        if self._runs.get(run) is watched:
            del self._runs[run]
        if watched.task is not None:
            watched.task.cancel()
        watched.ended = True
        watched.tell()

    async def _follow(self, run: str, watched: _Watched) -> None:
        async with self._service.feed.follow_run(run) as changes:
            while await self._look(run, watched):
                await changes.wait(LOOK_ANYWAY)
                changes.take()
        self._end(run, watched)

    async def _look(self, run: str, watched: _Watched) -> bool:
        """Look at a run and rest; say whether it is still there."""
        async with self._looks:
            started = time.monotonic()
            try:
                await self._service.call(watched.run.look)
            except RunNotFound:
                return False
            except StoreError as error:
                log.warning("the viewers of run %s wait: %s", run, error)
            spent = time.monotonic() - started
        await asyncio.sleep(max(INTERVAL, spent / SHARE))
        return True


class _Watched:
    """A run that somebody looks at."""

    def __init__(self, store: Store, run: str) -> None:
        self.run = _Run(store, run, self._tell_from_thread)
        self._loop = asyncio.get_running_loop()
        self.viewers = self.wakes = 0
        self.ended = False
        self.task: asyncio.Task[None] | None = None
        self._news = asyncio.Event()

    def tell(self) -> None:
        """Wake everyone who waits for news."""
        self._news.set()
        self._news = asyncio.Event()

    def _tell_from_thread(self) -> None:
        self._loop.call_soon_threadsafe(self.tell)

    async def messages(self) -> AsyncGenerator[bytes, None]:
        """Yield what a viewer who comes now is sent, until the run is gone."""
        mine, at, facts, wakes = self.run.log, 0, b"", self.wakes
        while not self.ended:
            news, newest = self._news, self.run.log
            if self.run.facts != facts:
                facts = self.run.facts
                yield facts
            elif newest.epoch > mine.epoch + 1:
                mine, at = newest, 0
            elif at < len(mine.messages):
                at += 1
                yield mine.messages[at - 1]
            elif newest is not mine:
                mine, at = newest, newest.begun
            elif wakes != self.wakes:
                wakes = self.wakes
                yield ALIVE_MESSAGE
            else:
                try:
                    await asyncio.wait_for(news.wait(), ALIVE)
                except asyncio.TimeoutError:
                    yield ALIVE_MESSAGE
