"""API tokens: how programs act for users."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sqlalchemy import select

from runcast.server.access import schema
from runcast.server.access.errors import BadRequest, NotFound
from runcast.server.access.names import check_label, check_project_name
from runcast.server.access.policy import Scope
from runcast.server.access.secrets import digest, new_secret

if TYPE_CHECKING:
    from runcast.server.access.ground import Ground

__all__ = ["TokenRecord", "Tokens", "check_expiry"]

_token = schema.token.c


@dataclass(frozen=True, slots=True)
class TokenRecord:
    """A token, but for its secret. `used` is when it last was, give or take ten minutes."""

    id: int
    user: str
    name: str
    scope: Scope
    project: str | None
    created: float
    expires: float | None
    used: float | None


class Tokens:
    """Makes, lists and revokes tokens."""

    def __init__(self, ground: Ground) -> None:
        self._ground = ground

    def create(
        self, user: int, name: str, scope: Scope, *, project: str | None = None, expires: float | None = None
    ) -> tuple[TokenRecord, str]:
        """Make a token for a user; return it with its secret, which nobody can read again."""
        values = {
            "user": user,
            "name": check_label(name, "a token"),
            "scope": scope,
            "project": None if project is None else check_project_name(project),
            "created": self._ground.now(),
            "expires": check_expiry(expires, self._ground.now()),
        }
        secret = new_secret("rc_")
        with self._ground.grant() as connection:
            made = connection.execute(schema.token.insert().values(digest=digest(secret), **values))
            (key,) = made.inserted_primary_key or (None,)
            row = connection.execute(_select().where(_token.id == key)).one()
        return _record(row), secret

    def all(self, user: int | None = None) -> list[TokenRecord]:
        """Return a user's tokens, or everyone's, newest first."""
        statement = _select().order_by(_token.id.desc())
        if user is not None:
            statement = statement.where(_token.user == user)
        with self._ground.read() as connection:
            return [_record(row) for row in connection.execute(statement)]

    def owner(self, token: int) -> int:
        """Return the id of a token's user. Raises `NotFound`."""
        with self._ground.read() as connection:
            user = connection.scalar(select(_token.user).where(_token.id == token))
        if user is None:
            raise NotFound(f"there is no token {token}")
        return int(user)

    def revoke(self, token: int) -> None:
        """Make a token worthless. Raises `NotFound`."""
        with self._ground.change() as connection:
            if not connection.execute(schema.token.delete().where(_token.id == token)).rowcount:
                raise NotFound(f"there is no token {token}; `runcast token list` shows which there are")


def check_expiry(expires: float | None, now: float) -> float | None:
    """Return when something expires. Raises `BadRequest` for a time that has passed."""
    if expires is not None and not now < expires < 1e11:
        raise BadRequest("`expires` is in seconds since the epoch, and has not passed yet")
    return expires


def _select() -> Any:
    return select(schema.token, schema.user.c.name.label("user_name")).join(
        schema.user, schema.user.c.id == _token.user
    )


def _record(row: Any) -> TokenRecord:
    return TokenRecord(
        row.id, row.user_name, row.name, Scope(row.scope), row.project, row.created, row.expires, row.used
    )
