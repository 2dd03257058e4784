"""The write side of `LocalStore`: bytes into files, and what they hold into the index."""

from __future__ import annotations

import logging
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias
from weakref import WeakValueDictionary

from sqlalchemy import select

from runcast.errors import StoreError
from runcast.events.decode import Decoder
from runcast.store import schema
from runcast.store.change import Change, fold_due
from runcast.store.database import is_unreachable
from runcast.store.files import PIECE
from runcast.store.forward import Growth
from runcast.store.history import read_file
from runcast.store.paths import FilePath
from runcast.store.protocol import Appended, OffsetMismatch
from runcast.store.rows import NotConnectedError, Rows
from runcast.store.transactions import MEMORY, Transactions, not_found

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from pathlib import Path

    from runcast.events.batch import Batch
    from runcast.store.database import Database
    from runcast.store.places import RunFiles
    from runcast.store.protocol import Append

__all__ = ["Writer"]

SYNC_INTERVAL = 1.0
"""Seconds for which a file's appends may share one wait for the disk, at least."""

SYNC_SHARE = 0.01
"""The part of the time that may be spent on waiting for the disk, before the interval grows."""

MOST_SYNCING = 0.05
"""Seconds that one group of appends may spend on waiting for the disk; files whose turn does not come are waited for with the next."""

MOST_CURSORS = 100_000
"""Files that are remembered to have been compared with the disk."""

log = logging.getLogger(__name__)

Answer: TypeAlias = "Appended | OffsetMismatch | StoreError"

_run = schema.run.c


@dataclass
class _Cursor:
    """A file that is appended to: its place in the run, and what was last seen of it."""

    place: FilePath
    size: int
    synced_at: float


@dataclass
class _Admitted:
    """An append that goes on where its file ends; `batch` is what it decodes to, None where that is no event file."""

    append: Append
    cursor: _Cursor
    batch: Batch | None = None


@dataclass
class _Arrival:
    """An append whose bytes are in place."""

    number: int
    append: Append
    cursor: _Cursor
    taken: memoryview
    batch: Batch | None
    synced: bool


class _Arrived(NamedTuple):
    """A run's appends: those whose bytes are in place, and the answer to each."""

    arrivals: list[_Arrival]
    answers: list[Answer]


