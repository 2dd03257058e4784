"""The index in one SQLite file that several recorders write and anyone reads."""

from __future__ import annotations

import re
import sqlite3
import time
from typing import TYPE_CHECKING, Any

from sqlalchemy import bindparam, create_engine, event, func, select

from runcast.store import schema
from runcast.store.database import CHANGED, Locked

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from sqlalchemy import ColumnElement, Connection, Engine
    from sqlalchemy.exc import DBAPIError

__all__ = ["SQLite", "network_filesystem"]

BUSY_TIMEOUT = 30.0
"""Seconds that a writer waits for the others."""

MOST_VARIABLES = 500
"""Values in one statement."""

_NETWORK = re.compile(r"nfs|cifs|smb|9p|ceph|gluster|lustre|beegfs|gpfs|afs|fuse\.")

_pulse = schema.pulse.c
_every = schema.pulse.alias().c
_NEXT = select(func.coalesce(func.max(_every.change), 0) + 1).scalar_subquery()
_MARKS = select(_pulse.run, _pulse.change, _NEXT.label("next")).where(
    _pulse.run.in_(bindparam("several", expanding=True)), ~_pulse.purged
)


class SQLite:
    """See `Backend`. Writers take turns (`BEGIN IMMEDIATE`, waiting up to `BUSY_TIMEOUT`), so a mark is one more than the greatest.

    On a local disk the file is in WAL mode, so reading never waits for writing. WAL needs shared memory, which network file
    systems lack: there it is a rollback journal.
    """

    def __init__(self, path: Path) -> None:
        self.place = str(path)
        self.network = network_filesystem(path.parent)

    @property
    def next_mark(self) -> ColumnElement[int]:
        """See `Backend`."""
        return _NEXT

    def create_engines(self) -> tuple[Engine, Engine]:
        """See `Backend`."""
        engine = create_engine(
            f"sqlite:///{self.place}", connect_args={"timeout": BUSY_TIMEOUT, "isolation_level": None}
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

        return engine, engine.execution_options(runcast_write=True)

    def wait_for_migration(self, connection: Connection) -> None:
        """See `Backend`: whoever may write is alone."""

    def prepare(self, connection: Connection) -> bool:  # noqa: ARG002
        """See `Backend`."""
        return True

    def lock(self, connection: Connection, runs: Sequence[str]) -> Locked:
        """See `Backend`: whoever may write has the lock on everything."""
        rows: list[Any] = []
        for at in range(0, len(runs), MOST_VARIABLES):
            rows += connection.execute(_MARKS, {"several": runs[at : at + MOST_VARIABLES]})
        return Locked({row.run: row.change for row in rows}, rows[0].next if rows else 0)

    def changes(self, connection: Connection, since: int) -> tuple[int, Sequence[Any]]:
        """See `Backend`."""
        rows = connection.execute(CHANGED, {"since": since}).all()
        return (rows[-1].change if rows else since), rows

    def mark(self, connection: Connection) -> int:
        """See `Backend`."""
        return connection.scalar(select(func.max(_pulse.change))) or 0

    def is_passing(self, error: DBAPIError) -> bool:  # noqa: ARG002
        """See `Backend`: SQLite has waited."""
        return False

    def is_full(self, error: BaseException) -> bool:
        """See `Backend`."""
        return "disk is full" in str(getattr(error, "orig", error))

    def advice(self, error: BaseException) -> str:
        """See `Backend`."""
        reason = str(getattr(error, "orig", error))
        if "full" in reason:
            return "free space on its disk; what is missing is recorded then"
        if "locked" in reason or "busy" in reason:
            return "another process keeps it busy; try again"
        if "readonly" in reason or "unable to open" in reason:
            return "check its permissions, or set RUNCAST_DIR to a folder that can be written"
        return "check that it is the store's database and that the disk is sound"


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
