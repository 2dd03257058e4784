"""The write side of `LocalStore`: bytes into files, and what they hold into the index."""

from __future__ import annotations

import threading
import time
from collections import defaultdict
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sqlalchemy import bindparam, func, select

from runcast.errors import RunNotFound, StoreError
from runcast.events.decode import Decoder
from runcast.run.record import OWN_ROOT
from runcast.store import files, schema
from runcast.store.change import Change
from runcast.store.forward import Growth
from runcast.store.history import read_file
from runcast.store.memory import RunMemory
from runcast.store.paths import FilePath, check_run_id
from runcast.store.protocol import Appended, OffsetMismatch
from runcast.store.rows import Rows

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from runcast.events.batch import Batch
    from runcast.store.database import Database
    from runcast.store.protocol import Append, FileRecord

__all__ = ["Writer", "not_found"]

SYNC_INTERVAL = 1.0
"""Seconds for which a file's appends may share one wait for the disk, at least."""

SYNC_SHARE = 0.02
"""The part of the time that may be spent on waiting for the disk, before the interval grows."""

MOST_SYNCING = 0.05
"""Seconds that one group of appends may spend on waiting for the disk; files whose turn does not come are waited for with the next."""

MOST_RUNS = 8
"""Runs of which something is remembered."""

_run = schema.run.c
_file = schema.file.c

_others = schema.run.alias().c
_MARKS = select(
    _run.change, select(func.coalesce(func.max(_others.change), 0)).scalar_subquery().label("latest")
).where(_run.id == bindparam("of_run"))
_TOUCH = (
    schema.run.update()
    .where(_run.id == bindparam("of_run"))
    .values(change=bindparam("new_change"), heartbeat=func.coalesce(bindparam("alive"), _run.heartbeat))
)
_DESCRIBE = (
    schema.file.update()
    .where(_file.run == bindparam("of_run"), _file.id == bindparam("of_file"))
    .values({name: bindparam(f"new_{name}") for name in ("source_path", "source_size", "state", "why")})
)


@dataclass
class _Cursor:
    """A file that is appended to: its place in the run and on the disk, and what was last seen of it."""

    place: FilePath
    run_folder: Path
    on_disk: Path
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


