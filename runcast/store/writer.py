"""The write side of `LocalStore`: bytes into files, and what they hold into the index."""

from __future__ import annotations

import threading
import time
import zlib
from collections import defaultdict
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sqlalchemy import bindparam, func, select

from runcast.errors import RunNotFound, StoreError
from runcast.events.decode import Decoder
from runcast.run.record import OWN_ROOT
from runcast.store import files, schema
from runcast.store.index import SourceIndex, read_spans
from runcast.store.memory import FileMemory, RunMemory, SourceMemory
from runcast.store.paths import FilePath, check_run_id
from runcast.store.protocol import Appended, OffsetMismatch
from runcast.store.rows import SET_FILE, Rows
from runcast.store.supersession import Span

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from runcast.events.batch import Batch
    from runcast.store.database import Database
    from runcast.store.protocol import Append, FileRecord

__all__ = ["Writer", "not_found"]

SYNC_INTERVAL = 1.0
"""Seconds for which a file's appends may share one wait for the disk, at least."""

SYNC_SHARE = 0.1
"""The part of the time that may be spent on waiting for the disk, before the interval grows."""

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
_FILE_AT = select(schema.file).where(_file.run == bindparam("of_run"), _file.path == bindparam("of_path"))
_SIZE_OF = select(_file.size).where(_file.run == bindparam("of_run"), _file.path == bindparam("of_path"))
_LAST_FILE = select(func.coalesce(func.max(_file.id), 0)).where(_file.run == bindparam("of_run"))
_DESCRIBE = (
    schema.file.update()
    .where(_file.run == bindparam("of_run"), _file.id == bindparam("of_file"))
    .values({name: bindparam(f"new_{name}") for name in ("source_path", "source_size", "state", "why")})
)


@dataclass
class _Cursor:
    """A file that is appended to: its place in the run and on the disk, and what was last seen of it."""

    place: FilePath
    on_disk: Path
    size: int
    synced_at: float = float("-inf")


@dataclass
class _Arrival:
    """An append whose bytes are in place."""

    number: int
    append: Append
    cursor: _Cursor
    taken: memoryview
    batch: Batch | None
    synced: bool


