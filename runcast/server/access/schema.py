"""The tables of who may do what, beside the store's index in the same database. They are backed up, never rebuilt.

    access_user      people who may log in
    access_link      links to set a password with: the first admin's, invitations, resets
    access_session   logins of browsers
    access_token     API tokens of programs
    access_project   projects that someone made
    access_member    who is what in a project
    access_share     links to a run or a project
    access_epoch     one row: how often something was taken away from someone

Of secrets only the SHA-256 is kept: they are 32 random bytes, so that is as good as a slow hash. Times are seconds since the epoch.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import (
    CheckConstraint,
    Column,
    ForeignKey,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    inspect,
    select,
)

from runcast.store.types import Real, RunId, Words

if TYPE_CHECKING:
    from runcast.server.access.ground import Database

__all__ = ["epoch", "link", "member", "metadata", "prepare", "project", "session", "share", "token", "user"]

VERSION_TABLE = "access_version"

REVISION = "0001"
"""The newest migration."""

LOCATION = Path(__file__).parent / "migrations"

_version = Table(VERSION_TABLE, MetaData(), Column("version_num", String(32), primary_key=True))  # Alembic's

metadata = MetaData(
    naming_convention={
        "ix": "%(table_name)s_by_%(column_0_N_name)s",
        "uq": "%(table_name)s_%(column_0_N_name)s_key",
        "fk": "%(table_name)s_%(column_0_N_name)s_fkey",
        "pk": "%(table_name)s_pkey",
        "ck": "%(table_name)s_%(constraint_name)s_check",
    }
)


def _user(*, primary_key: bool = False, nullable: bool = False) -> Column[int]:
    """Return a column for the user that the row goes away with."""
    key = ForeignKey("access_user.id", ondelete="CASCADE")
    return Column("user", Integer, key, nullable=nullable, primary_key=primary_key, index=True)


def _digest() -> Column[bytes]:
    return Column("digest", LargeBinary, nullable=False, unique=True)


user = Table(
    "access_user",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("name", Words, nullable=False, unique=True),
    Column("standing", Integer, nullable=False),  # policy.Standing
    Column("password", Text),  # argon2's encoded hash; None until the invitation is taken
    Column("created", Real, nullable=False),
    sqlite_autoincrement=True,  # the number of a user who is gone never means another one
)

link = Table(
    "access_link",
    metadata,
    Column("id", Integer, primary_key=True),
    _digest(),
    _user(nullable=True),  # None: it makes the first admin
    Column("created", Real, nullable=False),
    Column("expires", Real, nullable=False),
)

session = Table(
    "access_session",
    metadata,
    Column("id", Integer, primary_key=True),
    _digest(),
    _user(),
    Column("created", Real, nullable=False),
    Column("seen", Real, nullable=False),
)

token = Table(
    "access_token",
    metadata,
    Column("id", Integer, primary_key=True),
    _digest(),
    _user(),
    Column("name", Text, nullable=False),
    Column("scope", Integer, nullable=False),  # policy.Scope
    Column("project", Words),  # None: every project of the user's
    Column("created", Real, nullable=False),
    Column("expires", Real),
    Column("used", Real),
    sqlite_autoincrement=True,
)

project = Table(
    "access_project",
    metadata,
    Column("name", Words, primary_key=True),
    Column("visibility", String(16), nullable=False),  # `private` or `server`
    Column("created", Real, nullable=False),
)

member = Table(
    "access_member",
    metadata,
    Column("project", Words, ForeignKey("access_project.name", ondelete="CASCADE"), primary_key=True),
    _user(primary_key=True),
    Column("role", Integer, nullable=False),  # policy.Role
)

share = Table(
    "access_share",
    metadata,
    Column("id", Integer, primary_key=True),
    _digest(),
    Column("project", Words, index=True),
    Column("run", RunId, index=True),
    _user(nullable=True),  # None: who has the machine made it
    Column("name", Text, nullable=False),
    Column("created", Real, nullable=False),
    Column("expires", Real),
    Column("used", Real),
    CheckConstraint("(project is null) <> (run is null)", name="target"),
    sqlite_autoincrement=True,
)

epoch = Table("access_epoch", metadata, Column("number", Integer, nullable=False))


def prepare(database: Database) -> None:
    """Make the tables, or bring them up to date. What a newer runcast only added is no obstacle."""
    with database.read() as connection:
        ready = inspect(connection).has_table(VERSION_TABLE)
        ready = ready and str(connection.scalar(select(_version.c.version_num))) >= REVISION
    if not ready:
        database.upgrade(LOCATION, VERSION_TABLE)
