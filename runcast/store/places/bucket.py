"""`BucketFiles`: the files of runs in a bucket, whose objects never change.

A bucket cannot append. So the end of every file, its *tail*, is in the database (table `tail`), in the same transaction as the
index of it, and becomes an object from time to time (`sealing`). A reader puts the objects and the tail together.

    runs/<id>/segments/<path>/<start>-<stop>      bytes [start, stop) of a file; what is made there is always the same
    runs/<id>/segments/store.jsonl/…              the store's own journal of the run, which has the number 0
    runs/<id>/files/<path>/<version>              a whole file; the last version counts
    deleted/<id>                                  a run that was deleted for good
"""

from __future__ import annotations

import json
import threading
from contextlib import nullcontext, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from sqlalchemy import bindparam, func, select

from runcast.errors import StoreError
from runcast.objects import ObjectGone
from runcast.store import schema
from runcast.store.places import STORE_JOURNAL, Held
from runcast.store.places.listing import (
    RUNS,
    Listed,
    Segment,
    folder_of,
    is_version,
    list_run,
    place_of,
    version_name,
)
from runcast.store.rows import ADD_TAIL

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from contextlib import AbstractContextManager
    from pathlib import Path

    from sqlalchemy import Connection

    from runcast.objects import Objects
    from runcast.store.database import Database
    from runcast.store.recent import Grown
    from runcast.store.rows import Rows

__all__ = ["JOURNAL_FILE", "BucketFiles", "noted_segments"]

DELETED = "deleted"

JOURNAL_FILE = 0
"""The number of the store's journal among a run's files, whose own numbers begin with 1."""

MOST_SMALL = 32
"""Small pieces of a file's tail that are kept as they came, before they are made one."""

SMALL = 64 << 10
"""Bytes from which on a piece of the tail is left as it is."""

LONGEST_PIECE = 8 << 20
"""Bytes of a piece of the tail: a record may be longer."""

MOST_REPLACED = 5
"""How often a file may be replaced while it is being read."""

_FOREVER = 1 << 62

_file = schema.file.c
_tail = schema.tail.c
_segment = schema.segment.c
_OF_FILE_IN_TAIL = (_tail.run == bindparam("of_run"), _tail.file == bindparam("of_file"))
_OF_FILE_IN_SEGMENTS = (_segment.run == bindparam("of_run"), _segment.file == bindparam("of_file"))

_NUMBERS = select(_file.id, _file.path).where(_file.run == bindparam("of_run"))
_NUMBER = select(_file.id).where(_file.run == bindparam("of_run"), _file.path == bindparam("of_path"))
_SEGMENTS = (
    select(_segment.start, _segment.stop, _segment.object)
    .where(*_OF_FILE_IN_SEGMENTS, _segment.start < bindparam("to"), _segment.stop >= bindparam("since"))
    .order_by(_segment.start)
)
_PIECES = (
    select(_tail.start, _tail.stop, _tail.data)
    .where(*_OF_FILE_IN_TAIL, _tail.start < bindparam("to"), _tail.stop > bindparam("since"))
    .order_by(_tail.start)
)
_TAIL_END = select(func.max(_tail.stop)).where(*_OF_FILE_IN_TAIL)
_SEGMENTS_END = select(func.max(_segment.stop)).where(*_OF_FILE_IN_SEGMENTS)
_SMALL_PIECES = (
    select(_tail.start, _tail.stop, _tail.data)
    .where(*_OF_FILE_IN_TAIL, _tail.stop - _tail.start < SMALL)
    .order_by(_tail.start)
)
_DROP_PIECE = schema.tail.delete().where(*_OF_FILE_IN_TAIL, _tail.start == bindparam("at"))
_DROP_TAIL = schema.tail.delete().where(*_OF_FILE_IN_TAIL)
_ADD_SEGMENTS = schema.segment.insert()
_DROP_SEGMENTS = schema.segment.delete().where(*_OF_FILE_IN_SEGMENTS)


class _Piece(NamedTuple):
    """Bytes [start, stop) of a file, in the tail (`data`) or in an object (its name)."""

    start: int
    stop: int
    data: bytes | str


