"""Passwords, hashed by argon2id."""

from __future__ import annotations

from functools import cache

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from runcast.server.access.errors import BadRequest

__all__ = ["LEAST", "MOST", "check_password", "hash_password", "verify"]

LEAST = 10
"""Characters that a password has at least; there are no other rules, as NIST SP 800-63B advises."""

MOST = 1024

_hasher = PasswordHasher()  # RFC 9106's second recommendation: 64 MiB, 3 passes


def check_password(password: str, name: str) -> None:
    """Raise `BadRequest` for a password that is too easily guessed."""
    if not LEAST <= len(password) <= MOST:
        raise BadRequest(f"a password has {LEAST} to {MOST} characters; choose another one")
    if password.casefold() == name.casefold():
        raise BadRequest("the password is the user's name; choose another one")


def hash_password(password: str) -> str:
    """Return what the database keeps of a password. It takes some 50 ms and 64 MiB: bound how many do it at once."""
    return _hasher.hash(password)


def verify(kept: str | None, password: str) -> tuple[bool, str | None]:
    """Say whether the password is right, and what to keep instead where the hash's parameters are no longer ours.

    Without anything kept (no such user, or no password yet) it takes as long, and is wrong.
    """
    try:
        _hasher.verify(_stand_in() if kept is None else kept, password[:MOST])
    except (VerificationError, InvalidHashError):
        return False, None
    if kept is None or len(password) > MOST:
        return False, None
    return True, hash_password(password) if _hasher.check_needs_rehash(kept) else None


@cache
def _stand_in() -> str:
    return _hasher.hash("nobody's password")
