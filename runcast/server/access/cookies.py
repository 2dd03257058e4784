"""The session's cookie."""

from __future__ import annotations

from typing import TYPE_CHECKING

from runcast.server.access.sessions import LASTS

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

__all__ = ["clear_cookie", "session_of", "set_cookie"]

COOKIE = "runcast_session"

SECURE_COOKIE = "__Host-runcast_session"
"""Over https: with this prefix a browser takes it from this host only, not from another one of its domain, nor without TLS."""


def session_of(request: Request) -> str | None:
    """Return the session's secret that a browser sent, None if it sent none."""
    return request.cookies.get(_name(request))


def set_cookie(request: Request, response: Response, secret: str) -> None:
    """Have the browser keep a session's secret, out of reach of scripts and of other sites' forms."""
    response.set_cookie(
        _name(request),
        secret,
        max_age=int(LASTS),
        path="/",
        secure=_is_secure(request),
        httponly=True,
        samesite="lax",
    )


def clear_cookie(request: Request, response: Response) -> None:
    """Have the browser forget the session."""
    response.delete_cookie(
        _name(request), path="/", secure=_is_secure(request), httponly=True, samesite="lax"
    )


def _name(request: Request) -> str:
    return SECURE_COOKIE if _is_secure(request) else COOKIE


def _is_secure(request: Request) -> bool:
    """Say whether the browser speaks https: `--url` says so, or the request (behind a trusted proxy, in its headers)."""
    url: str | None = request.app.state.access.url
    return (url or str(request.url)).startswith("https:")
