"""The index's tables. Every key leads with the run, so that a larger database can be sharded by it.

    store      one row: which schema this is
    run        what a run is
    pulse      when a run was last alive, and the mark of its last change: all that every append writes of a run; who changes a
               run locks its row. It stays when the run is deleted for good
    file       a file of a run: recorded bytes, and the span of wall time that its events cover
    series     (root, source, tag, plugin) → a number within the run
    part       what one file holds of one series: bounds over the points that count
    chunk      a part's scalar points as compressed columns, in file order
    summary    a part's other summaries: where their bytes are in the file
    recent     what the newest appends brought of many files, until it is moved to `file`, `part` and `chunk`
    metric     last, least and greatest value of each scalar series, for finding and ordering runs (see `fields`)
    field      what else runs are found and ordered by: config, summary and labels, one row a value
    retention  how long a project keeps its runs
    tail       where files are in a bucket: the bytes at a file's end that are in no object yet
    segment    where files are in a bucket: the object that has a file's bytes from `start` to `stop`, of a whole file all of them

Within a major version, changes are additive: an older runcast reads what a newer one wrote of the same schema number.

The database is SQLite or PostgreSQL; `types` says what is done about their differences. Changing a table here needs a migration
in `migrations/versions`, and `REVISION` is the newest one's number.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import (
    DDL,
    BigInteger,
    Boolean,
    Column,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
    event,
    false,
    inspect,
    select,
)

from runcast.errors import StoreError
from runcast.store.types import Real, RunId, Words

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy import Connection

__all__ = [
    "REVISION",
    "SCHEMA",
    "VERSION_TABLE",
    "chunk",
    "field",
    "file",
    "is_ready",
    "make_ready",
    "metadata",
    "metric",
    "part",
    "pulse",
    "recent",
    "retention",
    "run",
    "segment",
    "series",
    "store",
    "summary",
    "tail",
]

SCHEMA = 2
"""The major version: an older runcast must not touch a store whose number is greater than its own."""

REVISION = "0002"
"""The newest migration. Greater ones of the same schema only add to it, so they are no obstacle."""

VERSION_TABLE = "store_version"

metadata = MetaData()

_version = Table(VERSION_TABLE, MetaData(), Column("version_num", String(32), primary_key=True))  # Alembic's

store = Table(
    "store",
    metadata,
    Column("schema", Integer, nullable=False),
    Column("base", BigInteger, nullable=False, server_default="0"),  # of PostgreSQL's marks
)

run = Table(
    "run",
    metadata,
    Column("id", RunId, primary_key=True),
    Column("project", Words, nullable=False),
    Column("name", Words, nullable=False),
    Column("state", String(16), nullable=False),
    Column("created", Real, nullable=False),
    Column("ended", Real),
    Column("trashed", Real),  # when it was put into the trash
    Column("config", Text, nullable=False),
    Column("facts", Text, nullable=False),
    Column("edited", Text, nullable=False, server_default="[]"),  # JSON: the names of what a person changed
    Index("run_by_created", "created", "id"),
    Index("run_by_project", "project", "created", "id"),
    Index("run_by_trashed", "trashed"),
)

pulse = Table(
    "pulse",
    metadata,
    Column("run", RunId, primary_key=True),
    Column("change", BigInteger, nullable=False),
    Column("heartbeat", Real),
    Column("purged", Boolean, nullable=False, server_default=false()),
    Index("pulse_by_change", "change"),
    postgresql_with={"fillfactor": 50},
)

file = Table(
    "file",
    metadata,
    Column("run", RunId, primary_key=True),
    Column("id", Integer, primary_key=True),
    Column("path", Words, nullable=False),
    Column("root", Words, nullable=False),
    Column("source", Words, nullable=False),
    Column("size", BigInteger, nullable=False),
    Column(
        "synced", BigInteger, nullable=False
    ),  # bytes that were on disk, for sure, before this was committed
    Column("unsynced_crc", BigInteger, nullable=False),  # checksum of the bytes from there to `size`
    Column("records", BigInteger, nullable=False),
    Column("skipped", BigInteger, nullable=False),
    Column("first_wall_time", Real),
    Column("last_wall_time", Real),
    Column("sessions", Text, nullable=False),  # JSON: [[step, wall_time], …] of SessionLog.START
    Column("source_path", Words, nullable=False),
    Column("source_size", BigInteger, nullable=False),
    Column("state", Text, nullable=False),
    Column("why", Words, nullable=False),
    UniqueConstraint("run", "path"),
    Index("file_by_source", "run", "root", "source"),
)

series = Table(
    "series",
    metadata,
    Column("run", RunId, primary_key=True),
    Column("id", Integer, primary_key=True),
    Column("root", Words, nullable=False),
    Column("source", Words, nullable=False),
    Column("tag", Words, nullable=False),
    Column("plugin", Words, nullable=False),
    UniqueConstraint("run", "root", "source", "tag", "plugin"),
)


def _bounds() -> list[Column[int] | Column[float]]:
    """Return the columns of a `Bounds`."""
    return [
        Column("count", BigInteger, nullable=False),
        Column("first_step", BigInteger, nullable=False),
        Column("last_step", BigInteger, nullable=False),
        Column("last_wall_time", Real),
        Column("last", Real),
        Column("min", Real),
        Column("max", Real),
    ]


part = Table(
    "part",
    metadata,
    Column("run", RunId, primary_key=True),
    Column("series", Integer, primary_key=True),
    Column("file", Integer, primary_key=True),
    Column("start", BigInteger, nullable=False),  # the lowest step, whether it counts or not
    Column("next_seq", Integer, nullable=False),
    Column("cut", BigInteger),  # steps from here on are superseded by other files
    *_bounds(),
)

chunk = Table(
    "chunk",
    metadata,
    Column("run", RunId, primary_key=True),
    Column("series", Integer, primary_key=True),
    Column("file", Integer, primary_key=True),
    Column("seq", Integer, primary_key=True),
    Column(
        "points", Integer, nullable=False
    ),  # all of them; the bounds are over those that later ones leave standing
    *_bounds(),
    Column("columns", LargeBinary, nullable=False),
)

summary = Table(
    "summary",
    metadata,
    Column("run", RunId, primary_key=True),
    Column("series", Integer, primary_key=True),
    Column("file", Integer, primary_key=True),
    Column("offset", BigInteger, primary_key=True),
    Column("length", BigInteger, nullable=False),
    Column("step", BigInteger, nullable=False),
    Column("wall_time", Real),
    Column("counts", Boolean, nullable=False),  # no later one of its file superseded it
)

recent = Table(
    "recent",
    metadata,
    Column("run", RunId, primary_key=True),
    Column("seq", Integer, primary_key=True),
    Column("files", LargeBinary, nullable=False),  # what `recent.Recent` holds, packed
    Column("groups", LargeBinary, nullable=False),
    Column("points", LargeBinary, nullable=False),
)

tail = Table(
    "tail",
    metadata,
    Column("run", RunId, primary_key=True),
    Column("file", Integer, primary_key=True),  # 0 is the store's own journal of the run
    Column("start", BigInteger, primary_key=True),
    Column("stop", BigInteger, nullable=False),
    Column("time", Real, nullable=False),  # when it came
    Column("data", LargeBinary, nullable=False),
)

segment = Table(
    "segment",
    metadata,
    Column("run", RunId, primary_key=True),
    Column("file", Integer, primary_key=True),
    Column("start", BigInteger, primary_key=True),
    Column("stop", BigInteger, nullable=False),
    Column("object", Text, nullable=False),
)


metric = Table(
    "metric",
    metadata,
    Column("run", RunId, primary_key=True),
    Column("name", BigInteger, primary_key=True, autoincrement=False),  # see `fields.name_of`
    Column("last", Real),
    Column("min", Real),
    Column("max", Real),
    Index("metric_by_last", "name", "last"),
    Index("metric_by_min", "name", "min"),
    Index("metric_by_max", "name", "max"),
    sqlite_with_rowid=False,
)

field = Table(
    "field",
    metadata,
    Column("run", RunId, primary_key=True),
    Column("name", BigInteger, primary_key=True, autoincrement=False),
    Column("number", Real),
    Column("text", Words),
    Index("field_by_number", "name", "number"),
    Index("field_by_text", "name", "text"),
    sqlite_with_rowid=False,
)

retention = Table(
    "retention",
    metadata,
    Column("project", Words, primary_key=True),
    Column("age", Real, nullable=False),  # seconds
)

# What these hold is compressed, or too small for it: PostgreSQL is not to try.
for _table, _column in ((chunk, "columns"), (recent, "points"), (tail, "data")):
    event.listen(
        _table,
        "after_create",
        DDL(  # type: ignore[no-untyped-call]
            f"ALTER TABLE {_table.name} ALTER COLUMN {_column} SET STORAGE EXTERNAL"
        ).execute_if(dialect="postgresql"),
    )


def is_ready(connection: Connection, place: str) -> bool:
    """Say whether the tables are there, up to date. Raises `StoreError` if a newer runcast made them."""
    tables = set(inspect(connection).get_table_names())
    if "store" not in tables:
        return False
    found = connection.scalar(select(store.c.schema))
    if found is None or found > SCHEMA:
        raise StoreError(
            f"{place} was made by a newer runcast (schema {found}; this one knows {SCHEMA}): "
            "upgrade with `pip install --upgrade runcast`, or use another folder or database"
        )
    if VERSION_TABLE not in tables:
        return False
    return str(connection.scalar(select(_version.c.version_num))) >= REVISION


def make_ready(connection: Connection, place: str, fill: Callable[[Connection], None]) -> None:
    """Make the tables or bring them up to date, in a transaction that nobody else may change tables in.

    `fill` is to fill the tables that an older store did not have. Raises `StoreError`.
    """
    if is_ready(connection, place):  # somebody else was faster
        return
    if not inspect(connection).has_table("store"):
        _create(connection)
        return
    try:
        from runcast.store.migrations import upgrade
    except ModuleNotFoundError as error:
        raise StoreError(
            f"{place} was made by an older runcast, and changing its tables takes Alembic: `pip install alembic`"
        ) from error

    upgrade(connection, VERSION_TABLE)
    fill(connection)


def _create(connection: Connection) -> None:
    """Make all tables, as the migrations would, in a database that has none of them."""
    metadata.create_all(connection)
    connection.execute(store.insert().values(schema=SCHEMA))
    _version.create(connection)
    connection.execute(_version.insert().values(version_num=REVISION))
