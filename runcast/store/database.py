"""One SQLite file that several recorders write and anyone reads, through SQLAlchemy Core."""

from __future__ import annotations

import re
import sqlite3
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from sqlalchemy import create_engine, event
from sqlalchemy.exc import DBAPIError

from runcast.errors import StoreError
from runcast.store import schema

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from sqlalchemy import Connection, Engine

__all__ = ["Database", "network_filesystem"]

BUSY_TIMEOUT = 30.0
"""Seconds that a writer waits for the others."""

_NETWORK = re.compile(r"nfs|cifs|smb|9p|ceph|gluster|lustre|beegfs|gpfs|afs|fuse\.")


class Database:
    """Short transactions on one SQLite file; thread-safe.

    Writes are serialised by SQLite (`BEGIN IMMEDIATE`, waiting up to `BUSY_TIMEOUT`), reads see one moment. On a local disk the
    file is in WAL mode, so reading never waits for writing. WAL needs shared memory, which network file systems lack: there
    it is a rollback journal. Whatever SQLite objects to is raised as `StoreError`.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.network = network_filesystem(path.parent)
        self._engine = self._create_engine()
        with self.read() as connection:
            known = schema.is_ready(connection, str(path))
        if not known:
            with self.write() as connection:
                schema.create(connection)

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """Open a transaction that sees one moment of the database."""
        with self._explained("read"), self._engine.begin() as connection:
            yield connection

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """Open a transaction that may write: committed at the end of the block, rolled back by an exception."""
        with self._explained("write"), self._engine.connect() as connection:
            connection = connection.execution_options(runcast_write=True)  # noqa: PLW2901 - the same connection
            with connection.begin():
                yield connection

    def close(self) -> None:
        """Close the connections; the next transaction opens new ones."""
        self._engine.dispose()

    def _create_engine(self) -> Engine:
        engine = create_engine(
            f"sqlite:///{self.path}", connect_args={"timeout": BUSY_TIMEOUT, "isolation_level": None}
        )

        @event.listens_for(engine, "connect")
        def _connect(connection: sqlite3.Connection, _record: Any) -> None:
            _set_journal(connection, "delete" if self.network else "wal")
            connection.execute(f"pragma synchronous = {'full' if self.network else 'normal'}")

        @event.listens_for(engine, "begin")
        def _begin(connection: Connection) -> None:
            # The driver would begin late and only for some statements; a writer has to take its turn before it reads.
            write = connection.get_execution_options().get("runcast_write")
            connection.exec_driver_sql("BEGIN IMMEDIATE" if write else "BEGIN")

        return engine

    @contextmanager
    def _explained(self, verb: str) -> Iterator[None]:
        try:
            yield
        except DBAPIError as error:
            raise StoreError(self._explanation(verb, str(error.orig))) from error
        except sqlite3.Error as error:
            raise StoreError(self._explanation(verb, str(error))) from error

    def _explanation(self, verb: str, reason: str) -> str:
        advice = "check that it is the store's database and that the disk is sound"
        if "full" in reason:
            advice = "free space on its disk; what is missing is recorded then"
        elif "locked" in reason or "busy" in reason:
            advice = "another process keeps it busy; try again"
        elif "readonly" in reason or "unable to open" in reason:
            advice = "check its permissions, or set RUNCAST_DIR to a folder that can be written"
        return f"cannot {verb} {self.path} ({reason}): {advice}"


def _set_journal(connection: sqlite3.Connection, mode: str) -> None:
    """Set the journal mode, which is the file's, not the connection's.

    Changing it needs the file alone for a moment, and SQLite does not wait for that as it waits for a write.
    """
    deadline = time.monotonic() + BUSY_TIMEOUT
    while True:
        try:
            if connection.execute("pragma journal_mode").fetchone()[0] != mode:
                connection.execute(f"pragma journal_mode = {mode}")
        except sqlite3.OperationalError as error:  # noqa: PERF203 - one round is the rule
            if "locked" not in str(error) or time.monotonic() > deadline:
                raise
            time.sleep(0.01)
        else:
            return


def network_filesystem(folder: Path) -> str:
    """Return the type of the network file system that holds `folder`, or "" (also where it cannot be told: not on Linux)."""
    try:
        with open("/proc/self/mounts", encoding="utf-8", errors="replace") as mounts:  # noqa: PTH123 - no path of ours
            lines = mounts.read().splitlines()
    except OSError:
        return ""
    place = folder.resolve()
    found = (-1, "")
    for line in lines:
        fields = line.split()
        if len(fields) < 3:
            continue
        mount = re.sub(r"\\([0-7]{3})", lambda octal: chr(int(octal[1], 8)), fields[1])
        if (place.is_relative_to(mount)) and len(mount) >= found[0]:
            found = (len(mount), fields[2])
    return found[1] if _NETWORK.match(found[1]) else ""
