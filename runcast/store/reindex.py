"""The index anew, from the files of runs alone: their event files, and what `store.jsonl` or `run.jsonl` says of them."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from sqlalchemy import bindparam, func, select

from runcast.errors import RunLocked, StoreError
from runcast.events.decode import Decoder
from runcast.run.record import OWN_ROOT
from runcast.run.state import read_state
from runcast.store import journal, schema
from runcast.store.catalog import WORDS
from runcast.store.fields import refill
from runcast.store.files import PIECE
from runcast.store.forward import Growth
from runcast.store.paths import FilePath
from runcast.store.upsert import Upsert

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from sqlalchemy import Connection

    from runcast.store.change import Change
    from runcast.store.database import Database
    from runcast.store.journal import Journaled
    from runcast.store.places import Held, RunFiles
    from runcast.store.writer import Writer

__all__ = ["Reindex", "Reindexed"]

_DERIVED = ("chunk", "part", "summary", "recent", "series", "file", "metric", "field")
"""The tables of which a run's rows are made anew."""

_file = schema.file.c
_part = schema.part.c
_pulse = schema.pulse.c
_run = schema.run.c
_series = schema.series.c

_NUMBERS = select(_file.path, _file.id).where(_file.run == bindparam("of_run"))
_ROW = select(schema.run).where(_run.id == bindparam("of_run"))
_BARREN = schema.series.delete().where(
    _series.run == bindparam("of_run"),
    ~select(_part.series).where(_part.run == _series.run, _part.series == _series.id).exists(),
)
_ADD_RUN = Upsert(schema.run, keep=True)
_ADD_PULSE = Upsert(schema.pulse, keep=True)
_COLUMNS = ("id", "project", "name", "state", "created", "ended", "config", "facts", "edited", "trashed")


@dataclass(frozen=True, slots=True)
class Reindexed:
    """What became of one run; `why` says it of one that was not rebuilt."""

    run: str
    outcome: Literal["rebuilt", "recording", "unknown", "purged", "failed"]
    why: str = ""


