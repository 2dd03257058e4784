"""One file's way into the store: read on from what is recorded, never skip, never double, wait for what is not whole."""

from __future__ import annotations

import logging
import os
import shutil
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from runcast.events.discover import is_event_file
from runcast.recorder.delivery import Delivered, Replaced, ScalarsOnly, Verbatim
from runcast.store.protocol import FileRecord

if TYPE_CHECKING:
    from collections.abc import Hashable, Sequence

    from runcast.events import Batch, Decoder, Skip
    from runcast.recorder.delivery import Appending, Delivery
    from runcast.store.protocol import Store

__all__ = ["CHUNK", "PATIENCE", "Mark", "Pump", "Step"]

CHUNK = 4 << 20
"""Bytes read at once, unless a single record is larger."""

PATIENCE = 30.0
"""Seconds that bytes which fail verification may take to get better: some file systems show a file's size before its bytes."""

RETRY = 1.0
"""Seconds between attempts at a tail that fails verification, or at a source that cannot be read."""

UNVERIFIED = ("checksum", "framing")

_MOST_LOGGED = 100
"""Stretches that were passed over at once of which each gets its own line in the log."""

log = logging.getLogger(__name__)

_BEYOND = 4 << 10
"""Bytes that are read beyond the size that was just looked up: the source may have grown."""

_BINARY = getattr(os, "O_BINARY", 0)


@dataclass(frozen=True, slots=True)
class Step:
    """What came of one step: what the store newly decoded, whether anything was recorded, whether more can be at once."""

    batch: Batch | None = None
    moved: bool = False
    more: bool = False


class Mark(NamedTuple):
    """What tells that a source has changed since it was last looked at."""

    size: int
    mtime_ns: int
    id: Hashable


