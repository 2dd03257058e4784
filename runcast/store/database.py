"""The database of an index: short transactions on SQLite or PostgreSQL, through SQLAlchemy Core."""

from __future__ import annotations

import sqlite3
import time
from contextlib import ExitStack, contextmanager, nullcontext
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from sqlalchemy import bindparam, select
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from runcast.errors import StorageFull, StoreError
from runcast.store import schema

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from contextlib import AbstractContextManager
    from pathlib import Path

    from sqlalchemy import ColumnElement, Connection, Engine

__all__ = ["CHANGED", "Backend", "Database", "Locked", "is_unreachable"]

MOST_TRIES = 5
"""Times that a transaction is begun which others are in the way of."""


def is_unreachable(error: StoreError) -> bool:
    """Whether an error says that the database cannot be used at all now, whatever it is asked for."""
    cause = error.__cause__
    return isinstance(cause, (OperationalError, InterfaceError, PoolTimeout))


CHANGED = (
    select(schema.pulse.c.run, schema.run.c.project, schema.pulse.c.change)
    .join(schema.run, schema.run.c.id == schema.pulse.c.run, isouter=True)
    .where(schema.pulse.c.change > bindparam("since"))
    .order_by(schema.pulse.c.change)
)


class Locked(NamedTuple):
    """Runs that a transaction may change: the mark of each one's last change, and the mark that it is to give them."""

    marks: Mapping[str, int]
    mark: int


class Backend(Protocol):
    """What SQLite and PostgreSQL have to be told each in its own way."""

    place: str
    """The database, for messages; without a password."""
    network: str
    """The type of the network file system that it is on, or ""."""

    @property
    def next_mark(self) -> ColumnElement[int]:
        """The mark for what a writing transaction changes."""

    def create_engines(self) -> tuple[Engine, Engine]:
        """Return one for transactions that see one moment of the database, and one for those that may write."""

    def wait_for_migration(self, connection: Connection) -> None:
        """Wait, in a writing transaction, until nobody else changes tables."""

    def prepare(self, connection: Connection) -> bool:
        """Find out what `next_mark` needs; False if that takes a transaction that may write."""

    def lock(self, connection: Connection, runs: Sequence[str]) -> Locked:
        """Lock runs until the writing transaction ends. Those that are not known are left out."""

    def changes(self, connection: Connection, since: int) -> tuple[int, Sequence[Any]]:
        """Return what `Store.changes` does, of each run `run` and `project` (None for one that was deleted)."""

    def mark(self, connection: Connection) -> int:
        """Return the mark up to which nothing will change that a reader does not see by now."""

    def is_passing(self, error: DBAPIError) -> bool:
        """Whether a transaction may be begun anew at once, that met this when it locked its runs."""

    def is_full(self, error: BaseException) -> bool:
        """Whether there is no room for what was to be written."""

    def advice(self, error: BaseException) -> str:
        """Return what to do about an error."""


class Database:
    """Short transactions on one database; thread-safe. Whatever it objects to is raised as `StoreError`.

    On SQLite writers take turns; on PostgreSQL those that change the same run do. Reads see one moment, and wait for nobody.
    """

    def __init__(self, backend: Backend, fill: Callable[[Connection], None]) -> None:
        """Open the database and bring its tables up to date; `fill` fills those that an older runcast did not have."""
        self.backend = backend
        self.turns: AbstractContextManager[object] = nullcontext()
        """What is entered around each transaction that writes: a lock of processes that work together, since SQLite lets them poll."""
        self._reading, self._writing = backend.create_engines()
        try:
            with self.read() as connection:
                ready = schema.is_ready(connection, backend.place) and backend.prepare(connection)
            if not ready:
                with self.write() as connection:
                    backend.wait_for_migration(connection)
                    schema.make_ready(connection, backend.place, fill)
                    backend.prepare(connection)
        except BaseException:
            self.close()
            raise

    def upgrade(self, location: Path, version_table: str) -> None:
        """Bring other tables than the store's up to date, by the migrations in `location`/versions; see `migrations.upgrade`."""
        from runcast.store.migrations import upgrade

        with self.write() as connection:
            self.backend.wait_for_migration(connection)
            upgrade(connection, version_table, location)

    @property
    def engine(self) -> Engine:
        """The engine of transactions that may write, for tables that are not the store's own."""
        return self._writing

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """Open a transaction that sees one moment of the database."""
        with self._explained("read"), self._reading.begin() as connection:
            yield connection

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """Open a transaction that may write: committed at the end of the block, rolled back by an exception.

        Existing runs are changed by `change`, which locks them.
        """
        with self.turns, self._explained("write"), self._writing.begin() as connection:
            yield connection

    @contextmanager
    def change(self, runs: Sequence[str]) -> Iterator[tuple[Connection, Locked]]:
        """Open a transaction that may write, and lock the runs that it changes; see `write`.

        All locks are taken here, in the order of the runs' ids: so transactions wait for each other, but never in a circle,
        and one that is refused its locks has changed nothing and is begun anew.
        """
        with self.turns, self._explained("write"), ExitStack() as opened:
            connection, locked = self._locked(opened, sorted(runs))
            yield connection, locked

    def _locked(self, opened: ExitStack, runs: Sequence[str]) -> tuple[Connection, Locked]:
        for tries in range(1, MOST_TRIES + 1):
            try:
                with ExitStack() as attempt:
                    connection = attempt.enter_context(self._writing.begin())
                    locked = self.backend.lock(connection, runs)
                    opened.enter_context(attempt.pop_all())
                    return connection, locked
            except DBAPIError as error:
                if tries == MOST_TRIES or not self.backend.is_passing(error):
                    raise
            time.sleep(0.01 * tries)
        raise AssertionError

    def close(self) -> None:
        """Close the connections; the next transaction opens new ones."""
        self._writing.dispose()

    @contextmanager
    def _explained(self, verb: str) -> Iterator[None]:
        error: Any
        try:
            yield
        except DBAPIError as caught:
            error = caught
            reason = " ".join(str(error.orig).split())
        except (sqlite3.Error, PoolTimeout) as caught:
            error = caught
            reason = str(error)
        else:
            return
        place, advice = self.backend.place, self.backend.advice(error)
        kind = StorageFull if self.backend.is_full(error) else StoreError
        raise kind(f"cannot {verb} {place} ({reason}): {advice}") from error
