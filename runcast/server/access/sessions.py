"""Sessions: browsers that are logged in."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sqlalchemy import or_, select

from runcast.server.access import schema
from runcast.server.access.errors import Unauthorized
from runcast.server.access.passwords import check_password, hash_password, verify
from runcast.server.access.secrets import digest, new_secret
from runcast.server.access.users import set_password

if TYPE_CHECKING:
    from runcast.server.access.ground import Ground
    from runcast.server.access.throttle import Throttle

__all__ = ["IDLE", "LASTS", "Login", "Sessions"]

IDLE = 7 * 86400.0
"""Seconds without a request after which a session ends."""

LASTS = 30 * 86400.0
"""Seconds after which a session ends in any case."""

_user = schema.user.c
_session = schema.session.c


@dataclass(frozen=True, slots=True)
class Login:
    """A session that was just opened, and its secret, which is for the cookie alone."""

    user: int
    secret: str
    expires: float


class Sessions:
    """Opens and ends sessions. Each login gets a new secret, so none that someone planted is ever logged in."""

    def __init__(self, ground: Ground, throttle: Throttle) -> None:
        self._ground = ground
        self._throttle = throttle

    def log_in(self, name: str, password: str, address: str) -> Login:
        """Open a session for who knows the password. Raises `Unauthorized`, the same for a wrong name, and `TooMany`."""
        return self.open(self._verified(name, password, address))

    def open(self, user: int) -> Login:
        """Open a session for a user."""
        secret, now = new_secret("rcx_"), self._ground.now()
        with self._ground.grant() as connection:
            over = or_(_session.created <= now - LASTS, _session.seen <= now - IDLE)
            connection.execute(schema.session.delete().where(over))
            values = {"digest": digest(secret), "user": user, "created": now, "seen": now}
            connection.execute(schema.session.insert().values(values))
        return Login(user, secret, now + LASTS)

    def close(self, secret: str) -> None:
        """End a session, if it is one."""
        with self._ground.change() as connection:
            connection.execute(schema.session.delete().where(_session.digest == digest(secret)))

    def close_all(self, user: int) -> None:
        """End all sessions of a user."""
        with self._ground.change() as connection:
            connection.execute(schema.session.delete().where(_session.user == user))

    def change_password(self, name: str, old: str, new: str, address: str) -> Login:
        """Change a password, end all sessions of the user and open a new one. Raises as `log_in`, and `BadRequest`."""
        check_password(new, name)
        user = self._verified(name, old, address)
        hashed = hash_password(new)
        with self._ground.change() as connection:
            set_password(connection, user, hashed)
        return self.open(user)

    def _verified(self, name: str, password: str, address: str) -> int:
        name = name.strip().lower()[:64]
        self._throttle.attempt(name, address)
        with self._ground.read() as connection:
            row = connection.execute(select(_user.id, _user.password).where(_user.name == name)).first()
        right, rehashed = verify(row and row.password, password)
        if row is None or not right:
            raise Unauthorized("the name or the password is wrong")
        self._throttle.succeeded(name, address)
        if rehashed is not None:
            with self._ground.database.write() as connection:
                unchanged = (_user.id == row.id) & (_user.password == row.password)
                connection.execute(schema.user.update().where(unchanged).values(password=rehashed))
        return int(row.id)