class Writer:
    """Appends to the files of runs; thread-safe. `clock` tells the time of a run's heartbeat, `memory` see `Transactions`."""

    def __init__(
        self, files: RunFiles, database: Database, clock: Callable[[], float], memory: int = MEMORY
    ) -> None:
        self.transactions = Transactions(files, database, clock, memory)
        self._files = files
        self._database = database
        self._clock = clock
        self._decoder = Decoder()
        self._lock = self.transactions.lock
        self._putting: WeakValueDictionary[tuple[str, str], threading.Lock] = WeakValueDictionary()
        self._cursors: dict[tuple[str, str], _Cursor] = {}
        self._sync_cost = 0.0
        self._syncing = 0.0

    def append(self, run: str, appends: Sequence[Append]) -> list[Answer]:
        """See `Store.append_all`."""
        with self._lock:
            self._syncing = 0.0
            admitted = [self._admit(run, each) for each in appends]
            self._decode(each for each in admitted if isinstance(each, _Admitted))
            arrived = self._arrive_all(run, admitted)
            if arrived.arrivals:
                self._index({run: arrived})
        return arrived.answers

    def append_runs(self, appends: Mapping[str, Sequence[Append]]) -> dict[str, list[Answer]]:
        """See `LocalStore.append_runs`."""
        answers: dict[str, list[Answer]] = {}
        admitted: dict[str, list[_Admitted | Answer]] = {}
        arrived: dict[str, _Arrived] = {}
        with self._lock:
            self._syncing = 0.0
            for run, several in appends.items():
                try:
                    admitted[run] = [self._admit(run, each) for each in several]
                except StoreError as error:  # noqa: PERF203 - each run's own
                    answers[run] = [error] * len(several)
            self._decode(
                each for several in admitted.values() for each in several if isinstance(each, _Admitted)
            )
            for run, found in admitted.items():
                arrived[run] = self._arrive_all(run, found)
                answers[run] = arrived[run].answers
            for run, why in self._index_each(
                {run: each for run, each in arrived.items() if each.arrivals}
            ).items():
                for arrival in arrived[run].arrivals:
                    answers[run][arrival.number] = why
        return answers

    def put(self, run: str, path: str, data: bytes | Path) -> int:
        """See `Store.put`. Copying holds up nothing but other copies to the same place."""
        place = FilePath.parse(path)
        if place.grows:
            raise StoreError(f"{path!r} is written by appending to it; it cannot be replaced as a whole")
        with self._database.read() as connection:
            if connection.scalar(select(_run.id).where(_run.id == run)) is None:
                raise not_found(run)
        with self._lock:
            alone = self._putting.setdefault((run, path), threading.Lock())
        with alone:
            new = self._files.replace(run, path, data)
            with self.transactions.changing(run, alive=self._clock()) as change:
                file = change.file(path)
                file.size = file.synced = new.size
                file.unsynced_crc = 0
                change.write(file)
                change.rows.flush()
                new.note(change.connection, file.id)
                self._cursors.pop((run, path), None)
            new.committed()
        return new.size

    def forget(self, run: str) -> None:
        """Forget a run that was deleted."""
        with self._lock:
            self.transactions.forget(run)
            for key in [key for key in self._cursors if key[0] == run]:
                del self._cursors[key]

    def _arrive_all(self, run: str, admitted: Sequence[_Admitted | Answer]) -> _Arrived:
        """Put the bytes of a run's appends in place."""
        arrived = _Arrived([], [])
        for each in admitted:
            if not isinstance(each, _Admitted):
                arrived.answers.append(each)
                continue
            try:
                arrival = self._arrive(run, len(arrived.answers), each)
            except StoreError as error:
                arrived.answers.append(error)
                continue
            if arrival is not None:
                arrived.arrivals.append(arrival)
            arrived.answers.append(Appended(each.append.offset, each.batch))
        return arrived

    def _admit(self, run: str, append: Append) -> _Admitted | Answer:
        """Return the append with the cursor that it moves; the answer where it is not to be taken."""
        try:
            cursor = self._cursor(run, append.path)
        except _Refused as refused:
            return refused.why
        if cursor.place.is_whole:
            return StoreError(f"{append.path!r} is put as a whole; it cannot be appended to")
        if append.offset != cursor.size:
            cursor.size = self._size(run, append.path)
        if append.offset != cursor.size:
            return OffsetMismatch(cursor.size)
        return _Admitted(append, cursor)

    def _decode(self, admitted: Iterable[_Admitted]) -> None:
        """Decode what goes to event files, all of it together where there are many."""
        events = [each for each in admitted if each.cursor.place.is_event_file]
        growing = [each for each in events if not each.append.final]
        batches = self._decoder.decode_all([(each.append.data, each.append.offset) for each in growing])
        for each, batch in zip(growing, batches, strict=True):
            each.batch = batch
        for each in events:
            if each.append.final:
                each.batch = self._decoder.decode(each.append.data, each.append.offset, skip=True)

    def _arrive(self, run: str, number: int, admitted: _Admitted) -> _Arrival | None:
        """Put an append's bytes in place; None where there are none to be indexed. Raises `StoreError`."""
        append, cursor, batch = admitted.append, admitted.cursor, admitted.batch
        taken = memoryview(append.data)
        if batch is not None:
            taken = taken[: batch.stop - append.offset]
        if not taken:
            return None
        sync = append.final or self._files.is_durable or self._is_sync_due(cursor)
        self._files.write(run, append.path, append.offset, taken)
        if sync:
            self._sync(run, append.path, cursor)
        return _Arrival(number, append, cursor, taken, batch, sync)

    def _index_each(self, arrived: Mapping[str, _Arrived]) -> dict[str, StoreError]:
        """Index what has arrived of runs, together if that is possible; return what went wrong with a run of its own."""
        if not arrived:
            return {}
        try:
            self._index(arrived)
        except Exception as error:
            if isinstance(error, StoreError) and is_unreachable(error):
                return dict.fromkeys(arrived, error)
            if len(arrived) > 1:  # what is wrong with one run must not hold up the others
                errors: dict[str, StoreError] = {}
                for run, each in arrived.items():
                    errors |= self._index_each({run: each})
                return errors
            (run,) = arrived
            if isinstance(error, StoreError):
                return {run: error}
            log.exception("cannot index what was appended to run %s", run)
            why = StoreError(f"cannot index what was appended to run {run} ({error!r}): see the log")
            why.__cause__ = error
            return {run: why}
        return {}

    def _index(self, arrived: Mapping[str, _Arrived]) -> None:
        """Index bytes that are in place, of those files that still have the size at which they were appended."""
        try:
            ahead = {run: self._gather_ahead(run, each) for run, each in arrived.items()}
        except BaseException:
            for run in arrived:  # what is remembered may say more than will be written
                self.transactions.forget(run)
            raise
        with self.transactions.changing_several(list(arrived), alive=self._clock()) as changes:
            for run, each in arrived.items():
                if run not in changes:
                    raise not_found(run)
                rows = ahead[run]
                if rows is not None and changes[run].memory.numbers is not None:  # nobody else has changed it
                    changes[run].rows.take(rows)
                else:
                    self._grow(run, changes[run], each)
            fold_due(changes.values())
        for each in arrived.values():
            for arrival in each.arrivals:
                answer = each.answers[arrival.number]
                assert not isinstance(answer, StoreError)
                arrival.cursor.size = answer.size

    def _gather_ahead(self, run: str, arrived: _Arrived) -> Rows | None:
        """Work out the rows of a run that was just made, of which nothing has to be read: others can write meanwhile.

        None where that is not possible.
        """
        memory = self.transactions.remembered(run)
        if memory is None or memory.numbers is None or memory.files or memory.mark is None:
            return None
        rows = Rows.ahead()
        try:
            self._grow(run, Change(rows, run, memory), arrived)
        except NotConnectedError:
            self.transactions.made(run, memory.mark)
            return None
        return rows

    def _grow(self, run: str, change: Change, arrived: _Arrived) -> None:
        growths = []
        notes = []
        for each in arrived.arrivals:
            file = change.file(each.append.path)
            if file.size != each.append.offset:
                arrived.answers[each.number] = OffsetMismatch(file.size)
                continue
            growths.append(Growth(file, each.cursor.place, each.taken, each.batch, each.synced))
            notes.append((file.id, file.size, each.taken))
            arrived.answers[each.number] = Appended(file.size + len(each.taken), each.batch)
        self._files.note(change.rows, run, notes)
        change.grow(growths)

    def _sync(self, run: str, path: str, cursor: _Cursor) -> None:
        started = time.monotonic()
        self._files.sync(run, path)
        cursor.synced_at = time.monotonic()
        took = cursor.synced_at - started
        self._syncing += took
        self._sync_cost += 0.1 * (took - self._sync_cost)

    def _is_sync_due(self, cursor: _Cursor) -> bool:
        """Whether a file has shared one wait long enough: more than `SYNC_INTERVAL` where there are many files."""
        if self._syncing >= MOST_SYNCING:
            return False
        interval = max(SYNC_INTERVAL, len(self._cursors) * self._sync_cost / SYNC_SHARE)
        return time.monotonic() - cursor.synced_at >= interval

    def _size(self, run: str, path: str) -> int:
        with self._database.read() as connection:
            row = read_file(connection, run, path)
        return 0 if row is None else row.size

    # What the disk has, when a file is first appended to.

    def _cursor(self, run: str, path: str) -> _Cursor:
        """Return what is known of a file; the first time, compare the index with the disk. Raises `_Refused`."""
        found = self._cursors.get((run, path))
        if found is None:
            try:
                place = FilePath.parse(path)
            except StoreError as error:
                raise _Refused(error) from error
            memory = self.transactions.remembered(run)
            row: Any = None
            if memory is None or memory.numbers is None:  # otherwise all of it is remembered
                with self._database.read() as connection:
                    if connection.scalar(select(_run.id).where(_run.id == run)) is None:
                        raise not_found(run)
                    row = read_file(connection, run, path)
            elif (known := memory.files.get(path)) is not None:
                row = known
            found = _Cursor(place, 0 if row is None else row.size, time.monotonic())
            if row is not None and not self._files.is_intact(run, path, row):
                found.size = self._rebuild(run, path, place, row)
            self._cursors[run, path] = found
            if len(self._cursors) > MOST_CURSORS:
                del self._cursors[next(iter(self._cursors))]
        return found

    def _rebuild(self, run: str, path: str, place: FilePath, row: Any) -> int:
        """Index a file anew from the bytes that are there; return how many of them can be trusted."""
        limit = self._files.size(run, path)
        size = 0 if place.is_event_file else min(limit, row.synced)
        with self.transactions.changing(run) as change:
            file = change.file(path)
            file.size = file.synced = size
            file.unsynced_crc = file.records = file.skipped = 0
            change.forget(file, place)
        reach = PIECE
        while place.is_event_file and size < limit:
            data = self._files.read(run, path, size, min(limit, size + reach))
            batch = self._decoder.decode(data, size, skip=row.skipped > 0 and size + reach >= limit)
            if batch.stop > size:
                taken = memoryview(data)[: batch.stop - size]
                with self.transactions.changing(run, alive=self._clock()) as change:
                    change.grow([Growth(file := change.file(path), place, taken, batch, synced=False)])
                size = file.size
            elif size + reach >= limit:
                break
            else:
                reach *= 2  # a record longer than a piece, or bytes that were passed over when they came
        return size


class _Refused(Exception):
    """One file cannot take its bytes; the others can."""

    def __init__(self, why: StoreError) -> None:
        self.why = why
