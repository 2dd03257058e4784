"""What the rooms of access stand on: the database, the clock, and whom to tell of a change."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from sqlalchemy import select
from sqlalchemy.dialects import postgresql, sqlite

from runcast.server.access import schema

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager
    from pathlib import Path

    from sqlalchemy import Connection, Table

__all__ = ["Database", "Ground", "insert_new"]


class Database(Protocol):
    """The store's database: short transactions, of which one at a time writes on SQLite."""

    def read(self) -> AbstractContextManager[Connection]:
        """Open a transaction that sees one moment of the database."""

    def write(self) -> AbstractContextManager[Connection]:
        """Open a transaction that may write: committed at the end of the block, rolled back by an exception."""

    def upgrade(self, location: Path, version_table: str) -> None:
        """Bring tables up to date by the migrations in `location`/versions, while nobody else does."""


@dataclass
class Ground:
    """A database and a clock. `revoked` is called after each change that takes something away, once it is committed."""

    database: Database
    clock: Callable[[], float]
    revoked: list[Callable[[], None]] = field(default_factory=list)

    def now(self) -> float:
        """Return the time, in seconds since the epoch."""
        return self.clock()

    def read(self) -> AbstractContextManager[Connection]:
        """See `Database.read`."""
        return self.database.read()

    def grant(self) -> AbstractContextManager[Connection]:
        """Open a transaction that only adds to what anyone may do. Nobody is told: a refusal is never from memory."""
        return self.database.write()

    @contextmanager
    def change(self) -> Iterator[Connection]:
        """Open a transaction that may take something away; whoever remembers what was allowed is told to ask again."""
        with self.database.write() as connection:
            connection.execute(schema.epoch.update().values(number=schema.epoch.c.number + 1))
            yield connection
        for tell in self.revoked:
            tell()

    def epoch(self) -> int:
        """Return a number that grows whenever something is taken away, by any process."""
        with self.database.read() as connection:
            return connection.scalar(select(schema.epoch.c.number)) or 0


def insert_new(connection: Connection, table: Table, values: dict[str, Any]) -> bool:
    """Insert a row, and say whether it is new: one that is there already stays as it is."""
    dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
    insert = dialect.insert(table).values(values).on_conflict_do_nothing()
    # SQLAlchemy counts inserted rows on request only.
    return connection.execute(insert.execution_options(preserve_rowcount=True)).rowcount == 1
