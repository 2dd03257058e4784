"""Logging in to a server: its token is verified, and kept for this user."""

from __future__ import annotations

import ipaddress
import logging
import socket
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from runcast.credentials import checked_token, store_token, token_for
from runcast.errors import AccessDenied
from runcast.run.wandb import tell
from runcast.settings import load_settings, server_url

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["keep_token", "login", "new_token", "verified"]

log = logging.getLogger("runcast")

PATIENCE = 5.0
"""Seconds for which a server is tried again before a login fails."""


def login(
    url: str | None = None,
    token: str | None = None,
    *,
    key: str | None = None,
    host: str | None = None,
    relogin: bool | None = None,
    force: bool | None = None,
    anonymous: str | None = None,
    timeout: int | None = None,
    verify: bool | None = None,
    **_: Any,
) -> bool:
    """Log in to the server at `url`: verify an API token, asking for it if it is not given, and keep it for this user.

    Without `url` it is the server that the settings name, if one is; then a token that is kept already will do. What W&B's `login` takes
    is taken; its key, which is a first argument that is no address, goes nowhere. Raises `SettingsError` for what is no address or
    no token, and `AccessDenied` or `ServerUnreachable`.
    """
    del key, host, force, anonymous, timeout, verify
    named = url if url is not None and "://" in url else load_settings().to
    if not named:
        tell("login() is not needed: runs are kept on this machine, and no server is named")
        return True
    server = server_url(named)
    kept = token_for(server)
    if token is None and kept is not None and named != url and not relogin:
        verified(server, kept)
        return True
    if token is None:
        import getpass

        token = getpass.getpass(f"API token for {server}: ")
    who, place = keep_token(server, token)
    log.warning("runcast: logged in to %s as %s; the token is kept in %s", server, who, place)
    return True


def keep_token(server: str, token: str) -> tuple[str, Path]:
    """Verify a token and keep it; return whose it is and where it is kept. Raises as `login` does."""
    token = checked_token(token, "given")
    warn_of_plain(server)
    who = verified(server, token)
    return who, store_token(server, token)


def verified(server: str, token: str) -> str:
    """Return the name of the user whose token this is. Raises `AccessDenied` or `ServerUnreachable`."""
    from runcast.store.connection import Connection

    connection = Connection(server, token, patience=PATIENCE)
    try:
        said = connection.json("GET", "/session")
    finally:
        connection.close()
    try:
        return str(said["user"]["name"])
    except (KeyError, TypeError):
        raise AccessDenied(f"{server} does not say whose token this is; is it a runcast server?") from None


def new_token(server: str, user: str, password: str) -> str:
    """Make an API token that may write, named after this machine, for a user with a password, and return it. Raises as `login` does."""
    from runcast.store.connection import Connection

    warn_of_plain(server)
    connection = Connection(server, None, patience=PATIENCE)
    try:
        said = connection.json("POST", "/session", body={"name": user, "password": password})
        csrf = {"X-Runcast-CSRF": str(said["csrf"])}
        body = {"name": f"runcast login on {socket.gethostname()}"[:100], "scope": "write"}
        made = connection.json("POST", "/tokens", body=body, headers=csrf)
        connection.json("DELETE", "/session", headers=csrf)
        return str(made["secret"])
    except (KeyError, TypeError):
        raise AccessDenied(f"{server} made no token; is it a runcast server?") from None
    finally:
        connection.close()


def warn_of_plain(server: str) -> None:
    """Warn of an address where others can read what is sent."""
    parts = urlsplit(server)
    host = parts.hostname or ""
    try:
        local = ipaddress.ip_address(host).is_loopback
    except ValueError:
        local = host == "localhost" or host.endswith(".localhost")
    if parts.scheme == "http" and not local:
        log.warning(
            "runcast: %s is not encrypted: others on the way can read the token; use https:// where the server has it",
            server,
        )
