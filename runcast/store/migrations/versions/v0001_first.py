"""The tables of schema 1. Stores of that time know no migrations: they have these tables, or all but `recent`."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Make the tables that are not there."""
    present = set(sa.inspect(op.get_bind()).get_table_names())
    for table in _tables():
        if table.name not in present:
            table.create(op.get_bind())
    if "store" not in present:
        op.execute("insert into store (schema) values (1)")


def _tables() -> list[sa.Table]:
    metadata = sa.MetaData()
    words = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
    run_id = sa.String(64).with_variant(sa.String(64, collation="C"), "postgresql")

    def column(name: str, kind: sa.types.TypeEngine[Any], **options: Any) -> sa.Column[Any]:
        return sa.Column(name, kind, **{"nullable": False, **options})

    def bounds() -> list[sa.Column[Any]]:
        counts = [column(name, sa.BigInteger()) for name in ("count", "first_step", "last_step")]
        values = [
            column(name, sa.Float(), nullable=True) for name in ("last_wall_time", "last", "min", "max")
        ]
        return counts + values

    def key(*names: str) -> list[sa.Column[Any]]:
        numbers = [column(name, sa.Integer(), primary_key=True) for name in names]
        return [column("run", run_id, primary_key=True), *numbers]

    sa.Table("store", metadata, column("schema", sa.Integer()))
    sa.Table(
        "run",
        metadata,
        column("id", run_id, primary_key=True),
        column("project", words),
        column("name", words),
        column("state", sa.String(16)),
        column("created", sa.Float()),
        column("ended", sa.Float(), nullable=True),
        column("heartbeat", sa.Float(), nullable=True),
        column("config", sa.Text()),
        column("facts", sa.Text()),
        column("change", sa.BigInteger()),
        sa.Index("run_by_change", "change"),
        sa.Index("run_by_created", "created"),
        sa.Index("run_by_project", "project", "created"),
    )
    sa.Table(
        "file",
        metadata,
        *key("id"),
        column("path", words),
        column("root", words),
        column("source", words),
        *(column(name, sa.BigInteger()) for name in ("size", "synced", "unsynced_crc", "records", "skipped")),
        column("first_wall_time", sa.Float(), nullable=True),
        column("last_wall_time", sa.Float(), nullable=True),
        column("sessions", sa.Text()),
        column("source_path", words),
        column("source_size", sa.BigInteger()),
        column("state", sa.Text()),
        column("why", words),
        sa.UniqueConstraint("run", "path"),
        sa.Index("file_by_source", "run", "root", "source"),
    )
    sa.Table(
        "series",
        metadata,
        *key("id"),
        *(column(name, words) for name in ("root", "source", "tag", "plugin")),
        sa.UniqueConstraint("run", "root", "source", "tag", "plugin"),
    )
    sa.Table(
        "part",
        metadata,
        *key("series", "file"),
        column("start", sa.BigInteger()),
        column("next_seq", sa.Integer()),
        column("cut", sa.BigInteger(), nullable=True),
        *bounds(),
    )
    sa.Table(
        "chunk",
        metadata,
        *key("series", "file", "seq"),
        column("points", sa.Integer()),
        *bounds(),
        column("columns", sa.LargeBinary()),
    )
    sa.Table(
        "summary",
        metadata,
        *key("series", "file"),
        column("offset", sa.BigInteger(), primary_key=True),
        column("length", sa.BigInteger()),
        column("step", sa.BigInteger()),
        column("wall_time", sa.Float(), nullable=True),
        column("counts", sa.Boolean()),
    )
    sa.Table(
        "recent",
        metadata,
        *key("seq"),
        *(column(name, sa.LargeBinary()) for name in ("files", "groups", "points")),
    )
    return metadata.sorted_tables
