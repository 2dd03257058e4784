"""The first tables of who may do what."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Make the tables."""
    words = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
    run_id = sa.String(64).with_variant(sa.String(64, collation="C"), "postgresql")

    op.create_table(
        "access_user",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("name", words, nullable=False),
        sa.Column("standing", sa.Integer, nullable=False),
        sa.Column("password", sa.Text),
        sa.Column("created", sa.Float(53), nullable=False),
        sa.UniqueConstraint("name", name="access_user_name_key"),
        sqlite_autoincrement=True,
    )

    def user(*, nullable: bool = False, primary_key: bool = False) -> sa.Column[int]:
        key = sa.ForeignKey("access_user.id", ondelete="CASCADE")
        return sa.Column("user", sa.Integer, key, nullable=nullable, primary_key=primary_key)

    op.create_table(
        "access_link",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("digest", sa.LargeBinary, nullable=False),
        user(nullable=True),
        sa.Column("created", sa.Float(53), nullable=False),
        sa.Column("expires", sa.Float(53), nullable=False),
        sa.UniqueConstraint("digest", name="access_link_digest_key"),
    )
    op.create_index("access_link_by_user", "access_link", ["user"])

    op.create_table(
        "access_session",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("digest", sa.LargeBinary, nullable=False),
        user(),
        sa.Column("created", sa.Float(53), nullable=False),
        sa.Column("seen", sa.Float(53), nullable=False),
        sa.UniqueConstraint("digest", name="access_session_digest_key"),
    )
    op.create_index("access_session_by_user", "access_session", ["user"])

    op.create_table(
        "access_token",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("digest", sa.LargeBinary, nullable=False),
        user(),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("scope", sa.Integer, nullable=False),
        sa.Column("project", words),
        sa.Column("created", sa.Float(53), nullable=False),
        sa.Column("expires", sa.Float(53)),
        sa.Column("used", sa.Float(53)),
        sa.UniqueConstraint("digest", name="access_token_digest_key"),
        sqlite_autoincrement=True,
    )
    op.create_index("access_token_by_user", "access_token", ["user"])

    op.create_table(
        "access_project",
        sa.Column("name", words, primary_key=True),
        sa.Column("visibility", sa.String(16), nullable=False),
        sa.Column("created", sa.Float(53), nullable=False),
    )

    op.create_table(
        "access_member",
        sa.Column(
            "project", words, sa.ForeignKey("access_project.name", ondelete="CASCADE"), primary_key=True
        ),
        user(primary_key=True),
        sa.Column("role", sa.Integer, nullable=False),
    )
    op.create_index("access_member_by_user", "access_member", ["user"])

    op.create_table(
        "access_share",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("digest", sa.LargeBinary, nullable=False),
        sa.Column("project", words),
        sa.Column("run", run_id),
        user(nullable=True),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("created", sa.Float(53), nullable=False),
        sa.Column("expires", sa.Float(53)),
        sa.Column("used", sa.Float(53)),
        sa.UniqueConstraint("digest", name="access_share_digest_key"),
        sa.CheckConstraint("(project is null) <> (run is null)", name="access_share_target_check"),
        sqlite_autoincrement=True,
    )
    for column in ("project", "run", "user"):
        op.create_index(f"access_share_by_{column}", "access_share", [column])

    op.create_table("access_epoch", sa.Column("number", sa.Integer, nullable=False))
    op.execute("insert into access_epoch (number) values (0)")