@dataclass(frozen=True, slots=True)
class _Content:
    """The pieces that a whole file had when it was opened: one object, that goes when the file is replaced."""

    files: BucketFiles
    pieces: list[_Piece]
    what: str

    @property
    def size(self) -> int:
        """See `Content.size`."""
        return max((piece.stop for piece in self.pieces), default=0)

    @property
    def version(self) -> str:
        """See `Content.version`."""
        names = [piece.data for piece in self.pieces if isinstance(piece.data, str)]
        put = next((name.rpartition("/")[2] for name in names if is_version(name)), "")
        return f"{put}-{self.size:x}"  # what is appended does not change what is there

    def read(self, start: int, stop: int) -> bytes:
        """See `Content.read`."""
        return self.files.joined(self.pieces, start, stop, self.what)

    def close(self) -> None:
        """See `Content.close`."""


@dataclass(frozen=True, slots=True)
class _Replaced:
    size: int
    files: BucketFiles
    run: str
    object: str
    before: list[str] = field(default_factory=list)

    def note(self, connection: Connection, file: int) -> None:
        """Make the new object the file, and remember what was."""
        self.before.extend(segment.object for segment in noted_segments(connection, self.run, file))
        _note_segments(connection, self.run, file, [Segment(0, self.size, self.object)])
        connection.execute(_DROP_TAIL, {"of_run": self.run, "of_file": file})

    def committed(self) -> None:
        """Delete the old objects; those that cannot be deleted now go with the run."""
        with suppress(StoreError):
            self.files.objects.delete(self.before)


