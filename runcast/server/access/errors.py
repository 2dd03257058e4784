"""What access refuses, as values that the command line and the routes both understand."""

from __future__ import annotations

from runcast.errors import RuncastError

__all__ = ["AccessError", "BadRequest", "Conflict", "NotFound", "TooMany", "Unauthorized"]


class AccessError(RuncastError):
    """Something about users, tokens, projects or links that cannot be done; `status` is HTTP's word for why."""

    status = 400


class BadRequest(AccessError):
    """What was sent cannot be used."""


class Unauthorized(AccessError):
    """Credentials that are not valid, or not any more."""

    status = 401


class NotFound(AccessError):
    """There is no such user, token, project or link."""

    status = 404


class Conflict(AccessError):
    """It is there already, or is needed as it is."""

    status = 409


class TooMany(AccessError):
    """Too many attempts; `retry_after` is in seconds."""

    status = 429

    def __init__(self, message: str, retry_after: int) -> None:
        super().__init__(message)
        self.retry_after = retry_after
