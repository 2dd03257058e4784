"""The index on PostgreSQL, for several servers at once. Needs psycopg."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlalchemy import (
    BigInteger,
    Text,
    bindparam,
    cast,
    create_engine,
    event,
    func,
    literal,
    make_url,
    select,
)
from sqlalchemy.exc import ArgumentError

from runcast.errors import MissingPackage, StoreError
from runcast.store import schema
from runcast.store.database import CHANGED, Locked

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy import Connection, Engine
    from sqlalchemy.exc import DBAPIError

__all__ = ["PostgreSQL"]

MIGRATION_LOCK = 0x72756E63617374
"""The number of the advisory lock that whoever changes tables holds."""

CONNECT_TIMEOUT = 10
"""Seconds to wait for a connection, unless the URL says otherwise."""

MOST_CONNECTIONS = 30
"""Of one process."""

_SESSION = {
    "lock_timeout": "30s",  # as long as SQLite's writers wait for the others
    "jit": "off",  # compiling takes longer than any of these statements should
    "plan_cache_mode": "force_custom_plan",  # how to find runs hangs on what is asked for
    "idle_in_transaction_session_timeout": "60s",  # a machine that is gone must not keep its locks
}

_ADVICE = {
    "28": "check the user and the password in its URL",
    "3D": "create the database (`createdb`), or check its name in the URL",
    "40": "others changed the same at the same time; try again",
    "53100": "free space on its disk; what is missing is recorded then",
    "53": "it is out of connections or memory; see its log",
    "25006": "it can only be read: a standby, perhaps; give the URL of the primary",
    "42501": "let its user create and change tables in the schema (`GRANT`)",
    "55P03": "others keep it busy; try again",
    "57": "it is being stopped or started; try again",
}
"""What to do, by SQLSTATE or its class."""

_pulse = schema.pulse.c
_snapshot = func.pg_current_snapshot()


def _number(transaction: Any) -> Any:
    return cast(cast(transaction, Text), BigInteger)


class PostgreSQL:
    """See `Backend`. Transactions that change different runs go on side by side; each run's row in `pulse` is its lock.

    A mark must never become visible after a reader has gone past it, or the reader would miss a change. A counter that
    everybody takes the next number of would have to be locked until the commit, so all would wait for each other's commits.
    So a mark is the number of the transaction (`pg_current_xact_id`), which costs nothing, and `changes` goes no further than
    the oldest transaction that still runs: what ended in the meantime beyond it is told now, and told again with the next
    look, rather than missed. A transaction that goes on for long makes readers hear things again, nothing worse.

    Transactions are numbered by the server. Where a dump is restored on another one their numbers may be lower than the
    marks that are there: `store.base`, which is added to them, makes up for that.
    """

    network = ""

    def __init__(self, url: str) -> None:
        try:
            given = make_url(url)
            known = given.get_backend_name() in {"postgresql", "postgres"}
        except ArgumentError:
            known = False
        if not known:
            raise StoreError(
                "the database's URL cannot be understood: write postgresql://user:password@host:5432/name"
            )
        self._url = given.set(drivername="postgresql+psycopg")
        self.place = self._url.set(drivername="postgresql", query={}).render_as_string(hide_password=True)
        self._base = 0
        self._lock = select(_pulse.run, _pulse.change)

    @property
    def next_mark(self) -> Any:
        """See `Backend`."""
        return _number(func.pg_current_xact_id()) + literal(self._base, BigInteger)

    def create_engines(self) -> tuple[Engine, Engine]:
        """See `Backend`. Connections are tried before they are used: the server may have been started anew."""
        try:
            from psycopg import Cursor
            from psycopg.pq import Format
            from psycopg.types.string import BytesBinaryDumper
        except ImportError as error:
            raise MissingPackage(
                "a store on PostgreSQL needs psycopg: `pip install 'runcast[server]'`"
            ) from error

        class Binary(Cursor[Any]):
            """Takes results as bytes: chunks of points twice as long as text would take their time."""

            def __init__(self, *args: Any, **options: Any) -> None:
                super().__init__(*args, **options)
                self.format = Format.BINARY

        arguments: dict[str, Any] = {"cursor_factory": Binary}
        if "connect_timeout" not in self._url.query:
            arguments["connect_timeout"] = CONNECT_TIMEOUT
        if "application_name" not in self._url.query:
            arguments["application_name"] = "runcast"
        engine = create_engine(
            self._url,
            connect_args=arguments,
            pool_pre_ping=True,
            pool_size=MOST_CONNECTIONS // 2,
            max_overflow=MOST_CONNECTIONS - MOST_CONNECTIONS // 2,
        )

        @event.listens_for(engine, "connect")
        def _connect(connection: Any, _record: Any) -> None:
            connection.adapters.register_dumper(bytes, BytesBinaryDumper)
            for name, value in _SESSION.items():
                connection.execute(f"set {name} = '{value}'")
            connection.commit()

        reading = engine.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)
        return reading, engine

    def wait_for_migration(self, connection: Connection) -> None:
        """See `Backend`."""
        connection.execute(select(func.pg_advisory_xact_lock(MIGRATION_LOCK)))

    def prepare(self, connection: Connection) -> bool:
        """See `Backend`: move the base on where this server numbers transactions lower than the one that had them before."""
        base = connection.execute(select(schema.store.c.base)).scalar_one()
        now = connection.execute(select(_number(func.pg_snapshot_xmax(_snapshot)))).scalar_one()
        latest = connection.scalar(select(func.max(_pulse.change))) or 0
        if latest >= base + now:
            if connection.get_execution_options().get("postgresql_readonly"):
                return False
            base = latest + 1 - now
            connection.execute(schema.store.update().values(base=base))
        self._base = base
        self._lock = (
            select(_pulse.run, _pulse.change, self.next_mark.label("next"))
            .where(_pulse.run.in_(bindparam("several", expanding=True)), ~_pulse.purged)
            .order_by(_pulse.run)
            .with_for_update()
        )
        return True

    def lock(self, connection: Connection, runs: Sequence[str]) -> Locked:
        """See `Backend`."""
        rows = connection.execute(self._lock, {"several": runs}).all()
        return Locked({row.run: row.change for row in rows}, rows[0].next if rows else 0)

    def changes(self, connection: Connection, since: int) -> tuple[int, Sequence[Any]]:
        """See `Backend`."""
        return max(since, self.mark(connection)), connection.execute(CHANGED, {"since": since}).all()

    def mark(self, connection: Connection) -> int:
        """See `Backend`."""
        oldest: int = connection.execute(select(_number(func.pg_snapshot_xmin(_snapshot)))).scalar_one()
        return oldest + self._base - 1

    def is_passing(self, error: DBAPIError) -> bool:
        """See `Backend`."""
        state = getattr(error.orig, "sqlstate", None) or ""
        return error.connection_invalidated or state.startswith("40")

    def is_full(self, error: BaseException) -> bool:
        """See `Backend`."""
        return getattr(getattr(error, "orig", None), "sqlstate", None) == "53100"

    def advice(self, error: BaseException) -> str:
        """See `Backend`."""
        state = getattr(getattr(error, "orig", None), "sqlstate", None) or ""
        for known in (state, state[:2]):
            if known in _ADVICE:
                return _ADVICE[known]
        if not state:  # psycopg tells none where there was no connection
            refused = str(getattr(error, "orig", error))
            if "database" in refused and "does not exist" in refused:
                return _ADVICE["3D"]
            if "role" in refused or "password" in refused:
                return _ADVICE["28"]
            return "check that PostgreSQL runs there and can be reached; what is missing is recorded then"
        return "see its log"