class BucketFiles:
    """Files in a bucket; see `RunFiles`. What is appended is in `database` first, so appending works while the bucket does not."""

    is_durable = True

    def __init__(self, objects: Objects, database: Database, clock: Callable[[], float]) -> None:
        self.objects = objects
        self.database = database
        self.clock = clock
        self._small: dict[tuple[str, int], int] = {}
        self._lock = threading.Lock()

    def make(self, run: str) -> None:
        """See `RunFiles.make`: a bucket has no folders."""

    def write(self, run: str, path: str, offset: int, data: bytes | memoryview) -> None:
        """See `RunFiles.write`: all is done within the transaction."""

    def note(self, rows: Rows, run: str, notes: Sequence[tuple[int, int, memoryview]]) -> None:
        """See `RunFiles.note`."""
        now = self.clock()
        for file, start, data in notes:
            if len(data) < SMALL and self._has_many_small(run, file):
                _merge_small(rows.connection, run, file, now)
            for at in range(0, len(data), LONGEST_PIECE):
                piece = bytes(data[at : at + LONGEST_PIECE])
                rows.add(ADD_TAIL, [_row(run, file, start + at, piece, now)])

    def sync(self, run: str, path: str) -> None:
        """See `RunFiles.sync`: the database waits."""

    def replace(self, run: str, path: str, data: bytes | Path) -> _Replaced:
        """See `RunFiles.replace`."""
        name = version_name(run, path)
        return _Replaced(self.objects.put(name, data), self, run, name)

    def read(
        self, run: str, path: str, start: int, stop: int, *, connection: Connection | None = None
    ) -> bytes:
        """See `RunFiles.read`."""
        for _ in range(MOST_REPLACED):
            with self.database.read() if connection is None else nullcontext(connection) as reading:
                file = _number(reading, run, path)
                pieces = [] if file is None else _pieces(reading, run, file, start, stop)
            try:
                return self.joined(pieces, start, stop, f"{path} of run {run}")
            except ObjectGone as error:
                gone = error  # the file was replaced just now: its new content is there
        raise gone

    def open(self, run: str, path: str, size: int | None) -> _Content:  # noqa: ARG002 - a folder's
        """See `RunFiles.open`."""
        with self.database.read() as connection:
            file = _number(connection, run, path)
            pieces = [] if file is None else _pieces(connection, run, file, 0, _FOREVER)
        return _Content(self, pieces, f"{path} of run {run}")

    def size(self, run: str, path: str) -> int:
        """See `RunFiles.size`."""
        with self.database.read() as connection:
            file = _number(connection, run, path)
            return 0 if file is None else _end(connection, run, file)

    def is_intact(self, run: str, path: str, grown: Grown) -> bool:  # noqa: ARG002 - a folder's
        """See `RunFiles.is_intact`: bytes are noted in the transaction that indexes them, and objects do not change."""
        return True

    def local_path(self, run: str, path: str) -> Path:
        """See `RunFiles.local_path`: there is none."""
        raise StoreError(
            f"{path} of run {run} is in {self.objects.address}, not on this disk: download it with "
            "`run.download()`, or read it through the store"
        )

    def locked(self, run: str) -> AbstractContextManager[object]:  # noqa: ARG002 - a folder's
        """See `RunFiles.locked`: recorders write through the database, which keeps them apart."""
        return nullcontext()

    def journal(self, connection: Connection, run: str, lines: bytes) -> None:
        """See `RunFiles.journal`."""
        if lines:
            end = _end(connection, run, JOURNAL_FILE)
            connection.execute(ADD_TAIL, _row(run, JOURNAL_FILE, end, lines, self.clock()))

    def read_journal(self, run: str) -> bytes:
        """See `RunFiles.read_journal`. Of a database that knows less than the bucket, the bucket's is taken."""
        with self.database.read() as connection:
            pieces = _pieces(connection, run, JOURNAL_FILE, 0, _FOREVER)
            noted = noted_segments(connection, run, JOURNAL_FILE)
        end = max((piece.stop for piece in pieces), default=0)
        listed = list_run(self.objects, run).get(STORE_JOURNAL, Listed())
        if (segments := listed.reaching(noted, end)) != noted:
            pieces = [_Piece(*segment) for segment in segments]
        return self.joined(pieces, 0, _FOREVER, f"{STORE_JOURNAL} of run {run}")

    def runs(self) -> Iterator[str]:
        """See `RunFiles.runs`."""
        with self.database.read() as connection:
            noted = set(connection.scalars(select(_tail.run).distinct()))
        yield from sorted(noted.union(self.objects.folders(RUNS)))

    def held(self, run: str, paths: Iterable[str]) -> list[Held]:
        """See `RunFiles.held`."""
        found = []
        listed = list_run(self.objects, run)
        with self.database.read() as connection:
            numbers = {row.path: row.id for row in connection.execute(_NUMBERS, {"of_run": run})}
            names = {place_of(path): path for path in (*paths, *numbers)}
            for place in sorted({*listed, *map(place_of, numbers)} - {STORE_JOURNAL}):
                path = names.get(place, place)
                number = numbers.get(path)
                noted = [] if number is None else noted_segments(connection, run, number)
                end = 0 if number is None else _end(connection, run, number)
                segments = listed.get(place, Listed()).reaching(noted, end)
                if segments != noted:
                    found.append(Held(path, segments[-1].stop, tuple(segments)))
                elif end or noted:
                    found.append(Held(path, end))
        return found

    def adopt(self, connection: Connection, run: str, file: int, held: Held) -> None:
        """See `RunFiles.adopt`."""
        if held.segments:
            _note_segments(connection, run, file, held.segments)
            connection.execute(_DROP_TAIL, {"of_run": run, "of_file": file})

    def remove(self, run: str) -> None:
        """See `RunFiles.remove`. What is in the database goes with the run's other rows."""
        names = [name for name, _ in self.objects.walk(folder_of(run))]
        journal = f"{folder_of(run)}/segments/{STORE_JOURNAL}/"
        names.sort(key=lambda name: name.startswith(journal))
        for at in range(0, len(names), 1000):
            self.objects.delete(names[at : at + 1000])

    def bury(self, run: str, now: float) -> None:
        """See `RunFiles.bury`."""
        self.objects.put(f"{DELETED}/{run}", json.dumps({"run": run, "time": now}).encode())

    def buried(self) -> Iterator[str]:
        """See `RunFiles.buried`."""
        for name, _ in self.objects.walk(DELETED):
            yield name.rpartition("/")[2]

    def close(self) -> None:
        """See `RunFiles.close`: nothing is open."""

    def joined(self, pieces: Iterable[_Piece], start: int, stop: int, what: str) -> bytes:
        """Return bytes [start, stop), fewer where the pieces end; they may overlap."""
        at = start
        joined = bytearray()
        for piece in sorted(pieces, key=lambda piece: piece.start):
            end = min(piece.stop, stop)
            if end <= at:
                continue
            if piece.start > at:
                raise StoreError(
                    f"bytes {at} to {piece.start} of {what} are missing from {self.objects.address} and from the database: "
                    "were they restored from backups of different times? `runcast reindex` notes what the bucket has"
                )
            if isinstance(piece.data, str):
                joined += self.objects.read(piece.data, at - piece.start, end - piece.start)
            else:
                joined += memoryview(piece.data)[at - piece.start : end - piece.start]
            at = end
        return bytes(joined)

    def _has_many_small(self, run: str, file: int) -> bool:
        """Count one more small piece, and say whether it is time to make them one."""
        with self._lock:
            count = self._small.pop((run, file), 0) + 1
            if count < MOST_SMALL:
                self._small[run, file] = count
            while len(self._small) > 100_000:  # the oldest: theirs are made one a little later
                del self._small[next(iter(self._small))]
        return count >= MOST_SMALL


