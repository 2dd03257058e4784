"""The index's tables. Every key leads with the run, so that a larger database can be sharded by it.

    store      one row: which schema this is
    run        what a run is, and the mark of its last change
    file       a file of a run: recorded bytes, and the span of wall time that its events cover
    series     (root, source, tag, plugin) → a number within the run
    part       what one file holds of one series: bounds over the points that count
    chunk      a part's scalar points as compressed columns, in file order
    summary    a part's other summaries: where their bytes are in the file
    recent     what the newest appends brought of many files, until it is moved to `file`, `part` and `chunk`
    tail       where files are in a bucket: the bytes at a file's end that are in no object yet
    segment    where files are in a bucket: the object that has a file's bytes from `start` to `stop`, of a whole file all of them

Within a major version, changes are additive: an older runcast reads what a newer one wrote of the same schema number.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Float,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
    inspect,
    select,
)

from runcast.errors import StoreError

if TYPE_CHECKING:
    from sqlalchemy import Connection

__all__ = [
    "SCHEMA",
    "chunk",
    "create",
    "file",
    "is_ready",
    "part",
    "recent",
    "run",
    "segment",
    "series",
    "store",
    "summary",
    "tail",
]

SCHEMA = 1

metadata = MetaData()

store = Table("store", metadata, Column("schema", Integer, nullable=False))

run = Table(
    "run",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("project", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("state", String(16), nullable=False),
    Column("created", Float, nullable=False),
    Column("ended", Float),
    Column("heartbeat", Float),
    Column("config", Text, nullable=False),
    Column("facts", Text, nullable=False),
    Column("change", BigInteger, nullable=False),
    Index("run_by_change", "change"),
    Index("run_by_created", "created"),
    Index("run_by_project", "project", "created"),
)

file = Table(
    "file",
    metadata,
    Column("run", String(64), primary_key=True),
    Column("id", Integer, primary_key=True),
    Column("path", Text, nullable=False),
    Column("root", Text, nullable=False),
    Column("source", Text, nullable=False),
    Column("size", BigInteger, nullable=False),
    Column(
        "synced", BigInteger, nullable=False
    ),  # bytes that were on disk, for sure, before this was committed
    Column("unsynced_crc", BigInteger, nullable=False),  # checksum of the bytes from there to `size`
    Column("records", BigInteger, nullable=False),
    Column("skipped", BigInteger, nullable=False),
    Column("first_wall_time", Float),
    Column("last_wall_time", Float),
    Column("sessions", Text, nullable=False),  # JSON: [[step, wall_time], …] of SessionLog.START
    Column("source_path", Text, nullable=False),
    Column("source_size", BigInteger, nullable=False),
    Column("state", Text, nullable=False),
    Column("why", Text, nullable=False),
    UniqueConstraint("run", "path"),
    Index("file_by_source", "run", "root", "source"),
)

series = Table(
    "series",
    metadata,
    Column("run", String(64), primary_key=True),
    Column("id", Integer, primary_key=True),
    Column("root", Text, nullable=False),
    Column("source", Text, nullable=False),
    Column("tag", Text, nullable=False),
    Column("plugin", Text, nullable=False),
    UniqueConstraint("run", "root", "source", "tag", "plugin"),
)


def _bounds() -> list[Column[int] | Column[float]]:
    """Return the columns of a `Bounds`. SQLite keeps NaN as NULL."""
    return [
        Column("count", BigInteger, nullable=False),
        Column("first_step", BigInteger, nullable=False),
        Column("last_step", BigInteger, nullable=False),
        Column("last_wall_time", Float),
        Column("last", Float),
        Column("min", Float),
        Column("max", Float),
    ]


part = Table(
    "part",
    metadata,
    Column("run", String(64), primary_key=True),
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
    Column("run", String(64), primary_key=True),
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
    Column("run", String(64), primary_key=True),
    Column("series", Integer, primary_key=True),
    Column("file", Integer, primary_key=True),
    Column("offset", BigInteger, primary_key=True),
    Column("length", BigInteger, nullable=False),
    Column("step", BigInteger, nullable=False),
    Column("wall_time", Float),
    Column("counts", Boolean, nullable=False),  # no later one of its file superseded it
)

recent = Table(
    "recent",
    metadata,
    Column("run", String(64), primary_key=True),
    Column("seq", Integer, primary_key=True),
    Column("files", LargeBinary, nullable=False),  # what `recent.Recent` holds, packed
    Column("groups", LargeBinary, nullable=False),
    Column("points", LargeBinary, nullable=False),
)

tail = Table(
    "tail",
    metadata,
    Column("run", String(64), primary_key=True),
    Column("file", Integer, primary_key=True),  # 0 is the store's own journal of the run
    Column("start", BigInteger, primary_key=True),
    Column("stop", BigInteger, nullable=False),
    Column("time", Float, nullable=False),  # when it came
    Column("data", LargeBinary, nullable=False),
)

segment = Table(
    "segment",
    metadata,
    Column("run", String(64), primary_key=True),
    Column("file", Integer, primary_key=True),
    Column("start", BigInteger, primary_key=True),
    Column("stop", BigInteger, nullable=False),
    Column("object", Text, nullable=False),
)


def is_ready(connection: Connection, place: str) -> bool:
    """Say whether the tables are there. Raises `StoreError` if a newer runcast made them."""
    if not inspect(connection).has_table("store"):
        return False
    found = connection.scalar(select(store.c.schema))
    if found is None or found > SCHEMA:
        raise StoreError(
            f"{place} was made by a newer runcast (schema {found}; this one knows {SCHEMA}): "
            "upgrade with `pip install --upgrade runcast`, or set RUNCAST_DIR to another folder"
        )
    return inspect(connection).has_table("segment")


def create(connection: Connection) -> None:
    """Make the tables that are not there: all of a new store, of an older one those that it lacks."""
    new = not inspect(connection).has_table("store")
    metadata.create_all(connection)
    if new:
        connection.execute(store.insert().values(schema=SCHEMA))
