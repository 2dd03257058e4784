"""One transaction that changes a run's index."""

from __future__ import annotations

import time
import zlib
from collections import defaultdict
from typing import TYPE_CHECKING

from sqlalchemy import bindparam, func, select

from runcast.store import schema
from runcast.store.forward import Forward
from runcast.store.index import SourceIndex, read_spans
from runcast.store.memory import FileMemory, Kept, SourceMemory
from runcast.store.paths import FilePath
from runcast.store.recent import Parts, latest, read_recent
from runcast.store.rows import ADD_FILE, ADD_RECENT, DROP_RECENT, SET_FILE
from runcast.store.supersession import Span

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from runcast.store.columns import Columns
    from runcast.store.forward import Growth
    from runcast.store.memory import RunMemory
    from runcast.store.rows import Rows

__all__ = ["FILE_AT", "Change", "fold_due"]

MOST_GROUPS = 48
"""Groups of appends that are kept as they came: readers look into each of them."""

MOST_POINTS = 50_000
"""Points that are kept in them."""

MOST_AGE = 60.0
"""Seconds for which they are kept when the next come; so long runs are ordered by values that have moved on."""

FOLD_SHARE = 8
"""One of so many runs that are appended to together is folded: they began together, and would all be due at once."""

_file = schema.file.c

FILE_AT = select(schema.file).where(_file.run == bindparam("of_run"), _file.path == bindparam("of_path"))
_LAST_FILE = select(func.coalesce(func.max(_file.id), 0)).where(_file.run == bindparam("of_run"))
_PLACES = select(_file.id, _file.root, _file.source).where(_file.run == bindparam("of_run"))


class Change:
    """A change of one run, in a transaction that may change others too. What it remembers of the run holds once that is committed."""

    def __init__(self, rows: Rows, run: str, memory: RunMemory) -> None:
        self.rows = rows
        self.connection = rows.connection
        self.memory = memory
        self._run = run
        if memory.kept is None:  # left by somebody else: nobody remembers what it goes on from
            self.fold()

    @property
    def urgency(self) -> float:
        """How due it is to be folded: above 1 it may be, above 2 it must."""
        kept = self.memory.kept
        if kept is None or not kept.groups:
            return 0.0
        by_age = min((time.monotonic() - kept.since) / MOST_AGE, 2.0)
        return max(kept.groups / (MOST_GROUPS or 0.1), kept.points / MOST_POINTS, by_age)

    def file(self, path: str) -> FileMemory:
        """Return a file of the run, made known if it was not."""
        known = self.memory.files.get(path)
        if known is None and self.memory.numbers is not None:
            known = self.memory.files[path] = self._new_file(
                path, max((f.id for f in self.memory.files.values()), default=0)
            )
        if known is None:
            row = self.connection.execute(FILE_AT, {"of_run": self._run, "of_path": path}).first()
            known = self.memory.files[path] = (
                self._new_file(path) if row is None else FileMemory.from_row(row)
            )
        return known

    def grow(self, growths: Sequence[Growth]) -> None:
        """Index what was appended to files, each of them once."""
        forward = Forward(self.memory, growths)
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
        if self.memory.kept is not None and not self.memory.kept.groups:
            return
        self.memory.kept = Kept()
        self.rows.flush()
        recent = read_recent(self.connection, self._run)
        if not len(recent.files):
            return
        self.rows.add(DROP_RECENT, [{"of_run": self._run}])
        for grown in latest(recent.files).values():
            row = {"of_run": self._run, "of_file": grown.id, **grown._asdict()}
            self.rows.add(SET_FILE, [row])
        arrivals: defaultdict[int, dict[int, Columns]] = defaultdict(dict)
        for (series, file), columns in Parts(recent.groups, recent.points).columns():
            arrivals[file][series] = columns
        places = {row.id: row[1:] for row in self.connection.execute(_PLACES, {"of_run": self._run})}
        for file, parts in arrivals.items():
            self._index(*places[file]).extend(file, parts)
        self.rows.flush()

    def _keep(self, forward: Forward) -> None:
        kept = self.memory.kept
        assert kept is not None
        recent = forward.recent()
        row = {"run": self._run, "seq": kept.groups, **recent.to_row()}
        self.rows.add(ADD_RECENT, [row])
        since = kept.since if kept.groups else time.monotonic()
        self.memory.kept = Kept(kept.groups + 1, kept.points + len(recent.points.step), since)

    def _source(self, place: FilePath) -> SourceIndex:
        return self._index(place.root, place.source)

    def _index(self, root: str, source: str) -> SourceIndex:
        """Return the index of a folder; what it writes is gathered."""
        memory = self.memory.sources.get((root, source))
        if memory is None:
            numbers = self.memory.numbers
            spans = {} if numbers is not None else read_spans(self.connection, self._run, root, source)
            memory = SourceMemory(spans, numbers=numbers)
            self.memory.sources[root, source] = memory
        return SourceIndex(self.connection, self._run, root, source, self.rows, memory)

    def _new_file(self, path: str, last: int | None = None) -> FileMemory:
        """Make a file known; `last` is the last number that one of the run has, None if it is to be looked up."""
        place = FilePath.parse(path)
        is_new_run = last is not None
        if last is None:
            last = self.connection.execute(_LAST_FILE, {"of_run": self._run}).scalar_one()
        elif not place.is_whole:
            self._source(place)  # so that it hears of the file
        new = FileMemory(last + 1, 0, 0, 0, 0, 0)
        words = {"sessions": "[]", "source_path": "", "source_size": 0, "state": "recording", "why": ""}
        row = {"run": self._run, "id": new.id, "path": path, "root": place.root, "source": place.source}
        zero = {"size": 0, "synced": 0, "unsynced_crc": 0, "records": 0, "skipped": 0}
        self.rows.add(ADD_FILE, [{**row, **words, **zero}])
        if not is_new_run:
            self.rows.flush()
        self.rows.numbered[self._run].files.append((new.id, path))
        if (source := self.memory.sources.get((place.root, place.source))) is not None:
            source.spans[new.id] = Span(new.id, path)
        return new


def fold_due(changes: Collection[Change]) -> None:
    """Fold those that have kept much or for long, no more of them at once than must be."""
    due = [each for each in changes if each.urgency > 1.0]
    due.sort(key=lambda change: change.urgency, reverse=True)
    allowed = max(1, len(changes) // FOLD_SHARE)
    for number, change in enumerate(due):
        if number < allowed or change.urgency > 2.0:
            change.fold()


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