class Change:
    """One transaction that changes a run. What it remembers of the run holds if it is committed."""

    def __init__(self, rows: Rows, run: str, memory: RunMemory) -> None:
        self.rows = rows
        self.connection = rows.connection
        self._run = run
        self._memory = memory

    def file(self, path: str) -> FileMemory:
        """Return a file of the run, made known if it was not."""
        known = self._memory.files.get(path)
        if known is None:
            row = self.connection.execute(_FILE_AT, {"of_run": self._run, "of_path": path}).first()
            known = self._memory.files[path] = (
                self._new_file(path) if row is None else FileMemory.from_row(row)
            )
        return known

    def source(self, place: FilePath) -> SourceIndex:
        """Return the index of a file's folder; what it writes is gathered."""
        key = place.root, place.source
        memory = self._memory.sources.get(key)
        if memory is None:
            memory = SourceMemory(read_spans(self.connection, self._run, *key))
            self._memory.sources[key] = memory
        return SourceIndex(self.connection, self._run, *key, self.rows, memory)

    def _new_file(self, path: str) -> FileMemory:
        place = FilePath.parse(path)
        last: int = self.connection.execute(_LAST_FILE, {"of_run": self._run}).scalar_one()
        new = FileMemory(last + 1, 0, 0, 0, 0, 0)
        words = {"sessions": "[]", "source_path": "", "source_size": 0, "state": "recording", "why": ""}
        row = {"run": self._run, "id": new.id, "path": path, "root": place.root, "source": place.source}
        zero = {"size": 0, "synced": 0, "unsynced_crc": 0, "records": 0, "skipped": 0}
        self.connection.execute(schema.file.insert(), {**row, **words, **zero})
        if (source := self._memory.sources.get((place.root, place.source))) is not None:
            source.spans[new.id] = Span(new.id, path)
        return new

    def resize(self, file: FileMemory, taken: memoryview, batch: Batch | None, *, synced: bool) -> None:
        """Note that the file has grown."""
        file.size += len(taken)
        file.unsynced_crc = 0 if synced else zlib.crc32(taken, file.unsynced_crc)
        if synced:
            file.synced = file.size
        if batch is not None:
            file.records += batch.records
            file.skipped += len(batch.skipped)
        self.write(file)

    def write(self, file: FileMemory) -> None:
        """Gather the file's row."""
        row = {"of_run": self._run, "of_file": file.id, "size": file.size, "synced": file.synced}
        row |= {"unsynced_crc": file.unsynced_crc, "records": file.records, "skipped": file.skipped}
        self.rows.add(SET_FILE, [row])


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

    def append(self, run: str, appends: Sequence[Append]) -> list[Appended | OffsetMismatch | StoreError]:
        """See `Store.append_all`."""
        answers: list[Appended | OffsetMismatch | StoreError] = []
        arrivals = []
        with self._lock:
            for append in appends:
                try:
                    arrived = self._arrive(run, len(answers), append)
                except _Refused as refused:
                    answers.append(refused.why)
                    continue
                if isinstance(arrived, _Arrival):
                    arrivals.append(arrived)
                    arrived = Appended(append.offset)
                answers.append(arrived)
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
            size = files.replace(self._root / "runs" / check_run_id(run) / path, data)
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

    def _arrive(self, run: str, number: int, append: Append) -> _Arrival | Appended | OffsetMismatch:
        """Put an append's bytes in place; an answer at once where nothing is to be indexed. Raises `_Refused`."""
        cursor = self._cursor(run, append.path)
        if cursor.place.is_whole:
            raise _Refused(StoreError(f"{append.path!r} is put as a whole; it cannot be appended to"))
        offset = append.offset
        if offset != cursor.size:
            cursor.size = self._size(run, append.path)
        if offset != cursor.size:
            return OffsetMismatch(cursor.size)
        batch = None
        taken = memoryview(append.data)
        if cursor.place.is_event_file:
            batch = self._decoder.decode(append.data, offset, skip=append.final)
            taken = taken[: batch.stop - offset]
        if not taken:
            return Appended(offset, batch)
        sync = append.final or time.monotonic() - cursor.synced_at >= self._sync_interval()
        try:
            if cursor.place.root != OWN_ROOT:
                files.write_at(cursor.on_disk, offset, taken)
            if sync:
                self._sync(cursor)
        except StoreError as error:
            raise _Refused(error) from error
        return _Arrival(number, append, cursor, taken, batch, sync)

    def _index(
        self,
        run: str,
        arrivals: list[_Arrival],
        answers: list[Appended | OffsetMismatch | StoreError],
    ) -> None:
        """Index bytes that are in place, of those files that still have the size at which they were appended."""
        with self.changing(run, alive=self._clock()) as change:
            for each in arrivals:
                file = change.file(each.append.path)
                if file.size != each.append.offset:
                    answers[each.number] = OffsetMismatch(file.size)
                    continue
                change.resize(file, each.taken, each.batch, synced=each.synced)
                if each.batch is not None:
                    change.source(each.cursor.place).add(file.id, each.batch)
                answers[each.number] = Appended(file.size, each.batch)
        for each in arrivals:
            answer = answers[each.number]
            assert not isinstance(answer, StoreError)
            each.cursor.size = answer.size

    def _sync(self, cursor: _Cursor) -> None:
        started = time.monotonic()
        files.sync(cursor.on_disk)
        cursor.synced_at = time.monotonic()
        self._sync_cost += 0.1 * (cursor.synced_at - started - self._sync_cost)

    def _sync_interval(self) -> float:
        """Return how many seconds a file's appends share one wait: more than `SYNC_INTERVAL` where there are many files."""
        return max(SYNC_INTERVAL, len(self._cursors) * self._sync_cost / SYNC_SHARE)

    def _size(self, run: str, path: str) -> int:
        with self._database.read() as connection:
            return connection.scalar(_SIZE_OF, {"of_run": run, "of_path": path}) or 0

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
                row = connection.execute(_FILE_AT, {"of_run": run, "of_path": path}).first()
            on_disk = self._root / "runs" / check_run_id(run) / path
            found = _Cursor(place, on_disk, 0 if row is None else row.size)
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
            change.source(place).drop(row.id)
            file = change.file(path)
            file.size = file.synced = size
            file.unsynced_crc = file.records = file.skipped = 0
            change.write(file)
        reach = files.PIECE
        while place.is_event_file and size < limit:
            data = files.read_bytes(on_disk, size, min(limit, size + reach))
            batch = self._decoder.decode(data, size, skip=row.skipped > 0 and size + reach >= limit)
            if batch.stop > size:
                taken = memoryview(data)[: batch.stop - size]
                with self.changing(run, alive=self._clock()) as change:
                    change.resize(file := change.file(path), taken, batch, synced=False)
                    change.source(place).add(file.id, batch)
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
