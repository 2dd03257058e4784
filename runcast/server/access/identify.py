"""Who sends a request: credentials as they are kept, read together with all that `allowed` needs to know of their actor."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sqlalchemy import select

from runcast.server.access import schema
from runcast.server.access.errors import Unauthorized
from runcast.server.access.policy import (
    Action,
    Project,
    Role,
    Run,
    Scope,
    Share,
    Standing,
    Token,
    User,
    allowed,
)
from runcast.server.access.secrets import digest, is_secret
from runcast.server.access.sessions import IDLE, LASTS
from runcast.store import schema as store

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy import Connection, Table

    from runcast.server.access.ground import Ground
    from runcast.server.access.policy import Actor
    from runcast.server.access.secrets import Kind

__all__ = ["Credential", "identify"]

USED_EVERY = 600.0
"""Seconds between two notes of when a token, share or session was used."""


@dataclass(frozen=True, slots=True)
class Credential:
    """An actor, until when its credentials hold (None: no end is known), and whether they are a browser's cookie."""

    actor: Actor
    expires: float | None = None
    session: bool = False


def identify(ground: Ground, kind: Kind, secret: str) -> Credential:
    """Return whose secret this is. Raises `Unauthorized` for one that nobody has, that has expired or was revoked."""
    table, find = _KINDS[kind]
    row = credential = None
    if is_secret(kind, secret):
        with ground.read() as connection:
            row = connection.execute(select(table).where(table.c.digest == digest(secret))).first()
            credential = None if row is None else find(connection, row)
    now = ground.now()
    if row is None or credential is None or (credential.expires is not None and credential.expires <= now):
        raise Unauthorized(_INVALID[kind])
    column = table.c.seen if kind == "rcx_" else table.c.used
    if (getattr(row, column.name) or 0) < now - USED_EVERY:
        with ground.database.write() as connection:  # changes nothing of who may do what
            connection.execute(table.update().where(table.c.id == row.id).values({column.name: now}))
    return credential


def _of_session(connection: Connection, row: Any) -> Credential | None:
    user = _user(connection, row.user)
    if user is None:
        return None
    return Credential(user, min(row.created + LASTS, row.seen + IDLE), session=True)


def _of_token(connection: Connection, row: Any) -> Credential | None:
    user = _user(connection, row.user)
    if user is None:
        return None
    return Credential(Token(row.id, row.name, user, Scope(row.scope), row.project), row.expires)


def _of_share(connection: Connection, row: Any) -> Credential | None:
    """A link does not outlive what its maker may share: not the maker's leaving, nor the run's moving away."""
    target: Project | Run = Project(row.project or "")
    if row.run is not None:
        shown = (store.run.c.id == row.run) & store.run.c.trashed.is_(None)
        project = connection.scalar(select(store.run.c.project).where(shown))
        if project is None:
            return None
        target = Run(row.run, project)
    if row.user is not None:
        maker = _user(connection, row.user)
        if maker is None or not allowed(maker, Action.SHARE, target):
            return None
    return Credential(Share(row.id, target), row.expires)


def _user(connection: Connection, user: int) -> User | None:
    found = connection.execute(select(schema.user).where(schema.user.c.id == user)).first()
    if found is None:
        return None
    roles: dict[str, Role] = {}
    standing = Standing(found.standing)
    if standing is not Standing.GUEST:
        open_projects = select(schema.project.c.name).where(schema.project.c.visibility == "server")
        roles |= dict.fromkeys(connection.scalars(open_projects), Role.VIEWER)
    member = schema.member.c
    rows = connection.execute(select(member.project, member.role).where(member.user == user))
    roles |= {row.project: Role(row.role) for row in rows}
    return User(found.id, found.name, standing, roles)


_KINDS: dict[Kind, tuple[Table, Callable[[Connection, Any], Credential | None]]] = {
    "rc_": (schema.token, _of_token),
    "rcs_": (schema.share, _of_share),
    "rcx_": (schema.session, _of_session),
}

_INVALID = {
    "rc_": "this API token is not valid, or not any more: make a new one and log in with it (`runcast login URL`)",
    "rcs_": "this link is not valid, or not any more: ask for a new one",
    "rcx_": "you are not logged in, or not any more: log in again",
}