class Pump:
    """Carries one source into one file of the run. Used by one thread.

    `state` is `recording`; `waiting` (the source is not there yet), `gone`, `unreadable`; `unverified` (bytes at the end fail
    verification and may still get better), `quarantined` (they did not, and were set aside); `replaced` (the source is
    another file now, and goes on under another path). `why` explains all but the first; what was passed over, with its place
    in the source, is told in each state, and `recorder.log` lists it all.
    """

    def __init__(self, origin: str, path: str, *, save: bool, in_place: bool = False) -> None:
        self.origin = origin
        self.path = path
        self._is_event_file = is_event_file(os.path.basename(origin))  # noqa: PTH119  it may be an address
        self.save = save
        self.in_place = in_place
        self.state = "recording"
        self.why = ""
        self.size = 0
        self.skipped = 0
        self.records = 0
        self._damage = ""
        self._delivery: Delivery | None = None
        self._mark: Mark | None = None
        self._rests = False
        self._retry_at = 0.0
        self._chunk = CHUNK
        self._stuck_at = -1
        self._stuck_since = 0.0
        self._unsure = True

    @property
    def recorded(self) -> int:
        """Bytes of the source that are recorded."""
        return self._delivery.cursor if self._delivery is not None else 0

    @property
    def stalled(self) -> bool:
        """Whether nothing more can be recorded of the source as it is now."""
        return self._rests

    @property
    def changed(self) -> float:
        """When the source changed last, in seconds since the epoch; 0 if it has never been seen."""
        return self._mark.mtime_ns / 1e9 if self._mark is not None else 0.0

    def record(self, *, stored: bool = False) -> FileRecord:
        """Return what there is to say of this file; with `stored`, measured by the run's file, where that keeps less."""
        recorded = size = self.recorded
        if stored and self._delivery is not None:
            size = self._delivery.stored
        told = [self.why or ("" if self.save else "of this file only the scalars are kept"), self._damage]
        if self.skipped and not self._damage:  # an earlier recorder passed over it
            told[1] = "damage was passed over: recorder.log says where"
        return FileRecord(
            path=self.path,
            size=size,
            records=self.records,
            skipped=self.skipped,
            source_path=self.origin,
            source_size=self.size - recorded + size,
            state=self.state,
            why="; ".join(filter(None, told)),
        )

    def step(
        self, store: Store, run: str, decoder: Decoder, now: float, *, final: bool = False
    ) -> Appending[Step]:
        """Record the next piece. `now` is a monotonic time; with `final`, bytes that fail verification get no more time.

        Yields what is to be appended, and is sent the answer. When that is an error, throw it in, or close the step: the next
        one tries the same again. When the source turns out to be another file, `state` is `replaced` afterwards.
        """
        mark = self._look(now)
        if mark is None:
            return Step()
        if (
            mark == self._mark
            and self._rests
            and not (final and self.state == "unverified")
            and now < self._retry_at
        ):
            return Step()
        if self._delivery is None:
            self._delivery = (
                Verbatim(store, run, self.path) if self.save else ScalarsOnly(store, run, self.path, decoder)
            )
        try:
            data = self._read(mark, self._delivery, now)
            if data is None:
                return Step()
            return (yield from self._advance(data, self._delivery, mark, now, final=final))
        except Replaced:
            why = f"the file was replaced after {self.recorded} bytes; the new one is recorded beside it"
            self._rest("replaced", why, now)
            return Step(moved=True, more=True)

    def measure(self) -> None:
        """Look up the source's size, for whoever asks while nothing can be recorded."""
        with suppress(OSError):
            self.size = Path(self.origin).stat().st_size

    def set_aside(self, folder: Path) -> None:
        """Copy what could not be recorded of the source to `folder`, for someone to look at. Raises `OSError`."""
        if self.in_place or not self._is_event_file or self.size <= self.recorded:
            return
        copy = folder / f"{self.path}@{self.recorded}"
        if copy.exists() and copy.stat().st_size == self.size - self.recorded:
            return
        copy.parent.mkdir(parents=True, exist_ok=True)
        with Path(self.origin).open("rb") as source, copy.open("wb") as target:
            source.seek(self.recorded)
            shutil.copyfileobj(source, target, CHUNK)

    def _look(self, now: float) -> Mark | None:
        """Return what the source is now; None if it is not there or cannot be looked at."""
        if self.state == "replaced" or (self.state == "unreadable" and now < self._retry_at):
            return None
        try:
            status = os.stat(self.origin)  # noqa: PTH116  hundreds of files, several times a second
        except FileNotFoundError:
            self._unsure = True
            if self._mark is None:
                self._rest("waiting", "the file is not there yet", now)
            else:
                self._rest("gone", "the file is gone; what was recorded of it is kept", now)
            return None
        except OSError as error:
            self._rest("unreadable", f"the file cannot be read ({error.strerror}); trying again", now + RETRY)
            return None
        mark = Mark(status.st_size, status.st_mtime_ns, (status.st_dev, status.st_ino))
        if self._mark is not None and mark.id != self._mark.id:
            self._unsure = True
        self.size = mark.size
        return mark

    def _read(self, mark: Mark, delivery: Delivery, now: float) -> bytes | None:
        """Return the source's next bytes; None if they cannot be read. Raises `Replaced`."""
        rewritten = mark != self._mark and not self._is_event_file
        verify = self._unsure or rewritten or mark.size < delivery.cursor
        head, tail = delivery.ends() if verify else (b"", b"")
        try:
            source = os.open(self.origin, os.O_RDONLY | _BINARY)
            try:
                if verify and not (_has(source, 0, head) and _has(source, delivery.cursor - len(tail), tail)):
                    raise Replaced
                os.lseek(source, delivery.cursor, os.SEEK_SET)
                data = os.read(source, min(self._chunk, max(0, mark.size - delivery.cursor) + _BEYOND))
            finally:
                os.close(source)
        except OSError as error:
            self._rest(
                "unreadable",
                f"the file cannot be read ({error.strerror or error}); trying again",
                now + RETRY,
            )
            return None
        self._unsure = False
        self._mark = mark
        return data

    def _advance(
        self, data: bytes, delivery: Delivery, mark: Mark, now: float, *, final: bool
    ) -> Appending[Step]:
        start = delivery.cursor
        self._rests = False
        delivered = (yield from delivery.deliver(data, final=False)) if data else Delivered()
        stuck = delivery.cursor == start and delivered.pending in UNVERIFIED
        if stuck and self._lost_patience(start, mark, now, final=final):
            delivered = yield from delivery.deliver(data, final=True)
        whole = start + len(data) >= mark.size
        if delivery.cursor != start or delivered.again:
            self._chunk = CHUNK
            self.records += delivered.records
            self._pass_over(delivered.skipped)
            self.state, self.why = "recording", ""
            more = delivered.again or not whole or delivered.pending in UNVERIFIED
            if not more:
                self._settle(delivered.pending, delivery.cursor, mark, now, final=final)
            return Step(delivered.indexed, moved=True, more=more)
        if data and not whole:
            self._chunk *= (
                2  # one record, or one stretch of bytes that are none, is larger than what was read
            )
            return Step(moved=True, more=True)
        self._chunk = CHUNK
        self._settle(delivered.pending, start, mark, now, final=final)
        return Step()

    def _settle(self, pending: str, start: int, mark: Mark, now: float, *, final: bool) -> None:
        """Say what the end of the source is like, now that nothing more can be had of it."""
        if pending not in UNVERIFIED:
            why = "waits for the rest of a record" if pending else ""
            self._rest("recording", why, float("inf"))
            return
        self._unsure = True  # a file that was replaced by a longer one looks like this, too
        left = mark.size - start
        if self._lost_patience(start, mark, now, final=final):
            self._rest(
                "quarantined",
                f"{left} bytes at {start} are no valid record; set aside in quarantine",
                float("inf"),
            )
        else:
            self._rest(
                "unverified", f"{left} bytes at {start} are no valid record (yet); trying again", now + RETRY
            )

    def _pass_over(self, skipped: Sequence[Skip]) -> None:
        """Count what is no verified record and say where in the source it is."""
        self.skipped += len(skipped)
        for skip in skipped[:_MOST_LOGGED]:
            log.warning(
                "%s: %d bytes at %d were passed over: %s", self.origin, skip.length, skip.offset, skip.reason
            )
        if len(skipped) > _MOST_LOGGED:
            log.warning(
                "%s: and %d more, up to %d", self.origin, len(skipped) - _MOST_LOGGED, skipped[-1].offset
            )
        if skipped:
            last = skipped[-1]
            more = f" ({self.skipped} times so far; recorder.log says where)" if self.skipped > 1 else ""
            self._damage = f"{last.length} bytes at {last.offset} were passed over: {last.reason}{more}"

    def _lost_patience(self, start: int, mark: Mark, now: float, *, final: bool) -> bool:
        """Whether bytes that fail verification have had their time."""
        if self._stuck_at != start:
            self._stuck_at, self._stuck_since = start, now
        return final or now - self._stuck_since >= PATIENCE or time.time() - mark.mtime_ns / 1e9 >= PATIENCE

    def _rest(self, state: str, why: str, retry_at: float) -> None:
        self.state, self.why = state, why
        self._rests = True
        self._retry_at = retry_at


def _has(source: int, offset: int, known: bytes) -> bool:
    """Whether the open file `source` has those bytes at an offset."""
    os.lseek(source, offset, os.SEEK_SET)
    return not known or os.read(source, len(known)) == known
