"""One transaction that changes a run's index."""

from __future__ import annotations

import zlib
from collections import defaultdict
from typing import TYPE_CHECKING

from sqlalchemy import bindparam, func, select

from runcast.store import schema
from runcast.store.forward import Forward
from runcast.store.index import SourceIndex, read_spans
from runcast.store.memory import FileMemory, SourceMemory
from runcast.store.paths import FilePath
from runcast.store.recent import DROP_RECENT, Parts, latest, read_recent
from runcast.store.rows import ADD_RECENT, SET_FILE
from runcast.store.supersession import Span

if TYPE_CHECKING:
    from collections.abc import Sequence

    from runcast.store.columns import Columns
    from runcast.store.forward import Growth
    from runcast.store.memory import RunMemory
    from runcast.store.rows import Rows

__all__ = ["FILE_AT", "Change"]

MOST_GROUPS = 32
"""Groups of appends that are kept as they came: readers look into each of them."""

MOST_POINTS = 20_000
"""Points that are kept in them."""

_file = schema.file.c

FILE_AT = select(schema.file).where(_file.run == bindparam("of_run"), _file.path == bindparam("of_path"))
_LAST_FILE = select(func.coalesce(func.max(_file.id), 0)).where(_file.run == bindparam("of_run"))
_PLACES = select(_file.id, _file.root, _file.source).where(_file.run == bindparam("of_run"))


class Change:
    """One transaction that changes a run. What it remembers of the run holds if it is committed."""

    def __init__(self, rows: Rows, run: str, memory: RunMemory) -> None:
        self.rows = rows
        self.connection = rows.connection
        self._run = run
        self._memory = memory
        if memory.recent is None:  # left by somebody else: nobody remembers what it goes on from
            memory.recent = read_recent(self.connection, run)
            self.fold()

    def file(self, path: str) -> FileMemory:
        """Return a file of the run, made known if it was not."""
        known = self._memory.files.get(path)
        if known is None:
            row = self.connection.execute(FILE_AT, {"of_run": self._run, "of_path": path}).first()
            known = self._memory.files[path] = (
                self._new_file(path) if row is None else FileMemory.from_row(row)
            )
        return known

    def grow(self, growths: Sequence[Growth]) -> None:
        """Index what was appended to files, each of them once."""
        forward = Forward(self._memory, growths)
        for each in growths:
            _resize(each)
        if forward.rest:
            self.fold()
            for each in forward.rest:
                self.write(each.file)
                if each.batch is not None:
                    self._source(each.place).add(each.file.id, each.batch)
        if forward.growths:
            self._keep(forward)

    def forget(self, file: FileMemory, place: FilePath) -> None:
        """Forget all that the index has of a file, whose memory says what is left of it."""
        self.write(file)
        self._source(place).drop(file.id)

    def write(self, file: FileMemory) -> None:
        """Gather the file's row."""
        self.fold()
        row = {"of_run": self._run, "of_file": file.id, "size": file.size, "synced": file.synced}
        row |= {"unsynced_crc": file.unsynced_crc, "records": file.records, "skipped": file.skipped}
        self.rows.add(SET_FILE, [row])

    def fold(self) -> None:
        """Move all that is recent to where it stays."""
        recent = self._memory.recent
        if not recent:
            return
        self._memory.recent = []
        for grown in latest(each.files for each in recent).values():
            row = {"of_run": self._run, "of_file": grown.id, **grown._asdict()}
            self.rows.add(SET_FILE, [row])
        arrivals: defaultdict[int, dict[int, Columns]] = defaultdict(dict)
        for (series, file), columns in Parts(recent).columns():
            arrivals[file][series] = columns
        places = {row.id: row[1:] for row in self.connection.execute(_PLACES, {"of_run": self._run})}
        for file, parts in arrivals.items():
            self._index(*places[file]).extend(file, parts)
        self.rows.flush()
        self.connection.execute(DROP_RECENT, {"of_run": self._run})

    def _keep(self, forward: Forward) -> None:
        assert self._memory.recent is not None
        recent = forward.recent()
        row = {"run": self._run, "seq": len(self._memory.recent), **recent.to_row()}
        self.rows.add(ADD_RECENT, [row])
        self._memory.recent.append(recent)
        points = sum(len(each.points.step) for each in self._memory.recent)
        if len(self._memory.recent) > MOST_GROUPS or points > MOST_POINTS:
            self.fold()

    def _source(self, place: FilePath) -> SourceIndex:
        return self._index(place.root, place.source)

    def _index(self, root: str, source: str) -> SourceIndex:
        """Return the index of a folder; what it writes is gathered."""
        memory = self._memory.sources.get((root, source))
        if memory is None:
            memory = SourceMemory(read_spans(self.connection, self._run, root, source))
            self._memory.sources[root, source] = memory
        return SourceIndex(self.connection, self._run, root, source, self.rows, memory)

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


def _resize(growth: Growth) -> None:
    """Note in a file's memory that it has grown."""
    file = growth.file
    file.size += len(growth.taken)
    file.unsynced_crc = 0 if growth.synced else zlib.crc32(growth.taken, file.unsynced_crc)
    if growth.synced:
        file.synced = file.size
    if growth.batch is not None:
        file.records += growth.batch.records
        file.skipped += len(growth.batch.skipped)
