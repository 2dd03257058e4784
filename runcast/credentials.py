"""API tokens of servers: in `credentials.json` in the user's config folder, which only the user may read.

A token is kept for its server's origin (scheme, host and port). `RUNCAST_TOKEN` comes before it: for the server that `RUNCAST_TO`
names, or for any where that names none. A token is never part of an error, a run's facts or a process's arguments.
"""

from __future__ import annotations

import json
import os
import secrets
from contextlib import suppress
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from runcast.errors import SettingsError
from runcast.settings import config_file

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["checked_token", "credentials_file", "forget_token", "store_token", "token_for"]


def token_for(url: str) -> str | None:
    """Return the token for the server at `url`; None if there is none. Raises `SettingsError` for one that cannot be used."""
    given, named = os.environ.get("RUNCAST_TOKEN"), os.environ.get("RUNCAST_TO")
    if given and (not named or _origin(named) == _origin(url)):
        return checked_token(given, "in the environment variable RUNCAST_TOKEN")
    entry = _read().get(_origin(url))
    found = entry.get("token") if isinstance(entry, dict) else None
    return checked_token(found, f"in {credentials_file()}") if isinstance(found, str) and found else None


def store_token(url: str, token: str) -> Path:
    """Keep a token for the server at `url`, instead of an earlier one, and return the file. Raises `SettingsError`."""
    path = credentials_file()
    entries = _read()
    entries[_origin(url)] = {"token": checked_token(token, "given")}
    _write(path, entries)
    return path


def forget_token(url: str) -> bool:
    """Keep no token for the server at `url` any more; whether there was one. Raises `SettingsError`."""
    entries = _read()
    if entries.pop(_origin(url), None) is None:
        return False
    _write(credentials_file(), entries)
    return True


def checked_token(token: str, where: str) -> str:
    """Return a token without blanks around it. Raises `SettingsError` (which does not show it) for what can be none."""
    token = token.strip()
    if not token or not token.isascii() or not token.isprintable() or " " in token:
        raise SettingsError(
            f"the token {where} is no API token: those are letters, digits, - and _, in one piece"
        )
    return token


def credentials_file() -> Path:
    """Return where tokens are kept; the file need not be there."""
    return config_file().with_name("credentials.json")


def _origin(url: str) -> str:
    """Return what a token is kept for, in one spelling."""
    try:
        parts = urlsplit(url.strip())
        port = parts.port
    except ValueError:
        return url
    usual = {"https": 443, "http": 80}.get(parts.scheme)
    host = (parts.hostname or "").lower()
    host = f"[{host}]" if ":" in host else host
    return f"{parts.scheme}://{host}" + (f":{port}" if port not in (None, usual) else "")


def _read() -> dict[str, Any]:
    path = credentials_file()
    try:
        found = json.loads(path.read_bytes())
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except OSError as error:
        raise SettingsError(f"cannot read {path}: {error.strerror}; check its permissions") from error
    except ValueError as error:
        raise SettingsError(f"{path} is no JSON; remove it, and log in again with `runcast login`") from error
    return found if isinstance(found, dict) else {}


def _write(path: Path, entries: dict[str, Any]) -> None:
    """Replace the file at once, by one that was never anybody else's to read."""
    part = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with open(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:  # noqa: PTH123
            json.dump(entries, file, indent=2)
            file.write("\n")
        part.replace(path)
    except OSError as error:
        with suppress(OSError):
            part.unlink()
        raise SettingsError(
            f"cannot keep the token in {path}: {error.strerror}; set RUNCAST_TOKEN instead"
        ) from error