class Reindex:
    """Rebuilds runs, one after the other, each in one transaction: readers see the old index or the new.

    Numbers of series, names, people's edits and the trash are as they were: the store's journal has them. Where there is none (an
    older runcast recorded the run), the row that the database has is kept, or the run's own journal is taken, and a journal
    is begun. The bytes that are there are trusted, up to the last whole record; what one crashed process had written
    and not yet noted is taken up with them.
    """

    def __init__(
        self, files: RunFiles, database: Database, writer: Writer, clock: Callable[[], float]
    ) -> None:
        self._files = files
        self._database = database
        self._writer = writer
        self._transactions = writer.transactions
        self._clock = clock
        self._decoder = Decoder()
        self._recalled = False

    def runs(self) -> list[str]:
        """Return the ids of the runs of which there are files. Raises `StoreError`."""
        self._recall()
        return list(self._files.runs())

    def _recall(self) -> None:
        """Have the database know which runs were deleted for good, once: also whoever still records one is not to bring it back."""
        if self._recalled:
            return
        buried = sorted(set(self._files.buried()))
        if buried:
            with self._database.write() as connection:
                gone = {"change": self._next_mark(connection), "heartbeat": None, "purged": True}
                connection.execute(_ADD_PULSE.on(connection), [{"run": run, **gone} for run in buried])
        self._recalled = True

    def _next_mark(self, connection: Connection) -> int:
        mark: int = connection.scalar(select(self._database.backend.next_mark)) or 0
        if connection.scalar(select(func.count()).select_from(schema.pulse)) == 0:
            # Marks begin anew in a new database; nobody who remembers one of the old is to miss what comes.
            mark = max(mark, int(self._clock() * 1000))
        return mark

    def rebuild(self, run: str) -> Reindexed:
        """Rebuild a run, unless it is being recorded on this machine. Raises nothing that is the run's own."""
        try:
            self._recall()
            with self._files.locked(run):
                said = journal.replay(self._files.read_journal(run))
                row = self._row(run, said)
                if row is None:
                    return Reindexed(
                        run, "unknown", "nothing says what it is: it has no store.jsonl or run.jsonl"
                    )
                if not self._make_known(run, row, said):
                    self._files.bury(run, self._clock())
                    self._files.remove(run)
                    return Reindexed(
                        run, "purged", "it was deleted for good; what was left of it is deleted now"
                    )
                with self._transactions.changing(run) as change:
                    self._rebuild(change, run, row, said)
        except RunLocked as error:
            return Reindexed(run, "recording", str(error))
        except StoreError as error:
            return Reindexed(run, "failed", str(error))
        self._writer.forget(run)
        return Reindexed(run, "rebuilt")

    def _row(self, run: str, said: Journaled) -> dict[str, Any] | None:
        """Return the columns of a run's row, config and facts as values; None if nothing says what the run is."""
        if said.is_whole:
            row = said.run
        else:
            with self._database.read() as connection:
                known = connection.execute(_ROW, {"of_run": run}).first()
            if known is not None:
                row = {name: getattr(known, name) for name in _COLUMNS}
                row |= {name: json.loads(row[name]) for name in journal.MERGED}
            elif (found := self._recorded(run)) is not None:
                row = journal.merged(found, said.run)
            else:
                return None
        return {"ended": None, "edited": "[]", "trashed": None, **row}

    def _recorded(self, run: str) -> dict[str, Any] | None:
        """Return what the run's own journal says it is, where that is on this disk."""
        try:
            state = read_state(self._files.local_path(run, "run.jsonl"))
        except StoreError:
            return None
        record = state.run
        if record is None:
            return None
        names = ("id", "project", "name", "state", "created", "ended", "config", "facts")
        return {
            **{name: getattr(record, name) for name in names},
            "heartbeat": state.updated or record.created,
        }

    def _make_known(self, run: str, row: Mapping[str, Any], said: Journaled) -> bool:
        """Make the run known if it is not, and say whether it may be."""
        with self._database.write() as connection:
            mark = self._next_mark(connection)
            heartbeat = max((time for time in (row.get("heartbeat"), said.time) if time), default=None)
            if row["ended"] is not None:
                heartbeat = row.get("heartbeat")
            pulse = {"run": run, "change": mark, "heartbeat": heartbeat}
            if connection.execute(_ADD_PULSE.on(connection), pulse).rowcount:
                connection.execute(_ADD_RUN.on(connection), _columns(row))
                return True
            return connection.execute(_ROW, {"of_run": run}).first() is not None

    def _rebuild(self, change: Change, run: str, row: Mapping[str, Any], said: Journaled) -> None:
        connection, of_run = change.connection, {"of_run": run}
        change.rows.flush()
        change.memory.hold(-1)
        recorded = set(said.files.values())
        held = {each.path: each for each in self._files.held(run, recorded) if _is_kept(each.path, recorded)}
        words = {each.path: tuple(each)[1:] for each in connection.execute(WORDS, of_run)} | said.words
        numbers = _numbered(
            {**held, **words}, said, {each.path: each.id for each in connection.execute(_NUMBERS, of_run)}
        )
        for name in _DERIVED:
            table = schema.metadata.tables[name]
            connection.execute(table.delete().where(table.c.run == run))
        connection.execute(schema.run.update().where(_run.id == run).values(_columns(row)))
        series = [
            {"run": run, "id": number, "root": root, "source": source, "tag": tag, "plugin": plugin}
            for number, (root, source, tag, plugin) in _last_of_each(said.series).items()
        ]
        if series:
            connection.execute(schema.series.insert(), series)
        for path, number in sorted(numbers.items(), key=lambda item: item[1]):
            self._add_file(connection, run, path, number, words.get(path, ("", 0, "recording", "")))
            if path in held:
                self._files.adopt(connection, run, number, held[path])
        for path in sorted(held, key=lambda path: numbers[path]):
            self._index(change, run, held[path])
        change.fold()
        change.rows.flush()
        connection.execute(_BARREN, of_run)
        change.rows.numbered.clear()  # what was found to be new is what the journal says, or is said now
        if not said.is_whole:
            whole = {name: row.get(name) for name in (*_COLUMNS, "heartbeat")}
            self._files.journal(connection, run, journal.created(whole, self._clock()))
        missing = {number: path for path, number in numbers.items() if said.files.get(number) != path}
        found = connection.execute(select(schema.series).where(_series.run == run))
        keys = {each.id: (each.root, each.source, each.tag, each.plugin) for each in found}
        new = [(number, *key) for number, key in keys.items() if said.series.get(number) != key]
        if missing or new:
            self._files.journal(connection, run, journal.numbered(missing.items(), new, self._clock()))
        change.memory.names = None
        refill(connection, [run])

    def _add_file(self, connection: Connection, run: str, path: str, number: int, words: Any) -> None:
        place = FilePath.parse(path)
        row = {"run": run, "id": number, "path": path, "root": place.root, "source": place.source}
        zero = dict.fromkeys(("size", "synced", "unsynced_crc", "records", "skipped"), 0)
        row |= {**zero, "sessions": "[]"}
        row |= dict(zip(("source_path", "source_size", "state", "why"), words, strict=True))
        connection.execute(schema.file.insert(), row)

    def _index(self, change: Change, run: str, held: Held) -> None:
        """Index a file's bytes; of an event file those up to the end of its last whole record."""
        path, limit = held.path, held.size
        place = FilePath.parse(path)
        file = change.file(path)
        if not self._files.is_durable:
            self._files.sync(run, path)
        if not place.is_event_file:
            file.size = file.synced = limit
            change.write(file)
            return
        reach = PIECE
        while file.size < limit:
            end = min(limit, file.size + reach)
            data = self._files.read(run, path, file.size, end, connection=change.connection)
            batch = self._decoder.decode(data, file.size, skip=end == limit)
            if batch.stop > file.size:
                taken = memoryview(data)[: batch.stop - file.size]
                change.grow([Growth(file, place, taken, batch, synced=True)])
                change.rows.flush()
            elif end == limit:
                break
            else:
                reach *= 2  # a record longer than a piece, or bytes that are to be passed over


