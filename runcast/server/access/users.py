"""Users: who they are, and the links by which they set their passwords."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sqlalchemy import func, select

from runcast.server.access import schema
from runcast.server.access.errors import Conflict, NotFound, Unauthorized
from runcast.server.access.ground import insert_new
from runcast.server.access.names import check_user_name, is_text
from runcast.server.access.passwords import check_password, hash_password
from runcast.server.access.policy import Standing
from runcast.server.access.secrets import digest, is_secret, new_secret

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from runcast.server.access.ground import Ground

__all__ = ["LINK_LASTS", "SETUP_LASTS", "Link", "UserRecord", "Users"]

LINK_LASTS = 7 * 86400.0
"""Seconds that an invitation, or a link to reset a password, can be used."""

SETUP_LASTS = 86400.0
"""Seconds that the link for the first admin can be used; starting the server again makes another one."""

_user = schema.user.c
_link = schema.link.c


@dataclass(frozen=True, slots=True)
class UserRecord:
    """A user, as others are told of it. One who has not taken the invitation yet is `invited`."""

    id: int
    name: str
    standing: Standing
    created: float
    invited: bool


@dataclass(frozen=True, slots=True)
class Link:
    """What a link to set a password is for: the first admin (`user` is None), an invited user, or one who forgot it."""

    user: str | None
    expires: float
    is_reset: bool


class Users:
    """The people who may log in. Names are lower case; a name is never someone else's while its user is there."""

    def __init__(self, ground: Ground) -> None:
        self._ground = ground

    def any(self) -> bool:
        """Say whether anyone can log in, or is invited; if not, the server waits to be set up."""
        with self._ground.read() as connection:
            return connection.execute(select(_user.id).limit(1)).first() is not None

    def all(self) -> list[UserRecord]:
        """Return all users, by name."""
        with self._ground.read() as connection:
            return [_record(row) for row in connection.execute(select(schema.user).order_by(_user.name))]

    def find(self, name: str) -> UserRecord:
        """Return a user. Raises `NotFound`."""
        with self._ground.read() as connection:
            return _record(_row(connection, name))

    def by_id(self, user: int) -> UserRecord:
        """Return a user. Raises `NotFound` if it was removed."""
        with self._ground.read() as connection:
            row = connection.execute(select(schema.user).where(_user.id == user)).first()
        if row is None:
            raise NotFound("this user was removed")
        return _record(row)

    def add(self, name: str, standing: Standing = Standing.MEMBER) -> tuple[UserRecord, str]:
        """Add a user without a password; return it with the secret of its invitation. Raises `Conflict` if it is there."""
        name = check_user_name(name)
        values = {"name": name, "standing": standing, "created": self._ground.now()}
        with self._ground.grant() as connection:
            if not insert_new(connection, schema.user, values):
                raise Conflict(f"there is a user {name!r} already; choose another name")
            row = _row(connection, name)
            return _record(row), self._new_link(connection, row.id, LINK_LASTS)

    def remove(self, name: str) -> None:
        """Remove a user with its sessions, tokens, memberships and shares; its runs and projects stay.

        Raises `Conflict` for the last admin.
        """
        with self._ground.change() as connection:
            row = _row(connection, name)
            _keep_an_admin(connection, row)
            for table in (schema.session, schema.token, schema.link, schema.member, schema.share):
                connection.execute(table.delete().where(table.c.user == row.id))
            connection.execute(schema.user.delete().where(_user.id == row.id))

    def set_standing(self, name: str, standing: Standing) -> None:
        """Make a user an admin, a member or a guest. Raises `Conflict` for the last admin."""
        with self._ground.change() as connection:
            row = _row(connection, name)
            if standing is not Standing.ADMIN:
                _keep_an_admin(connection, row)
            connection.execute(schema.user.update().where(_user.id == row.id).values(standing=standing))

    # Links.

    def link(self, name: str) -> str:
        """Return the secret of a new link by which the user sets a password; earlier ones are void."""
        with self._ground.grant() as connection:
            return self._new_link(connection, _row(connection, name).id, LINK_LASTS)

    def setup_link(self) -> str:
        """Return the secret of a new link by which the first admin is made; earlier ones are void. Raises `Conflict`."""
        with self._ground.grant() as connection:
            if connection.execute(select(_user.id).limit(1)).first() is not None:
                raise Conflict("the server is set up; `runcast users reset NAME` makes a link for a user")
            return self._new_link(connection, None, SETUP_LASTS)

    def look(self, secret: str) -> Link:
        """Return what a link is for, without using it up. Raises `Unauthorized` for one that is not valid (any more)."""
        with self._ground.read() as connection:
            found = self._link(connection, secret)
            if found.user is None:
                return Link(None, found.expires, is_reset=False)
            row = connection.execute(select(schema.user).where(_user.id == found.user)).one()
        return Link(row.name, found.expires, is_reset=row.password is not None)

    def take(self, secret: str, password: str, name: str | None = None) -> int:
        """Use a link up: set its user's password, or make the first admin, called `name`; return the user's id.

        All sessions of the user end. Raises `Unauthorized` for a link that is not valid (any more), and `BadRequest` for a
        password or a name that cannot be used, in which case the link can still be.
        """
        link = self.look(secret)
        name = check_user_name(name or "") if link.user is None else link.user
        check_password(password, name)
        hashed = hash_password(password)  # slow, so not while others wait to write
        with self._ground.change() as connection:
            found = self._link(connection, secret)
            if connection.execute(schema.link.delete().where(_link.id == found.id)).rowcount != 1:
                raise _void()  # someone else was faster
            user: int | None = found.user
            if user is None:
                if connection.execute(select(_user.id).limit(1)).first() is not None:
                    raise _void()
                values = {"name": name, "standing": Standing.ADMIN, "created": self._ground.now()}
                connection.execute(schema.user.insert().values(values))
                user = int(_row(connection, name).id)
            set_password(connection, user, hashed)
            return user

    def _link(self, connection: Connection, secret: str) -> Any:
        row = None
        if is_secret("rcl_", secret):
            row = connection.execute(select(schema.link).where(_link.digest == digest(secret))).first()
        if row is None or row.expires <= self._ground.now():
            raise _void()
        return row

    def _new_link(self, connection: Connection, user: int | None, lasts: float) -> str:
        secret, now = new_secret("rcl_"), self._ground.now()
        connection.execute(schema.link.delete().where((_link.user == user) | (_link.expires <= now)))
        values = {"digest": digest(secret), "user": user, "created": now, "expires": now + lasts}
        connection.execute(schema.link.insert().values(values))
        return secret


def set_password(connection: Connection, user: int, hashed: str) -> None:
    """Keep a new password; whoever is logged in as the user is so no more, and links to set another one are void."""
    connection.execute(schema.user.update().where(_user.id == user).values(password=hashed))
    connection.execute(schema.session.delete().where(schema.session.c.user == user))
    connection.execute(schema.link.delete().where(_link.user == user))


def _row(connection: Connection, name: str) -> Any:
    row = None
    if is_text(name):
        row = connection.execute(select(schema.user).where(_user.name == name.strip().lower())).first()
    if row is None:
        raise NotFound(f"there is no user {name[:80]!r}; `runcast users list` shows who is there")
    return row


def _record(row: Any) -> UserRecord:
    return UserRecord(row.id, row.name, Standing(row.standing), row.created, row.password is None)


def _keep_an_admin(connection: Connection, row: Any) -> None:
    admins = select(func.count()).where(_user.standing == Standing.ADMIN)
    if row.standing == Standing.ADMIN and connection.execute(admins).scalar_one() == 1:
        raise Conflict(f"{row.name!r} is the only admin; make someone else an admin first")


def _void() -> Unauthorized:
    return Unauthorized(
        "this link is not valid, or not any more: it can be used once, and expires; ask for a new one"
    )
