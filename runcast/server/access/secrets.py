"""Secrets that are shown once: 32 random bytes with a prefix that says what they open."""

from __future__ import annotations

import hashlib
import hmac
import secrets as random
from typing import Literal

__all__ = ["Kind", "csrf_token", "digest", "is_secret", "new_secret", "same"]

Kind = Literal["rc_", "rcl_", "rcs_", "rcx_"]
"""API token, link to set a password with, share link, session."""

_LENGTH = 43  # of 32 bytes in base64url


def new_secret(kind: Kind) -> str:
    """Return a secret that nobody has seen."""
    return kind + random.token_urlsafe(32)


def is_secret(kind: Kind, text: str) -> bool:
    """Say whether a text could be one of these secrets; only then is it worth a look into the database."""
    return len(text) == len(kind) + _LENGTH and text.startswith(kind) and text.isascii()


def digest(secret: str) -> bytes:
    """Return what the database keeps of a secret, and finds it by.

    Looking up a digest gives nothing away by how long it takes: nobody can choose a secret whose digest begins as another's does.
    """
    return hashlib.sha256(secret.encode()).digest()


def csrf_token(session: str) -> str:
    """Return what a page of this session puts into `X-Runcast-CSRF`: only who has the cookie can know it."""
    return hmac.new(session.encode(), b"runcast csrf", hashlib.sha256).hexdigest()


def same(one: str, other: str) -> bool:
    """Compare texts in a time that does not tell where they differ."""
    return hmac.compare_digest(one.encode(), other.encode())