class Writer:
    """Appends to the files of runs; thread-safe. `clock` tells the time of a run's heartbeat.

    It remembers what it has written of a run, and reads it again when anyone else has changed the run, or it failed itself.
    """

    def __init__(self, root: Path, database: Database, clock: Callable[[], float]) -> None:
        self._root = root
        self._database = database
        self._clock = clock
        self._decoder = Decoder()
        self._lock = threading.RLock()
        self._putting: defaultdict[tuple[str, str], threading.Lock] = defaultdict(threading.Lock)
        self._cursors: dict[tuple[str, str], _Cursor] = {}
        self._memories: dict[str, RunMemory] = {}
        self._sync_cost = 0.0
        self._syncing = 0.0

    def append(self, run: str, appends: Sequence[Append]) -> list[Appended | OffsetMismatch | StoreError]:
        """See `Store.append_all`."""
        answers: list[Appended | OffsetMismatch | StoreError] = []
        arrivals = []
        with self._lock:
            self._syncing = 0.0
            everything = [self._admit(run, append) for append in appends]
            self._decode([each for each in everything if isinstance(each, _Admitted)])
            for admitted in everything:
                if not isinstance(admitted, _Admitted):
                    answers.append(admitted)
                    continue
                try:
                    arrival = self._arrive(len(answers), admitted)
                except StoreError as error:
                    answers.append(error)
                    continue
                if arrival is not None:
                    arrivals.append(arrival)
                answers.append(Appended(admitted.append.offset, admitted.batch))
            if arrivals:
                self._index(run, arrivals, answers)
        return answers

    def put(self, run: str, path: str, data: bytes | Path) -> int:
        """See `Store.put`. Copying holds up nothing but other copies to the same place."""
        place = FilePath.parse(path)
        if place.is_event_file or place.root == OWN_ROOT:
            raise StoreError(f"{path!r} is written by appending to it; it cannot be replaced as a whole")
        with self._database.read() as connection:
            if connection.scalar(select(_run.id).where(_run.id == run)) is None:
                raise not_found(run)
        with self._putting[run, path]:
            folder = self._root / "runs" / check_run_id(run)
            size = files.replace(folder / path, data, folder)
            with self.changing(run, alive=self._clock()) as change:
                file = change.file(path)
                file.size = file.synced = size
                file.unsynced_crc = 0
                change.write(file)
                self._cursors.pop((run, path), None)
        return size

    def describe(self, run: str, described: Sequence[FileRecord]) -> None:
        """See `Store.describe`."""
        for each in described:
            FilePath.parse(each.path)
        with self.changing(run) as change:
            for each in described:
                row = {"of_run": run, "of_file": change.file(each.path).id}
                row |= {"new_source_path": each.source_path, "new_source_size": each.source_size}
                change.connection.execute(_DESCRIBE, {**row, "new_state": each.state, "new_why": each.why})

    @contextmanager
    def changing(self, run: str, *, alive: float | None = None) -> Iterator[Change]:
        """Open a transaction that changes the run, whose heartbeat was `alive`. Raises `RunNotFound`."""
        with self._lock:
            memory = self._memories.pop(run, None) or RunMemory()
            with self._database.write() as connection:
                marks = connection.execute(_MARKS, {"of_run": run}).first()
                if marks is None:
                    raise not_found(run)
                memory.hold(marks.change)
                rows = Rows(connection)
                yield Change(rows, run, memory)
                rows.flush()
                memory.mark = marks.latest + 1
                connection.execute(_TOUCH, {"of_run": run, "new_change": memory.mark, "alive": alive})
            self._memories[run] = memory  # committed: it holds
            while len(self._memories) > MOST_RUNS:
                del self._memories[next(iter(self._memories))]

    def _admit(self, run: str, append: Append) -> _Admitted | OffsetMismatch | StoreError:
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

    def _decode(self, admitted: Sequence[_Admitted]) -> None:
        """Decode what goes to event files, all of it together where there are many."""
        events = [each for each in admitted if each.cursor.place.is_event_file]
        growing = [each for each in events if not each.append.final]
        batches = self._decoder.decode_all([(each.append.data, each.append.offset) for each in growing])
        for each, batch in zip(growing, batches, strict=True):
            each.batch = batch
        for each in events:
            if each.append.final:
                each.batch = self._decoder.decode(each.append.data, each.append.offset, skip=True)

    def _arrive(self, number: int, admitted: _Admitted) -> _Arrival | None:
        """Put an append's bytes in place; None where there are none to be indexed. Raises `StoreError`."""
        append, cursor, batch = admitted.append, admitted.cursor, admitted.batch
        taken = memoryview(append.data)
        if batch is not None:
            taken = taken[: batch.stop - append.offset]
        if not taken:
            return None
        sync = append.final or self._is_sync_due(cursor)
        if cursor.place.root != OWN_ROOT:
            files.write_at(cursor.on_disk, append.offset, taken, cursor.run_folder)
        if sync:
            self._sync(cursor)
        return _Arrival(number, append, cursor, taken, batch, sync)

    def _index(
        self,
        run: str,
        arrivals: list[_Arrival],
        answers: list[Appended | OffsetMismatch | StoreError],
    ) -> None:
        """Index bytes that are in place, of those files that still have the size at which they were appended."""
        with self.changing(run, alive=self._clock()) as change:
            growths = []
            for each in arrivals:
                file = change.file(each.append.path)
                if file.size != each.append.offset:
                    answers[each.number] = OffsetMismatch(file.size)
                    continue
                growths.append(Growth(file, each.cursor.place, each.taken, each.batch, each.synced))
                answers[each.number] = Appended(file.size + len(each.taken), each.batch)
            change.grow(growths)
        for each in arrivals:
            answer = answers[each.number]
            assert not isinstance(answer, StoreError)
            each.cursor.size = answer.size

    def _sync(self, cursor: _Cursor) -> None:
        started = time.monotonic()
        files.sync(cursor.on_disk)
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
            with self._database.read() as connection:
                if connection.scalar(select(_run.id).where(_run.id == run)) is None:
                    raise not_found(run)
                row = read_file(connection, run, path)
            folder = self._root / "runs" / check_run_id(run)
            on_disk = folder / path
            found = _Cursor(place, folder, on_disk, 0 if row is None else row.size, time.monotonic())
            if row is not None and not _is_intact(on_disk, row):
                found.size = self._rebuild(run, path, found, row)
            self._cursors[run, path] = found
        return found

    def _rebuild(self, run: str, path: str, cursor: _Cursor, row: Any) -> int:
        """Index a file anew from the bytes that are on the disk; return how many of them can be trusted."""
        place, on_disk = cursor.place, cursor.on_disk
        limit = files.disk_size(on_disk)
        size = 0 if place.is_event_file else min(limit, row.synced)
        with self.changing(run) as change:
            file = change.file(path)
            file.size = file.synced = size
            file.unsynced_crc = file.records = file.skipped = 0
            change.forget(file, place)
        reach = files.PIECE
        while place.is_event_file and size < limit:
            data = files.read_bytes(on_disk, size, min(limit, size + reach))
            batch = self._decoder.decode(data, size, skip=row.skipped > 0 and size + reach >= limit)
            if batch.stop > size:
                taken = memoryview(data)[: batch.stop - size]
                with self.changing(run, alive=self._clock()) as change:
                    change.grow([Growth(file := change.file(path), place, taken, batch, synced=False)])
                size = file.size
            elif size + reach >= limit:
                break
            else:
                reach *= 2  # a record longer than a piece, or bytes that were passed over when they came
        return size


def _is_intact(on_disk: Path, row: Any) -> bool:
    """Whether the disk has the bytes that the index says the file has."""
    if files.disk_size(on_disk) < row.size:
        return False
    unsynced_crc: int = row.unsynced_crc
    return files.checksum(on_disk, row.synced, row.size) == unsynced_crc


class _Refused(Exception):
    """One file cannot take its bytes; the others can."""

    def __init__(self, why: StoreError) -> None:
        self.why = why


def not_found(run: str) -> RunNotFound:
    """Return the error that says so."""
    return RunNotFound(f"there is no run {run!r} in this store: `runcast runs` lists those that are")