def noted_segments(connection: Connection, run: str, file: int) -> list[Segment]:
    """Return the objects that make up the file, but for its tail."""
    everything = {"of_run": run, "of_file": file, "since": 0, "to": _FOREVER}
    return [Segment(*row) for row in connection.execute(_SEGMENTS, everything)]


def _note_segments(connection: Connection, run: str, file: int, segments: Sequence[Segment]) -> None:
    connection.execute(_DROP_SEGMENTS, {"of_run": run, "of_file": file})
    rows = [{"run": run, "file": file, **segment._asdict()} for segment in segments]
    connection.execute(_ADD_SEGMENTS, rows)


def _number(connection: Connection, run: str, path: str) -> int | None:
    if path == STORE_JOURNAL:
        return JOURNAL_FILE
    return connection.scalar(_NUMBER, {"of_run": run, "of_path": path})


def _pieces(connection: Connection, run: str, file: int, start: int, stop: int) -> list[_Piece]:
    """Return what has bytes [start, stop). The tail is read first: what leaves it meanwhile is in the segments then."""
    wanted = {"of_run": run, "of_file": file, "since": start, "to": stop}
    pieces = [_Piece(*row) for row in connection.execute(_PIECES, wanted)]
    return [*(_Piece(*row) for row in connection.execute(_SEGMENTS, wanted)), *pieces]


def _end(connection: Connection, run: str, file: int) -> int:
    of_file = {"of_run": run, "of_file": file}
    end = connection.scalar(_TAIL_END, of_file)  # what is in the tail comes last
    return end or connection.scalar(_SEGMENTS_END, of_file) or 0


def _row(run: str, file: int, start: int, data: bytes, now: float) -> dict[str, object]:
    return {"run": run, "file": file, "start": start, "stop": start + len(data), "time": now, "data": data}


def _merge_small(connection: Connection, run: str, file: int, now: float) -> None:
    """Make one piece of each row of small ones."""
    rows: list[list[_Piece]] = []
    for found in connection.execute(_SMALL_PIECES, {"of_run": run, "of_file": file}):
        piece = _Piece(*found)
        if rows and rows[-1][-1].stop == piece.start:
            rows[-1].append(piece)
        else:
            rows.append([piece])
    several = [row for row in rows if len(row) > 1]
    dropped = [{"of_run": run, "of_file": file, "at": piece.start} for row in several for piece in row]
    if dropped:
        connection.execute(_DROP_PIECE, dropped)
        merged = [(row[0].start, b"".join(bytes(piece.data) for piece in row)) for row in several]  # type: ignore[arg-type]
        connection.execute(ADD_TAIL, [_row(run, file, start, data, now) for start, data in merged])
