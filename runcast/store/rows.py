"""Rows that one transaction writes, gathered: each table takes one statement, however many files were appended to."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Any, NamedTuple, cast

from sqlalchemy import bindparam

from runcast.store import schema
from runcast.store.upsert import Upsert

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sqlalchemy import Connection, Executable

__all__ = [
    "ADD_CHUNK",
    "ADD_FILE",
    "ADD_RECENT",
    "ADD_SERIES",
    "ADD_SUMMARY",
    "ADD_TAIL",
    "DROP_CHUNKS",
    "DROP_RECENT",
    "PUT_PART",
    "SET_FILE",
    "SET_SPAN",
    "NotConnectedError",
    "Numbered",
    "Rows",
]

_chunk = schema.chunk.c
_file = schema.file.c

# Statements are made once: making one takes longer than running it.
DROP_CHUNKS = schema.chunk.delete().where(
    _chunk.run == bindparam("of_run"),
    _chunk.series == bindparam("of_series"),
    _chunk.file == bindparam("of_file"),
    _chunk.seq >= bindparam("from_seq"),
)
ADD_CHUNK = schema.chunk.insert()
ADD_FILE = schema.file.insert()
ADD_SERIES = schema.series.insert()
ADD_SUMMARY = schema.summary.insert()
DROP_RECENT = schema.recent.delete().where(schema.recent.c.run == bindparam("of_run"))
ADD_RECENT = schema.recent.insert()
ADD_TAIL = schema.tail.insert()
PUT_PART = Upsert(schema.part)
SET_SPAN = (
    schema.file.update()
    .where(_file.run == bindparam("of_run"), _file.id == bindparam("of_file"))
    .values({name: bindparam(name) for name in ("first_wall_time", "last_wall_time", "sessions")})
)
SET_FILE = (
    schema.file.update()
    .where(_file.run == bindparam("of_run"), _file.id == bindparam("of_file"))
    .values({name: bindparam(name) for name in ("size", "synced", "unsynced_crc", "records", "skipped")})
)

_ORDER = (
    ADD_FILE,
    ADD_SERIES,
    DROP_CHUNKS,
    ADD_CHUNK,
    PUT_PART,
    ADD_SUMMARY,
    SET_SPAN,
    SET_FILE,
    DROP_RECENT,
    ADD_RECENT,
    ADD_TAIL,
)
"""Merged chunks go before the one that takes their place comes; what is recent goes before numbers begin anew."""


class NotConnectedError(Exception):
    """What was to be worked out ahead of a transaction has to read the database."""


class _Unconnected:
    """Stands where there is no connection yet."""

    def __getattr__(self, name: str) -> Any:
        raise NotConnectedError(name)


class Numbered(NamedTuple):
    """The files (id, path) and series (id, root, source, tag, plugin) of a run that got their numbers in a transaction."""

    files: list[tuple[int, str]]
    series: list[tuple[int, str, str, str, str]]


class Rows:
    """Gathers rows within the transaction of `connection`. What is to be read again, or changed, must be flushed first."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.touched: defaultdict[str, set[int]] = defaultdict(set)
        """The series of each run of which parts were written."""
        self.numbered: defaultdict[str, Numbered] = defaultdict(lambda: Numbered([], []))
        """What is new of each run."""
        self._gathered: dict[Executable | Upsert, list[dict[str, Any]]] = {
            statement: [] for statement in _ORDER
        }

    @classmethod
    def ahead(cls) -> Rows:
        """Return rows to be gathered before the transaction begins; whatever would have to read raises `NotConnectedError`."""
        return cls(cast("Connection", _Unconnected()))

    def take(self, others: Rows) -> None:
        """Take up rows that were gathered ahead."""
        for run, series in others.touched.items():
            self.touched[run] |= series
        for run, (files, several) in others.numbered.items():
            self.numbered[run].files.extend(files)
            self.numbered[run].series.extend(several)
        for statement, rows in others._gathered.items():
            self._gathered[statement] += rows

    def add(self, statement: Executable | Upsert, rows: Iterable[dict[str, Any]]) -> None:
        """Gather rows for one of this module's statements."""
        gathered = self._gathered[statement]
        if statement is PUT_PART:
            rows = list(rows)
            for row in rows:
                self.touched[row["run"]].add(row["series"])
        gathered += rows

    def flush(self) -> None:
        """Write what was gathered."""
        for statement, rows in self._gathered.items():
            if rows:
                on_here = statement.on(self.connection) if isinstance(statement, Upsert) else statement
                self.connection.execute(on_here, rows)
                rows.clear()