def _is_kept(path: str, recorded: set[str]) -> bool:
    """Whether a file is the store's: of what a run writes beside its files, in the same folder, only what was recorded is."""
    place = FilePath.parse(path)
    if place.root == OWN_ROOT:
        return path in recorded or place.is_event_file
    return path in recorded or not place.is_console


def _numbered(paths: Iterable[str], said: Journaled, known: Mapping[str, int]) -> dict[str, int]:
    """Return each file's number: the one that it has or had, or a new one."""
    had = {path: number for number, path in said.files.items()}
    taken: dict[int, str] = {}
    for path in paths:
        if (number := known.get(path, had.get(path))) is not None:
            taken.setdefault(number, path)
    numbers = {path: number for number, path in taken.items()}
    last = max((*taken, *said.files, *known.values()), default=0)
    for path in sorted(set(paths) - numbers.keys()):
        last += 1
        numbers[path] = last
    return numbers


def _last_of_each(series: Mapping[int, tuple[str, str, str, str]]) -> dict[int, tuple[str, str, str, str]]:
    """Return numbers and keys, each key once: one that was said of two numbers got the later."""
    numbers = {key: number for number, key in series.items()}
    return {number: key for key, number in numbers.items()}


def _columns(row: Mapping[str, Any]) -> dict[str, Any]:
    found = {name: row.get(name) for name in _COLUMNS}
    return {**found, **{name: json.dumps(row.get(name) or {}, separators=(",", ":"), default=str) for name in journal.MERGED}}  # fmt: skip
