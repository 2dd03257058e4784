"""From the tail into objects: what has come to a file's end becomes a segment, which never changes."""

from __future__ import annotations

import logging
import random
import threading
from typing import TYPE_CHECKING, Any, NamedTuple

from sqlalchemy import bindparam, func, select

from runcast.errors import StoreError
from runcast.store import schema
from runcast.store.places import STORE_JOURNAL
from runcast.store.places.bucket import JOURNAL_FILE
from runcast.store.places.listing import segment_name

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from runcast.store.places.bucket import BucketFiles

__all__ = ["QUIET", "SEGMENT", "Sealer"]

log = logging.getLogger(__name__)

SEGMENT = 8 << 20
"""Segments end at multiples of this, but for those of a file that does not grow."""

QUIET = 600.0
"""Seconds without growth after which a file's tail is sealed, whatever its length."""

SWEEP = 10.0
"""Seconds between looks for tails to seal."""

SLOWEST = 300.0
"""Seconds until the next try, at most, where the bucket fails."""

_file = schema.file.c
_run = schema.run.c
_tail = schema.tail.c

_TAILS = (
    select(
        _tail.run,
        _tail.file,
        func.min(_tail.start).label("start"),
        func.max(_tail.stop).label("stop"),
        func.max(_tail.time).label("time"),
        _run.ended,
    )
    .join(schema.run, _run.id == _tail.run)
    .group_by(_tail.run, _tail.file, _run.ended)
)
_PATH = select(_file.path).where(_file.run == bindparam("of_run"), _file.id == bindparam("of_file"))
_LOCK = select(_run.id).where(_run.id == bindparam("of_run")).with_for_update()
_PIECES = (
    select(_tail.start, _tail.stop, _tail.data)
    .where(
        _tail.run == bindparam("of_run"), _tail.file == bindparam("of_file"), _tail.start < bindparam("to")
    )
    .order_by(_tail.start)
)
_ENDS = (
    select(_tail.start, _tail.stop, _tail.time)
    .where(
        _tail.run == bindparam("of_run"), _tail.file == bindparam("of_file"), _tail.start < bindparam("to")
    )
    .order_by(_tail.start)
)
_DATA = select(_tail.data).where(
    _tail.run == bindparam("of_run"), _tail.file == bindparam("of_file"), _tail.start == bindparam("at")
)
_SEALED = schema.tail.delete().where(
    _tail.run == bindparam("of_run"), _tail.file == bindparam("of_file"), _tail.start < bindparam("to")
)


class _Tail(NamedTuple):
    """Bytes [start, stop) of a file that are in the database only."""

    run: str
    file: int
    start: int
    stop: int


class Sealer:
    """Seals tails, in a thread of its own once it is started.

    Any number of processes may seal at once: where a segment begins and ends follows from the file alone, so they make the same
    objects, and whoever comes second finds the work done. A process may die between any two steps: the object is made before
    it is noted, and noted in the transaction that drops its bytes from the tail. While the bucket fails, tails stay where they
    are, and it is tried again, less and less often.
    """

    def __init__(self, files: BucketFiles) -> None:
        self._files = files
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self._refused: set[str] = set()

    def start(self) -> None:
        """Begin to seal what is due, every `SWEEP` seconds; harmless when it has begun."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._work, name="sealing", daemon=True)
            self._thread.start()

    def close(self) -> None:
        """Stop, after what is being sealed now."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join()

    def sweep(self, *, everything: bool = False) -> int:
        """Seal what is due, or all that there is, and return how many segments that made. Raises `StoreError`."""
        now = self._files.clock()
        with self._files.database.read() as connection:
            tails = list(connection.execute(_TAILS))
        random.shuffle(tails)  # so that replicas do not all begin with the same
        sealed = 0
        for tail in tails:
            at_end = everything or tail.ended is not None or now - tail.time >= QUIET
            start = tail.start
            while (stop := _next_end(start, tail.stop, at_end=at_end)) > start:
                if self._stop.is_set() or not self._seal(_Tail(tail.run, tail.file, start, stop)):
                    break
                sealed += 1
                start = stop
        return sealed

    def _work(self) -> None:
        pause = SWEEP
        while not self._stop.wait(pause * random.uniform(0.7, 1.3)):  # noqa: S311 - no secret
            pause = SWEEP if self._sweeps() else min(SLOWEST, 2 * pause)

    def _sweeps(self) -> bool:
        try:
            self.sweep()
        except StoreError as error:
            log.warning("what was appended stays in the database for now: %s", error)
            return False
        except Exception:
            log.exception("sealing failed; it is tried again")
            return False
        return True

    def _seal(self, tail: _Tail) -> bool:
        """Make a segment of bytes, and say whether it is one now (somebody else may have been faster, or the run be gone)."""
        run, file, start, stop = tail
        wanted = {"of_run": run, "of_file": file, "to": stop}
        with self._files.database.read() as connection:
            path = STORE_JOURNAL if file == JOURNAL_FILE else connection.scalar(_PATH, wanted)
            data = _bytes(connection, tail)
        if path is None or data is None:
            return False
        name = segment_name(run, path, start, stop)
        if (
            not self._files.objects.create(name, data)
            and self._files.objects.read(name, 0, stop - start) != data
        ):
            if name not in self._refused:
                self._refused.add(name)
                log.error(
                    "%s/%s is there with other bytes than the database has, which stay where they are: "
                    "is the bucket another store's too? Give each a prefix of its own",
                    self._files.objects.address,
                    name,
                )
            return False
        with self._files.database.write() as connection:
            known = connection.scalar(_LOCK, wanted) is not None
            rows = connection.execute(_ENDS, wanted).all()
            if known and rows and rows[0].start == start and rows[-1].stop >= stop:
                _drop(connection, tail, rows[-1])
                row = {"run": run, "file": file, "start": start, "stop": stop, "object": name}
                connection.execute(schema.segment.insert(), row)
                return True
        if not known:
            self._files.objects.delete([name])
        return False


def _next_end(start: int, stop: int, *, at_end: bool) -> int:
    """Return where the segment that begins at `start` ends, or `start` if it is not due."""
    boundary = (start // SEGMENT + 1) * SEGMENT
    if stop >= boundary:
        return boundary
    return stop if at_end else start


def _bytes(connection: Connection, tail: _Tail) -> bytes | None:
    """Return the bytes of a tail, None unless it still begins there, without a gap."""
    wanted = {"of_run": tail.run, "of_file": tail.file, "to": tail.stop}
    at = tail.start
    data = bytearray()
    for piece in connection.execute(_PIECES, wanted):
        if piece.start != at:
            return None
        data += piece.data
        at = piece.stop
    return bytes(data[: tail.stop - tail.start]) if at >= tail.stop else None


def _drop(connection: Connection, tail: _Tail, last: Any) -> None:
    """Take bytes out of the tail; what their last piece has beyond them stays."""
    wanted = {"of_run": tail.run, "of_file": tail.file, "to": tail.stop, "at": last.start}
    if last.stop > tail.stop:
        data = bytes(connection.execute(_DATA, wanted).scalar_one())[tail.stop - last.start :]
        row = {"run": tail.run, "file": tail.file, "start": tail.stop, "stop": last.stop, "time": last.time}
        connection.execute(schema.tail.insert(), {**row, "data": data})
    connection.execute(_SEALED, wanted)
