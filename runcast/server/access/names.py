"""What users, projects, tokens and links may be called."""

from __future__ import annotations

import re

from runcast.server.access.errors import BadRequest

__all__ = ["LABEL", "PROJECT", "USER", "check_label", "check_project_name", "check_user_name", "is_text"]

USER = r"[A-Za-z0-9][A-Za-z0-9._@+-]{0,63}"
LABEL = r"[^\s\x00-\x1f\x7f-\x9f](?:[^\x00-\x1f\x7f-\x9f]*[^\s\x00-\x1f\x7f-\x9f])?"
PROJECT = r"(?!\.{1,2}$)" + LABEL


def check_user_name(name: str) -> str:
    """Return a user's name, which is in lower case. Raises `BadRequest`."""
    name = name.strip()
    if not re.fullmatch(USER, name):
        raise BadRequest(
            f"{name[:80]!r} cannot be a user's name: use letters, digits and . _ @ + -, beginning with a letter or digit, "
            "at most 64 of them"
        )
    return name.lower()


def check_project_name(name: str) -> str:
    """Return a project's name. Raises `BadRequest` for one that cannot be a name on a server."""
    if len(name) > 200 or not re.fullmatch(PROJECT, name):
        raise BadRequest(
            f"{name[:80]!r} cannot be a project's name: it has 1 to 200 characters, all on one line, and no spaces around it"
        )
    return name


def check_label(name: str, what: str) -> str:
    """Return a name that people give to tokens and shares. Raises `BadRequest`."""
    name = name.strip()
    if len(name) > 100 or not re.fullmatch(LABEL, name):
        raise BadRequest(
            f"{name[:80]!r} cannot be the name of {what}: it has 1 to 100 characters, all on one line"
        )
    return name


def is_text(text: str) -> bool:
    """Say whether every database can keep a text: it has no NUL, and nothing that is half a character."""
    return not re.search("[\x00\ud800-\udfff]", text)
