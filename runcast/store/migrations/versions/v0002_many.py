"""Schema 2: for many runs, and many writers.

What every append writes of a run moves to a table of its own. Runs can be found and ordered by config and values, be edited, go
into the trash, and grow old.
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Change the tables; `fields.fill` fills `metric` and `field`."""
    words = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
    run_id = sa.String(64).with_variant(sa.String(64, collation="C"), "postgresql")

    op.add_column("store", sa.Column("base", sa.BigInteger, nullable=False, server_default="0"))
    op.execute("update store set schema = 2")

    op.create_table(
        "pulse",
        sa.Column("run", run_id, primary_key=True),
        sa.Column("change", sa.BigInteger, nullable=False),
        sa.Column("heartbeat", sa.Float),
        sa.Column("purged", sa.Boolean, nullable=False, server_default=sa.false()),
        postgresql_with={"fillfactor": 50},
    )
    op.execute("insert into pulse (run, change, heartbeat) select id, change, heartbeat from run")
    op.create_index("pulse_by_change", "pulse", ["change"])

    for index in ("run_by_change", "run_by_created", "run_by_project"):
        op.drop_index(index, "run")
    with op.batch_alter_table("run") as run:
        run.drop_column("change")
        run.drop_column("heartbeat")
        run.add_column(sa.Column("trashed", sa.Float))
        run.add_column(sa.Column("edited", sa.Text, nullable=False, server_default="[]"))
    op.create_index("run_by_created", "run", ["created", "id"])
    op.create_index("run_by_project", "run", ["project", "created", "id"])
    op.create_index("run_by_trashed", "run", ["trashed"])

    op.create_table(
        "metric",
        sa.Column("run", run_id, primary_key=True),
        sa.Column("name", sa.BigInteger, primary_key=True, autoincrement=False),
        *(sa.Column(name, sa.Float) for name in ("last", "min", "max")),
        sqlite_with_rowid=False,
    )
    for name in ("last", "min", "max"):
        op.create_index(f"metric_by_{name}", "metric", ["name", name])
    op.create_table(
        "field",
        sa.Column("run", run_id, primary_key=True),
        sa.Column("name", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("number", sa.Float),
        sa.Column("text", words),
        sqlite_with_rowid=False,
    )
    op.create_index("field_by_number", "field", ["name", "number"])
    op.create_index("field_by_text", "field", ["name", "text"])
    op.create_table(
        "retention",
        sa.Column("project", words, primary_key=True),
        sa.Column("age", sa.Float, nullable=False),
    )

    def of_file(*columns: sa.Column[Any]) -> list[sa.Column[Any]]:
        key = [sa.Column("run", run_id, primary_key=True), sa.Column("file", sa.Integer, primary_key=True)]
        start = sa.Column("start", sa.BigInteger, primary_key=True)
        return [*key, start, sa.Column("stop", sa.BigInteger, nullable=False), *columns]  # type: ignore[list-item]

    time = sa.Column("time", sa.Float, nullable=False)
    op.create_table("tail", *of_file(time, sa.Column("data", sa.LargeBinary, nullable=False)))
    op.create_table("segment", *of_file(sa.Column("object", sa.Text, nullable=False)))

    if op.get_bind().dialect.name == "postgresql":
        for table, column in (("chunk", "columns"), ("recent", "points"), ("tail", "data")):
            op.execute(f"alter table {table} alter column {column} set storage external")
